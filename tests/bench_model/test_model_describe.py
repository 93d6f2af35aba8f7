"""What `veo model describe` says, against modules that are really built and run."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from veo_core.cli.main import main
from veo_core.models.describe import Cascade, activation_bytes, describe
from veo_core.models.files import parameter_count
from veo_core.models.sizes import SIZES, base_values
from veo_core.models.transformer import JointTransformer
from veo_core.train.base import BaseTraining


def test_activations_are_the_tensors_that_the_backward_pass_needs():
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2))
    x = torch.zeros(3, 4)
    kept = 3 * 4 + 3 * 8 + 3 * 8  # the input, what GELU takes, what it gives
    assert activation_bytes(model, lambda: model(x)) == 4 * kept
    with torch.device("meta"):
        model, x = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2)), torch.zeros(3, 4)
    assert activation_bytes(model, lambda: model(x)) == 4 * kept


def test_description_of_the_world_size_tells_what_the_built_model_is():
    size = SIZES["world"]
    described = describe(Cascade(size.video_vae, size.audio_vae, size.transformer(), size.upsampler()))
    parts = {part.name: part for part in described.parts}
    base = JointTransformer(size.transformer())
    assert parts["base transformer"].parameters == parameter_count(base)
    assert described.video_tokens + described.audio_tokens == sum(base.grids[0].lengths)
    assert (described.video_tokens, described.audio_tokens) == (80, 50)
    picture = next(row for row in described.latents if row.name == "picture, base")
    assert picture.compression == pytest.approx(3 * 17 * 32 * 32 / (16 * 5 * 8 * 8))
    assert all(part.activation_bytes > 0 for part in described.parts)


def test_sizes_grow_and_large_is_wide_enough_for_its_utilisation_target():
    widths = [size.base.width for size in SIZES.values()]
    assert widths == sorted(set(widths))
    assert SIZES["large"].base.width >= 1536


def test_training_takes_the_values_of_a_size():
    config = BaseTraining.model_validate(base_values("small"))
    assert (config.width, config.depth) == (512, 12)


def test_command_prints_a_table_and_json(capsys):
    assert main(["model", "describe", "--size", "small"]) == 0
    text = capsys.readouterr().out
    assert "tokens: 576 picture + 50 sound" in text
    assert "base transformer" in text
    assert main(["model", "describe", "--size", "small", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["parameters"] == sum(part["parameters"] for part in values["parts"]) > 1e8


def test_command_describes_what_a_recipe_trains(tmp_path: Path, capsys):
    recipe = tmp_path / "my.yaml"
    recipe.write_text("train_base: {width: 64, depth: 2, local_width: 32}\n")
    parameters = []
    for arguments in ([], ["--config", str(recipe)]):
        assert main(["model", "describe", "--json", *arguments]) == 0
        parts = json.loads(capsys.readouterr().out)["parts"]
        parameters.append(next(part["parameters"] for part in parts if part["name"] == "base transformer"))
    assert parameters[1] < parameters[0] / 4


def test_command_when_the_size_is_unknown_then_names_the_sizes(capsys):
    assert main(["model", "describe", "--size", "huge"]) == 2
    assert "world, small, large" in capsys.readouterr().err
