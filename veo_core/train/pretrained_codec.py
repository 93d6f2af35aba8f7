"""What the autoencoders' stages do where the recipe names a codec of others: nothing is trained.

The codec is stored like one of our own, with the statistics of its latents, so that the later stages and
the registered model hold its weights and need no path.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from veo_core.data.decoded import DecodedClips
from veo_core.data.spec import ClipSpec
from veo_core.models.codecs import AudioCodecConfig, VideoCodecConfig, open_audio_codec, open_video_codec
from veo_core.models.files import parameter_count, save_model
from veo_core.records.base import Record
from veo_core.records.clip import Split
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.train.measure import batches, latent_spread, psnr
from veo_core.train.runtime import Runtime

_MOST = 64
"""Clips of a split that are measured."""


def pretrained_video_codec(
    codec: VideoCodecConfig,
    clips: Mapping[Split, DecodedClips],
    *,
    runtime: Runtime,
    config: Record,
    context: Context,
) -> Manifest:
    """The manifest of the `video_vae` stage: the codec, and how well it rebuilds the validation clips.

    Raises:
        UsageError: there is no such codec, or the clips do not fit it.
    """
    model = runtime.place(open_video_codec(codec))
    held = clips["validation"]
    metrics = {"parameters": float(parameter_count(model))}
    spread = {}
    with torch.no_grad(), runtime.autocast():
        for name, rows in (("full", held.full), ("base", held.base)):
            video = rows[:_MOST]
            latents = torch.cat([model.encode(x).cpu() for x in batches(video, runtime, 8)])
            rebuilt = torch.cat([model.decode(runtime.send(z)).cpu() for z in torch.split(latents, 8)])
            metrics[f"{name}_psnr"] = psnr(rebuilt, video.float() / 127.5 - 1.0)
            spread = latent_spread(latents)
    files = save_model(model, context.store)
    return Manifest(stage=context.stage, config_digest=config.digest, files=files, metrics=metrics | spread)


def pretrained_audio_codec(
    codec: AudioCodecConfig,
    clip: ClipSpec,
    clips: Mapping[Split, DecodedClips],
    *,
    runtime: Runtime,
    config: Record,
    context: Context,
) -> Manifest:
    """The manifest of the `audio_vae` stage: the codec, its statistics measured where it came without.

    Raises:
        UsageError: there is no such codec, or the clips do not fit it.
    """
    model = runtime.place(open_audio_codec(codec, clip))

    def sounds(split: Split) -> list[Tensor]:
        waves = clips[split].audio[:_MOST].float() / 32767.0
        return [runtime.send(part) for part in torch.split(waves, 8)]

    with torch.no_grad(), runtime.autocast():
        model.autoencoder.prepare(model.prepared(part) for part in sounds("train"))
        latents = torch.cat([model.encode(part).cpu() for part in sounds("validation")])
    files = save_model(model.autoencoder, context.store)
    metrics = {"parameters": float(parameter_count(model)), **latent_spread(latents)}
    return Manifest(stage=context.stage, config_digest=config.digest, files=files, metrics=metrics)
