"""Train the autoencoder of sound."""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from veo_core.data.decoded import decoded_clips
from veo_core.data.mapped import Rows
from veo_core.data.mel import LogMel
from veo_core.data.spec import ClipSpec
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.files import parameter_count
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.train.loop import FitConfig, fit
from veo_core.train.measure import psnr
from veo_core.train.publish import training_manifest
from veo_core.train.runtime import Runtime


class AudioVAETraining(FitConfig):
    """Configuration of the stage."""

    steps: int = Field(default=500, ge=1, description="optimiser steps")
    batch: int = Field(default=32, ge=1, description="clips in a step")
    learning_rate: float = Field(default=2e-3, gt=0, description="highest learning rate")
    clip_spec: ClipSpec = ClipSpec()
    model: AudioVAE.Config = AudioVAE.Config()
    kl: float = Field(
        default=5e-3, description="weight of the divergence: latents are easier to model with more"
    )
    scales: tuple[int, ...] = Field(default=(1, 4), description="mel frames averaged before comparing")


def run(*, dataset: Manifest, config: AudioVAETraining, context: Context) -> Manifest:
    spec = config.clip_spec
    clips = decoded_clips(dataset, spec, context)
    runtime = Runtime(config.runtime)
    mel = {name: _log_mel(split.audio, LogMel(spec)) for name, split in clips.items()}

    torch.manual_seed(context.seed)
    model = runtime.place(AudioVAE(config.model))
    latent = (config.batch, config.model.latent_channels, config.model.latent_length(spec.mel_frames))

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        index = torch.randint(len(mel["train"]), (config.batch,), generator=generator)
        batch = runtime.send(mel["train"][index])
        noise = runtime.send(torch.randn(latent, generator=generator))
        rebuilt, kl = model(batch, noise)
        error = rebuilt - batch
        pooled = [F.avg_pool1d(error, scale) if scale > 1 else error for scale in config.scales]
        sound = torch.stack([e.abs().mean() + 2.0 * e.square().mean() for e in pooled]).mean()
        return {"loss": sound + config.kl * kl, "sound": sound.detach(), "kl": kl.detach()}

    history = fit(model, losses, config=config, runtime=runtime, context=context)
    with torch.no_grad(), runtime.autocast():
        model.statistics.measure(model.posterior(runtime.send(mel["train"])).mean)
        held = model.encode(runtime.send(mel["validation"]))
        metrics = {
            "parameters": float(parameter_count(model)),
            "mel_psnr": psnr(model.decode(held).cpu(), mel["validation"]),
            "latent_std": float(held.std()),
        }
    return training_manifest(model, history, metrics, config, context)


def _log_mel(audio: Rows, analysis: LogMel, size: int = 64) -> Tensor:
    """Log-mel [n, mel_bins, mel_frames] of sounds int16 [n, samples]."""
    parts = (audio[start : start + size] for start in range(0, len(audio), size))
    return torch.cat([analysis(part.float() / 32767.0) for part in parts])


if __name__ == "__main__":
    stage_main(run)
