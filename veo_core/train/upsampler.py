"""Train the upsampler on pairs of base and full-size latents."""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from veo_core.data.latents import LatentClips, load_frames, load_latents
from veo_core.diffusion.cascade import (
    CascadeNoise,
    CascadeSampler,
    draw_cascade_levels,
    upsample,
    upsampler_loss,
)
from veo_core.models.files import load_stored, parameter_count
from veo_core.models.upsampler import Upsampler
from veo_core.models.video_vae import VideoVAE
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.train.loop import FitConfig, fit
from veo_core.train.measure import psnr
from veo_core.train.publish import training_manifest
from veo_core.train.runtime import Runtime


class UpsamplerTraining(FitConfig):
    """Configuration of the stage."""

    steps: int = Field(default=500, ge=1, description="optimiser steps")
    batch: int = Field(default=16, ge=1, description="clips in a step")
    learning_rate: float = Field(default=2e-3, gt=0, description="highest learning rate")
    width: int = Field(default=96, description="channels of the residual blocks")
    depth: int = Field(default=4, description="residual blocks")
    noise: CascadeNoise = CascadeNoise()
    sampler: CascadeSampler = Field(
        default=CascadeSampler(), description="how the validation clips are drawn"
    )


def run(*, latents: Manifest, video_vae: Manifest, config: UpsamplerTraining, context: Context) -> Manifest:
    layout, splits = load_latents(latents, context.store)
    runtime = Runtime(config.runtime)
    torch.manual_seed(context.seed)
    shape = Upsampler.Config(
        channels=layout.video_channels,
        upscale=layout.clip.upscale,
        width=config.width,
        depth=config.depth,
    )
    model = runtime.compile(runtime.place(Upsampler(shape)))
    train = splits["train"]

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        index = torch.randint(len(train.base), (config.batch,), generator=generator)
        full, base = train.full[index].float(), train.base[index]
        noise = [runtime.send(torch.randn(x.shape, generator=generator)) for x in (full, base)]
        levels = [runtime.send(x) for x in draw_cascade_levels(config.noise, config.batch, generator)]
        loss = upsampler_loss(
            model, runtime.send(full), runtime.send(base), (noise[0], noise[1]), (levels[0], levels[1])
        )
        return {"loss": loss}

    history = fit(model, losses, config=config, runtime=runtime, context=context)
    pictures = runtime.place(load_stored(VideoVAE, video_vae.files, context.store, where="video VAE"))
    frames = load_frames(latents, context.store)
    metrics = _compare(model, pictures, splits["validation"], frames, config, runtime)
    metrics["parameters"] = float(parameter_count(model))
    return training_manifest(model, history, metrics, config, context)


@torch.no_grad()
def _compare(
    model: Upsampler,
    pictures: VideoVAE,
    clips: LatentClips,
    frames: Tensor,
    config: UpsamplerTraining,
    runtime: Runtime,
) -> dict[str, float]:
    """PSNR in dB against the full-size pictures: of the upsampler, and of bicubic interpolation."""
    count = min(32, len(frames))
    base = runtime.send(clips.base[:count])
    generator = torch.Generator().manual_seed(0)
    noise, base_noise = (
        runtime.send(torch.randn(x.shape, generator=generator)) for x in (clips.full[:count], base)
    )
    with runtime.autocast():
        full = upsample(model, base, config=config.sampler, noise=noise, base_noise=base_noise)
        refined, small, ceiling = (
            pictures.decode(x).cpu() for x in (full, base, runtime.send(clips.full[:count].float()))
        )
    flat = small.transpose(1, 2).flatten(0, 1)
    large = F.interpolate(flat, size=frames.shape[3:], mode="bicubic", align_corners=False).clamp(-1, 1)
    bicubic = large.view(count, -1, *large.shape[1:]).transpose(1, 2)
    truth = frames[:count].float() / 127.5 - 1.0
    return {
        "psnr": psnr(refined, truth),
        "bicubic_psnr": psnr(bicubic, truth),
        "autoencoder_psnr": psnr(ceiling, truth),
    }


if __name__ == "__main__":
    stage_main(run)
