import pytest
import torch

from veo_core.data.spec import ClipSpec
from veo_core.models.text import TextEncoder, Vocabulary
from veo_core.models.transformer import JointTransformer

VOCABULARY = Vocabulary.from_captions(["a red square"])


@pytest.fixture(scope="session")
def config() -> JointTransformer.Config:
    return JointTransformer.Config(
        clip=ClipSpec(frames=9, height=32, width=32),
        text=TextEncoder.Config(vocabulary=VOCABULARY, length=4),
        width=32,
        depth=1,
        heads=2,
    )


@pytest.fixture
def model(config) -> JointTransformer:
    """A small transformer whose every weight has a part in its predictions."""
    torch.manual_seed(0)
    model = JointTransformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture
def tokens() -> torch.Tensor:
    return VOCABULARY.tokens(["a red square", "square"], 4)


@pytest.fixture
def empty() -> torch.Tensor:
    return VOCABULARY.tokens([""], 4)


@pytest.fixture
def draw(config):
    """Unit noise shaped as the latents of two clips: picture and sound."""

    def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return (
            torch.randn(2, *config.video_shape, generator=generator),
            torch.randn(2, *config.audio_shape, generator=generator),
        )

    return draw
