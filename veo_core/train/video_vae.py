"""Train the autoencoder of pictures."""

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from veo_core.data.decoded import decoded_clips
from veo_core.data.mapped import Rows
from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.models.codecs import VideoCodecConfig
from veo_core.models.discriminator import PatchDiscriminator
from veo_core.models.files import parameter_count
from veo_core.models.perceptual import PerceptualConfig, PerceptualLoss
from veo_core.models.video_vae import VideoVAE
from veo_core.records.base import Record
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.train.loop import FitConfig, fit
from veo_core.train.measure import batches, latent_spread, psnr
from veo_core.train.optimiser import OptimiserName
from veo_core.train.pretrained_codec import pretrained_video_codec
from veo_core.train.publish import training_manifest
from veo_core.train.reconstruction import motion_weight, multiscale_loss
from veo_core.train.runtime import Runtime

_MEASURED = 512  # clips of base size that set the latents' scale, with as many latents of full size


class AdversarialConfig(Record):
    """A discriminator that trains against the autoencoder, for texture that averages would blur."""

    weight: float = Field(default=0.0, ge=0, description="weight of fooling it; 0 for no discriminator")
    width: int = Field(default=32, ge=1, description="channels of its first layer")


class WeightedPerceptual(PerceptualConfig):
    """A perceptual loss, where its weights are at hand."""

    weight: float = Field(default=0.1, gt=0, description="weight of LPIPS, averaged over the frames")


class VideoVAETraining(FitConfig):
    """Configuration of the stage."""

    steps: int = Field(default=1000, ge=1, description="optimiser steps")
    batch: int = Field(default=8, ge=1, description="clips in a step")
    optimiser: OptimiserName = Field(
        default="muon", description="muon for the convolutions of the blocks and adamw for the rest, or adamw"
    )
    learning_rate: float = Field(default=3e-3, gt=0, description="highest learning rate")
    clip_spec: ClipSpec = ClipSpec()
    codec: VideoCodecConfig = Field(
        default=VideoCodecConfig(), description="a codec of others in its place; then nothing is trained"
    )
    model: VideoVAE.Config = VideoVAE.Config()
    kl: float = Field(
        default=1.5e-2, description="weight of the divergence: latents are easier to model with more"
    )
    scales: tuple[int, ...] = Field(
        default=(1, 2), min_length=1, description="sides in pixels of the squares averaged before comparing"
    )
    motion: float = Field(
        default=0.7, ge=0, le=1, description="share of a clip's loss that falls where something moves"
    )
    halving: float = Field(
        default=0.25,
        ge=0,
        description="weight of rebuilding the picture at half its size from latents at half theirs",
    )
    perceptual: WeightedPerceptual | None = None
    adversarial: AdversarialConfig = AdversarialConfig()
    full_size: float = Field(default=0.25, description="share of a batch cut from full-size pictures")


def run(*, dataset: Manifest, config: VideoVAETraining, context: Context) -> Manifest:
    spec = config.clip_spec
    clips = decoded_clips(dataset, spec, context)
    runtime = Runtime(config.runtime)
    if config.codec.kind != "own":
        return pretrained_video_codec(config.codec, clips, runtime=runtime, config=config, context=context)
    full = {name: split.full for name, split in clips.items()}
    base = {name: split.base for name, split in clips.items()}

    torch.manual_seed(context.seed)
    learner = runtime.place(VideoVAELearner(config))
    latent = (config.batch, *config.model.latent_shape(spec.frames, spec.base_height, spec.base_width))
    if config.halving and min(latent[-2:]) < 2:
        raise UsageError(
            f"halving: pictures of {spec.base_height}x{spec.base_width} have a single latent along a side, "
            f"which cannot be halved; set halving to 0"
        )

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        video = runtime.shard(_draw(base["train"], full["train"], config, generator)).float() / 127.5 - 1.0
        noise = runtime.shard(torch.randn(latent, generator=generator))
        scalars: dict[str, Tensor] = learner(video, noise)
        return scalars

    history = fit(learner, losses, config=config, runtime=runtime, context=context)
    model = learner.autoencoder
    with torch.no_grad(), runtime.autocast():
        measured = base["train"][:_MEASURED], full["train"][: math.ceil(_MEASURED / spec.upscale**2)]
        raw = [
            torch.cat([model.posterior(x).mean for x in batches(pictures, runtime)]) for pictures in measured
        ]
        model.statistics.measure(*raw)
        metrics = {"parameters": float(parameter_count(model)), "clips": float(len(base["train"]))}
        for name, video in (("base", base["validation"]), ("full", full["validation"])):
            rebuilt = [model.decode(model.encode(x)).cpu() for x in batches(video[:64], runtime)]
            metrics[f"{name}_psnr"] = psnr(torch.cat(rebuilt), video[:64].float() / 127.5 - 1.0)
        held = torch.cat([model.encode(x) for x in batches(base["validation"], runtime)])
    return training_manifest(model, history, metrics | latent_spread(held), config, context)


