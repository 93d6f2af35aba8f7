"""The alternatives of the ablations are configurations that the stages take."""

import pytest

from benchmarks.ablate import AS_IT_IS, CHOICES, AblatedTraining, Choice
from veo_core.data.latents import LatentLayout
from veo_core.data.spec import ClipSpec
from veo_core.diffusion.cascade import CascadeSampler
from veo_core.diffusion.sampler import SamplerConfig
from veo_core.models.text import Vocabulary
from veo_core.train.upsampler import UpsamplerTraining

LAYOUT = LatentLayout(clip=ClipSpec(), video_channels=16, audio_channels=16)


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.name)
def test_an_alternative_changes_one_configuration_and_fits_it(choice: Choice):
    values = {**choice.training, "model": choice.model}
    training = AblatedTraining.parse(values, where="train_base")
    plain = AblatedTraining()
    pairs = [
        (
            training.model_config_for(LAYOUT, Vocabulary(words=())),
            plain.model_config_for(LAYOUT, Vocabulary(words=())),
        ),
        (training.noise, plain.noise),
        (UpsamplerTraining.parse(choice.upsampler, where="train_upsampler"), UpsamplerTraining()),
        (SamplerConfig.parse(choice.sampler, where="sampler"), SamplerConfig()),
    ]
    assert sum(changed != default for changed, default in pairs) == 1
    assert CascadeSampler.parse(choice.cascade, where="cascade") == CascadeSampler(**choice.cascade)


def test_the_model_as_it_is_changes_nothing():
    assert Choice(AS_IT_IS.name) == AS_IT_IS
    config = AblatedTraining.parse({"model": AS_IT_IS.model}, where="train_base")
    assert config == AblatedTraining()
