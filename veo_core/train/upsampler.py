"""Train the upsampler on pairs of enlarged and full-size latents."""

import torch
from pydantic import Field
from torch import Tensor

from veo_core.data.latents import LatentBatch, load_frames, load_latents
from veo_core.data.loader import LatentLoader
from veo_core.diffusion.cascade import (
    CascadeNoise,
    enlarge_pictures,
    upsample,
    upsampler_loss,
)
from veo_core.models.codec import VideoCodec
from veo_core.models.codecs import load_video_codec
from veo_core.models.files import parameter_count
from veo_core.models.upsampler import Upsampler
from veo_core.records.drawing import CascadeSampler
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.train.loop import FitConfig, fit
from veo_core.train.measure import psnr
from veo_core.train.optimiser import OptimiserName
from veo_core.train.publish import training_manifest
from veo_core.train.runtime import Runtime


class UpsamplerTraining(FitConfig):
    """Configuration of the stage."""

    steps: int = Field(default=500, ge=1, description="optimiser steps")
    batch: int = Field(default=16, ge=1, description="clips in a step")
    optimiser: OptimiserName = Field(
        default="muon", description="muon for the matrices of the blocks and adamw for the rest, or adamw"
    )
    learning_rate: float = Field(default=3e-3, gt=0, description="highest learning rate")
    width: int = Field(default=96, description="channels of the residual blocks")
    depth: int = Field(default=4, description="residual blocks")
    noise: CascadeNoise = CascadeNoise()
    sampler: CascadeSampler = Field(
        default=CascadeSampler(), description="how the validation clips are drawn"
    )


def run(*, latents: Manifest, video_vae: Manifest, config: UpsamplerTraining, context: Context) -> Manifest:
    splits = load_latents(latents, context.store, "full")
    runtime = Runtime(config.runtime)
    torch.manual_seed(context.seed)
    shape = Upsampler.Config(
        channels=splits["train"][0].layout.video_channels,
        width=config.width,
        depth=config.depth,
    )
    model = runtime.place(Upsampler(shape))
    loader = LatentLoader(
        splits["train"], config.batch, draws=config.accumulate, pin=runtime.accelerator == "cuda"
    )

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        drawn = loader.draw(generator)
        full, enlarged = (drawn.clips.tensors[name].float() for name in ("full", "enlarged"))
        noise = [torch.randn(full.shape, generator=drawn.generator) for _ in range(2)]
        levels = torch.rand(2, config.batch, generator=drawn.generator)
        loss = upsampler_loss(
            model,
            runtime.shard(full),
            runtime.shard(enlarged),
            (runtime.shard(noise[0]), runtime.shard(noise[1])),
            (runtime.shard(levels[0]), runtime.shard(levels[1] * config.noise.condition)),
            config.noise.start,
        )
        return {"loss": loss}

    with loader:
        history = fit(
            model,
            losses,
            config=config,
            runtime=runtime,
            context=context,
            batch_names=lambda: loader.clip_ids,
            waited=lambda: loader.waited,
        )
    pictures = runtime.place(load_video_codec(video_vae.files, context.store, where="video VAE"))
    frames, _ = load_frames(latents, context.store)
    held = splits["validation"][0]
    clips = held.read(range(min(32, len(frames), len(held))))
    metrics = _compare(model, pictures, clips, frames, config, runtime)
    metrics["parameters"] = float(parameter_count(model))
    return training_manifest(model, history, metrics, config, context)


@torch.no_grad()
def _compare(
    model: Upsampler,
    pictures: VideoCodec,
    clips: LatentBatch,
    frames: Tensor,
    config: UpsamplerTraining,
    runtime: Runtime,
) -> dict[str, float]:
    """PSNR in dB against the full-size pictures: of the upsampler, and of bicubic interpolation."""
    base, ideal, enlarged = (
        runtime.send(clips.tensors[name].float()) for name in ("video", "full", "enlarged")
    )
    generator = torch.Generator().manual_seed(0)
    noise = [runtime.send(torch.randn(ideal.shape, generator=generator)) for _ in range(2)]
    with runtime.autocast():
        full = upsample(model, enlarged, config=config.sampler, noise=(noise[0], noise[1]))
        refined, ceiling, small = (pictures.decode(x).cpu() for x in (full, ideal, base))
    bicubic = enlarge_pictures(small, frames.shape[3] // small.shape[3])
    truth = frames[: len(clips)].float() / 127.5 - 1.0
    return {
        "psnr": psnr(refined, truth),
        "bicubic_psnr": psnr(bicubic, truth),
        "autoencoder_psnr": psnr(ceiling, truth),
    }


if __name__ == "__main__":
    stage_main(run)