class VideoVAELearner(nn.Module):
    """The autoencoder with its objective, and with the networks that judge it where there are any.

    Latents at half their size must decode to the picture at half its size: without that, their high
    frequencies hold what a denoiser, which learns low frequencies first, cannot model (Skorokhodov et al.,
    "Improving the Diffusability of Autoencoders", 2502.14831).

    All that learns is in one module, so that it is optimised, saved and resumed as one.
    """

    def __init__(self, config: VideoVAETraining) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = VideoVAE(config.model)
        self.perceptual = PerceptualLoss(config.perceptual) if config.perceptual else None
        adversarial = config.adversarial
        self.discriminator = PatchDiscriminator(adversarial.width) if adversarial.weight else None

    @property
    def blocks(self) -> list[nn.Module]:
        return self.autoencoder.blocks

    def forward(self, video: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Scalars of pictures [b, 3, t, h, w] with the noise of their latents; `loss` has the gradients."""
        config, autoencoder = self.config, self.autoencoder
        posterior = autoencoder.posterior(video)
        latents, kl = posterior.sample(noise), posterior.kl()
        rebuilt = autoencoder.reconstruct(latents)
        picture = self._difference(rebuilt, video)
        loss = picture + config.kl * kl
        scalars = {"picture": picture.detach(), "kl": kl.detach()}
        if config.halving:
            small = autoencoder.reconstruct(halved(latents))
            half = self._difference(small, halved(video)[..., : small.shape[-2], : small.shape[-1]])
            loss = loss + config.halving * half
            scalars |= {"half": half.detach()}
        if self.perceptual is not None and config.perceptual is not None:
            look = self.perceptual(rebuilt, video)
            loss = loss + config.perceptual.weight * look
            scalars |= {"perceptual": look.detach()}
        if self.discriminator is not None:
            fooling, telling = self.discriminator.hinge_losses(video, rebuilt)
            loss = loss + config.adversarial.weight * fooling + telling
            scalars |= {"fooling": fooling.detach(), "telling": telling.detach()}
        return {"loss": loss, **scalars}

    def _difference(self, rebuilt: Tensor, video: Tensor) -> Tensor:
        windows = [(1, scale, scale) for scale in self.config.scales]
        return multiscale_loss(rebuilt - video, windows, motion_weight(video, self.config.motion))


def halved(video: Tensor) -> Tensor:
    """Pictures or latents [b, c, t, h, w] at half their height and width; an odd edge is left out."""
    return F.avg_pool3d(video, (1, 2, 2))


def _draw(base: Rows, full: Rows, config: VideoVAETraining, generator: torch.Generator) -> Tensor:
    """A batch uint8 [b, 3, t, h, w] at base size: shrunk clips, and windows cut from full-size ones."""
    windows = round(config.batch * config.full_size)
    index = torch.randint(len(base), (config.batch,), generator=generator)
    height, width = base.shape[3:]
    top = torch.randint(full.shape[3] - height + 1, (windows,), generator=generator)
    left = torch.randint(full.shape[4] - width + 1, (windows,), generator=generator)
    cut = [
        full[clip][:, :, y : y + height, x : x + width]
        for clip, y, x in zip(index[:windows].tolist(), top.tolist(), left.tolist(), strict=True)
    ]
    return torch.cat([torch.stack(cut), base[index[windows:]]]) if cut else base[index]


if __name__ == "__main__":
    stage_main(run)
