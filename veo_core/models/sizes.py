"""The named sizes of the whole cascade: what a clip is, and how large each model is.

`world` learns on two CPU cores, `small` on one GPU, `large` on pods. A training recipe names a size, and
may change any of its values.
"""

from typing import Any, Literal

from pydantic import Field

from veo_core.data.spec import ClipSpec
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.text import TextEncoder
from veo_core.models.transformer import JointTransformer
from veo_core.models.upsampler import Upsampler
from veo_core.models.video_vae import VideoVAE
from veo_core.records.base import Record

SizeName = Literal["world", "small", "large"]


class BaseSize(Record):
    """How large the base model is; the fields of `JointTransformer.Config` and its text that a size sets."""

    width: int = 128
    depth: int = 6
    heads: int = 4
    expand: int = 4
    audio_patch: int = 1
    local_width: int = 64
    local_depth: int = 2
    text_length: int = 32
    text_depth: int = 1


class Size(Record):
    """A cascade by its dimensions."""

    clip: ClipSpec = ClipSpec()
    video_vae: VideoVAE.Config = VideoVAE.Config()
    audio_vae: AudioVAE.Config = AudioVAE.Config()
    base: BaseSize = BaseSize()
    upsampler_width: int = Field(default=96, description="channels of the upsampler's residual blocks")
    upsampler_depth: int = Field(default=4, description="residual blocks of the upsampler")

    def transformer(self, text: TextEncoder.Config | None = None) -> JointTransformer.Config:
        """The base model's configuration; its vocabulary is empty unless `text` brings one."""
        base = self.base
        encoder = text or TextEncoder.Config(length=base.text_length, depth=base.text_depth)
        return JointTransformer.Config(
            clip=self.clip.model_copy(update={"video": self.video_vae.factors}),
            text=encoder,
            video_channels=self.video_vae.latent_channels,
            audio_channels=self.audio_vae.latent_channels,
            audio_patch=base.audio_patch,
            width=base.width,
            depth=base.depth,
            heads=base.heads,
            expand=base.expand,
            local_width=base.local_width,
            local_depth=base.local_depth,
        )

    def upsampler(self) -> Upsampler.Config:
        return Upsampler.Config(
            channels=self.video_vae.latent_channels, width=self.upsampler_width, depth=self.upsampler_depth
        )


SIZES: dict[SizeName, Size] = {
    "world": Size(),
    "small": Size(
        clip=ClipSpec(frames=33, fps=16.0, height=256, width=256),
        video_vae=VideoVAE.Config(width=256, latent_channels=12, space_factor=8),
        audio_vae=AudioVAE.Config(width=256, latent_channels=32),
        base=BaseSize(width=512, depth=12, heads=8, local_width=128, text_length=64, text_depth=2),
        upsampler_width=192,
        upsampler_depth=8,
    ),
    "large": Size(
        clip=ClipSpec(frames=65, fps=16.0, height=512, width=512),
        video_vae=VideoVAE.Config(width=512, space_factor=8),
        audio_vae=AudioVAE.Config(width=512, latent_channels=32),
        base=BaseSize(width=1536, depth=28, heads=12, local_width=256, text_length=128, text_depth=2),
        upsampler_width=384,
        upsampler_depth=12,
    ),
}


def base_values(size: SizeName) -> dict[str, Any]:
    """The values of a size that `train_base` takes, by their keys there."""
    return SIZES[size].base.model_dump()
