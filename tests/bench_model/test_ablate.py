"""The alternatives of the ablations are configurations that the stages take."""

from typing import Any

import pytest

from benchmarks.ablate import AS_IT_IS, CHOICES, FIGURES, AblatedTraining, Choice, merged, training
from benchmarks.model.trained import TrainedRun
from benchmarks.report import number
from veo_core.cli.recipe import load_recipe
from veo_core.data.latents import LatentLayout
from veo_core.data.spec import ClipSpec
from veo_core.evaluate.summary import CLIP_METRICS
from veo_core.models.text import Vocabulary
from veo_core.records.drawing import CascadeSampler, SamplerConfig
from veo_core.records.run import RunRecord
from veo_core.storage import Store
from veo_core.train.upsampler import UpsamplerTraining

LAYOUT = LatentLayout(clip=ClipSpec(), video_channels=16, audio_channels=16)


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    """The default preset, whose runs the alternatives are compared with."""
    return load_recipe("world", [], []).model_dump()


@pytest.mark.parametrize("choice", CHOICES.values(), ids=list(CHOICES))
def test_an_alternative_changes_one_configuration_and_fits_it(choice: Choice, recipe):
    base, upsampler, drawing = recipe["train_base"], recipe["train_upsampler"], recipe["generate"]
    values = {**merged(base, choice.training), "model": choice.model}
    training, plain = AblatedTraining.parse(values, where="train_base"), AblatedTraining.model_validate(base)
    pairs = [
        (
            training.model_config_for(LAYOUT, Vocabulary(words=())),
            plain.model_config_for(LAYOUT, Vocabulary(words=())),
        ),
        (training.noise, plain.noise),
        (training.loss, plain.loss),
        (
            UpsamplerTraining.parse(merged(upsampler, choice.upsampler), where="train_upsampler"),
            UpsamplerTraining.model_validate(upsampler),
        ),
        (
            SamplerConfig.parse(merged(drawing["sampler"], choice.sampler), where="sampler"),
            SamplerConfig.model_validate(drawing["sampler"]),
        ),
        (
            CascadeSampler.parse(merged(drawing["cascade"], choice.cascade), where="cascade").steps,
            CascadeSampler.model_validate(drawing["cascade"]).steps,
        ),
    ]
    assert sum(changed != default for changed, default in pairs) == 1


def test_the_model_as_it_is_changes_nothing():
    assert Choice(AS_IT_IS.name) == AS_IT_IS
    config = AblatedTraining.parse({"model": AS_IT_IS.model}, where="train_base")
    assert config == AblatedTraining()


def test_every_figure_of_the_table_is_one_that_a_summary_has():
    assert set(FIGURES) <= {metric.name for metric in CLIP_METRICS}


def test_alternatives_that_leave_the_training_alone_share_the_base_model_of_the_run(recipe, tmp_path):
    record = RunRecord(
        run_id="r",
        pipeline="p",
        state="SUCCEEDED",
        created=0.0,
        ir_digest="",
        parameters={"train_base_config": recipe["train_base"]},
        tasks=[],
    )
    run = TrainedRun(record, Store(str(tmp_path)), "world", anew=False, runs=tmp_path)
    as_it_is = training(run, AS_IT_IS)
    assert as_it_is.steps == recipe["train_base"]["steps"]
    alike = [key for key, choice in CHOICES.items() if training(run, choice).digest == as_it_is.digest]
    assert alike == ["guidance", "every", "solver", "steps", "refining", "augmentation"]
    assert training(run, AS_IT_IS, 40).steps == 40


def test_settings_of_a_section_merge_key_by_key():
    below = {"steps": 5, "noise": {"shared": 0.5, "spread": 1.0}}
    found = merged(below, {"noise": {"shared": 1.0}})
    assert found == {"steps": 5, "noise": {"shared": 1.0, "spread": 1.0}}
    assert below["noise"]["shared"] == 0.5


def test_a_setting_that_is_no_number_ends_in_one_line(monkeypatch):
    monkeypatch.setenv("STEPS", "many")
    with pytest.raises(SystemExit) as ended:
        number("STEPS")
    assert ended.value.code == "error: STEPS=many: not a whole number"
    monkeypatch.setenv("STEPS", "400")
    assert number("STEPS") == 400
    monkeypatch.delenv("STEPS")
    assert number("STEPS") is None
