"""Train the autoencoder of sound."""

import torch
from pydantic import Field
from torch import Tensor

from veo_core.data.decoded import decoded_clips
from veo_core.data.mapped import Rows
from veo_core.data.mel import LogMel
from veo_core.data.spec import ClipSpec
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.codecs import AudioCodecConfig
from veo_core.models.files import parameter_count
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.train.loop import FitConfig, fit
from veo_core.train.measure import latent_spread, psnr
from veo_core.train.optimiser import OptimiserName
from veo_core.train.pretrained_codec import pretrained_audio_codec
from veo_core.train.publish import training_manifest
from veo_core.train.reconstruction import multiscale_loss
from veo_core.train.runtime import Runtime


class AudioVAETraining(FitConfig):
    """Configuration of the stage."""

    steps: int = Field(default=400, ge=1, description="optimiser steps")
    batch: int = Field(default=32, ge=1, description="clips in a step")
    optimiser: OptimiserName = Field(
        default="muon", description="muon for the convolutions of the blocks and adamw for the rest, or adamw"
    )
    learning_rate: float = Field(default=3e-3, gt=0, description="highest learning rate")
    clip_spec: ClipSpec = ClipSpec()
    codec: AudioCodecConfig = Field(
        default=AudioCodecConfig(), description="a codec of others in its place; then nothing is trained"
    )
    model: AudioVAE.Config = AudioVAE.Config()
    kl: float = Field(
        default=1e-2, description="weight of the divergence: latents are easier to model with more"
    )
    scales: tuple[int, ...] = Field(
        default=(1, 4), min_length=1, description="mel frames averaged before comparing"
    )


def run(*, dataset: Manifest, config: AudioVAETraining, context: Context) -> Manifest:
    spec = config.clip_spec
    clips = decoded_clips(dataset, spec, context)
    runtime = Runtime(config.runtime)
    if config.codec.kind != "own":
        return pretrained_audio_codec(
            config.codec, spec, clips, runtime=runtime, config=config, context=context
        )
    mel = {name: _log_mel(split.audio, LogMel(spec)) for name, split in clips.items()}

    torch.manual_seed(context.seed)
    model = runtime.place(AudioVAE(config.model))
    latent = (config.batch, config.model.latent_channels, config.model.latent_length(spec.mel_frames))

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        index = torch.randint(len(mel["train"]), (config.batch,), generator=generator)
        batch = runtime.shard(mel["train"][index])
        noise = runtime.shard(torch.randn(latent, generator=generator))
        rebuilt, kl = model(batch, noise)
        sound = multiscale_loss(rebuilt - batch, [(scale,) for scale in config.scales])
        return {"loss": sound + config.kl * kl, "sound": sound.detach(), "kl": kl.detach()}

    history = fit(model, losses, config=config, runtime=runtime, context=context)
    with torch.no_grad(), runtime.autocast():
        model.statistics.measure(model.posterior(runtime.send(mel["train"])).mean)
        held = model.encode(runtime.send(mel["validation"]))
        metrics = {
            "parameters": float(parameter_count(model)),
            "mel_psnr": psnr(model.decode(held).cpu(), mel["validation"]),
        }
    return training_manifest(model, history, metrics | latent_spread(held), config, context)


def _log_mel(audio: Rows, analysis: LogMel, size: int = 64) -> Tensor:
    """Log-mel [n, mel_bins, mel_frames] of sounds int16 [n, samples]."""
    parts = (audio[start : start + size] for start in range(0, len(audio), size))
    return torch.cat([analysis(part.float() / 32767.0) for part in parts])


if __name__ == "__main__":
    stage_main(run)
