"""Encode the dataset with the trained autoencoders, once, for the denoisers."""

import torch
from pydantic import Field
from torch import Tensor

from veo_core.data.clips import Sample, decode_samples, read_samples, shrink
from veo_core.data.latents import LatentClips, LatentLayout, save_latents
from veo_core.data.mel import LogMel
from veo_core.data.spec import ClipSpec
from veo_core.diffusion.cascade import enlarge
from veo_core.errors import UsageError
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.files import load_stored
from veo_core.models.text import Vocabulary
from veo_core.models.video_vae import VideoVAE
from veo_core.records.base import Record
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.train.measure import batches
from veo_core.train.runtime import Runtime, RuntimeConfig


class LatentEncoding(Record):
    """Configuration of the stage."""

    clip_spec: ClipSpec = ClipSpec()
    keep_frames: int = Field(
        default=64, description="validation clips whose pictures are kept for later stages"
    )
    upsampler_clips: int = Field(
        default=640,
        ge=1,
        description="clips of a split whose full-size latents are kept: refinement is local",
    )
    runtime: RuntimeConfig = RuntimeConfig()


def run(
    *, dataset: Manifest, video_vae: Manifest, audio_vae: Manifest, config: LatentEncoding, context: Context
) -> Manifest:
    spec, store = config.clip_spec, context.store
    runtime = Runtime(config.runtime)
    pictures = runtime.place(load_stored(VideoVAE, video_vae.files, store, where="video VAE"))
    sounds = runtime.place(load_stored(AudioVAE, audio_vae.files, store, where="audio VAE"))
    if sounds.config.mel_bins != spec.mel_bins:
        raise UsageError(
            f"encode_latents: clip_spec has {spec.mel_bins} mel bins, the audio VAE {sounds.config.mel_bins}"
        )
    layout = LatentLayout(
        clip=spec,
        video_channels=pictures.config.latent_channels,
        audio_channels=sounds.config.latent_channels,
        space_factor=pictures.config.space_factor,
    )
    analysis = LogMel(spec)

    def encode(samples: list[Sample]) -> tuple[LatentClips, Tensor]:
        arrays = decode_samples(samples, spec)
        full = torch.from_numpy(arrays.video)
        base = torch.from_numpy(shrink(arrays.video, spec.upscale))
        mel = analysis(torch.from_numpy(arrays.audio))
        with runtime.autocast():
            small = torch.cat([pictures.encode(x).cpu() for x in batches(base, runtime)])
            count = min(config.upsampler_clips, len(full))
            large = torch.cat([pictures.encode(x).cpu() for x in batches(full[:count], runtime, 16)])
            parts = (runtime.send(small[at : min(at + 16, count)]) for at in range(0, count, 16))
            larger = torch.cat([enlarge(pictures, part, spec.upscale).cpu() for part in parts])
            sound = torch.cat([sounds.encode(runtime.send(x)).cpu() for x in mel.split(64)])
        clips = LatentClips(
            base=small,
            full=large.half(),
            enlarged=larger.half(),
            audio=sound,
            captions=[sample.caption for sample in samples],
            short_captions=[sample.short_caption for sample in samples],
        )
        return clips, full

    samples = read_samples(dataset, store)
    train, _ = encode(samples["train"])
    validation, frames = encode(samples["validation"])
    splits = {"train": train, "validation": validation}
    files = save_latents(layout, splits, frames[: config.keep_frames], store)
    vocabulary = Vocabulary.from_captions(train.captions + train.short_captions)
    files["vocabulary"] = store.put_bytes(vocabulary.to_bytes(), ".json")
    metrics = {f"{split}_clips": float(len(clips.base)) for split, clips in splits.items()}
    for name in ("base", "full", "audio"):
        metrics[f"{name}_std"] = float(getattr(validation, name).float().std())
    metrics["words"] = float(len(vocabulary.words))
    return Manifest(stage=context.stage, config_digest=config.digest, files=files, metrics=metrics)


if __name__ == "__main__":
    stage_main(run)
