"""Train the autoencoder of pictures."""

import torch
from pydantic import Field
from torch import Tensor

from veo_core.data.decoded import decoded_clips
from veo_core.data.mapped import Rows
from veo_core.data.spec import ClipSpec
from veo_core.models.files import parameter_count
from veo_core.models.video_vae import VideoVAE
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.train.loop import FitConfig, fit
from veo_core.train.measure import batches, psnr
from veo_core.train.publish import training_manifest
from veo_core.train.runtime import Runtime


class VideoVAETraining(FitConfig):
    """Configuration of the stage."""

    steps: int = Field(default=1800, ge=1, description="optimiser steps")
    batch: int = Field(default=8, ge=1, description="clips in a step")
    learning_rate: float = Field(default=2e-3, gt=0, description="highest learning rate")
    clip_spec: ClipSpec = ClipSpec()
    model: VideoVAE.Config = VideoVAE.Config()
    kl: float = Field(
        default=8e-3, description="weight of the divergence: latents are easier to model with more"
    )
    motion: float = Field(
        default=8.0, description="extra weight of pixels that differ from their mean in time"
    )
    full_size: float = Field(default=0.25, description="share of a batch cut from full-size pictures")


def run(*, dataset: Manifest, config: VideoVAETraining, context: Context) -> Manifest:
    spec = config.clip_spec
    clips = decoded_clips(dataset, spec, context)
    runtime = Runtime(config.runtime)
    full = {name: split.full for name, split in clips.items()}
    base = {name: split.base for name, split in clips.items()}

    torch.manual_seed(context.seed)
    model = runtime.place(VideoVAE(config.model))
    latent = (config.batch, *model.config.latent_shape(spec.frames, spec.base_height, spec.base_width))

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        video = runtime.send(_draw(base["train"], full["train"], config, generator)).float() / 127.5 - 1.0
        noise = runtime.send(torch.randn(latent, generator=generator))
        rebuilt, kl = model(video, noise)
        error = rebuilt - video
        picture = (motion_weight(video, config.motion) * (error.abs() + 2.0 * error.square())).mean()
        return {"loss": picture + config.kl * kl, "picture": picture.detach(), "kl": kl.detach()}

    history = fit(model, losses, config=config, runtime=runtime, context=context)
    with torch.no_grad(), runtime.autocast():
        raw = [model.posterior(x).mean for x in batches(base["train"][:512], runtime)]
        model.statistics.measure(torch.cat(raw))
        metrics = {"parameters": float(parameter_count(model)), "clips": float(len(base["train"]))}
        for name, video in (("base", base["validation"]), ("full", full["validation"])):
            rebuilt = [model.decode(model.encode(x)).cpu() for x in batches(video[:64], runtime)]
            metrics[f"{name}_psnr"] = psnr(torch.cat(rebuilt), video[:64].float() / 127.5 - 1.0)
        held = torch.cat([model.encode(x) for x in batches(base["validation"], runtime)])
        metrics["latent_std"] = float(held.std())
    return training_manifest(model, history, metrics, config, context)


def motion_weight(video: Tensor, extra: float) -> Tensor:
    """Loss weight [b, 1, t, h, w] of mean 1: more where a pixel is far from its mean over time.

    Moving things are small; without it the still background owns the loss.
    """
    distance = (video - video.mean(2, keepdim=True)).abs().amax(1, keepdim=True)
    weight = 1.0 + extra * (5.0 * distance).clamp(max=1.0)
    return weight / weight.mean()


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
