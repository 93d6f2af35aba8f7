"""Bar 5: what the autoencoders keep of clips that they were not trained on."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.footage import film_clips
from benchmarks.model.rebuilt import BATCH, Scoring, picture_rows, std_rows
from benchmarks.model.scoring import Job
from benchmarks.model.trained import TrainedRun
from benchmarks.report import Row
from veo_core.data.clips import decode_samples, shrink
from veo_core.generate.pipeline import Generator
from veo_core.world.truth import WorldSpec

_CLIPS = 512
_MOST_COMPRESSED, _LEAST_PSNR = 10.0, 30.0


def rows(run: TrainedRun, seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """Clips filmed anew, encoded and decoded; alternatives are the clips as they were.

    A run's own validation clips are too few: over 80 clips of the training set itself, the standard
    deviation of some channel is off by 5 % as often as not.
    """
    generator = run.generator()
    clip = generator.clip
    world = WorldSpec.model_validate(run.config("collect").get("world") or {})
    samples = film_clips(
        clip,
        16 if quick else _CLIPS,
        seed=seed,
        two_objects=world.two_objects,
        workers=os.cpu_count() or 1,
    )
    arrays = decode_samples(samples, clip)
    sound = torch.from_numpy(arrays.audio).float() / 32767.0
    heard, sound_latents = _through_audio(generator, sound)
    yield from std_rows("sound", sound_latents)
    yield Row("sound: values to a latent value", sound[0].numel() / sound_latents[0].numel(), "times")
    scoring = Scoring([Job("seen", sample.caption) for sample in samples], run.store, clip, seed)
    for name, video in (("base", shrink(arrays.video, clip.upscale)), ("full", arrays.video)):
        least, most = (_LEAST_PSNR, _MOST_COMPRESSED) if name == "base" else (None, None)
        yield from picture_rows(
            f"{name} size",
            generator.video_codec,
            generator.runtime,
            video,
            (heard, sound.numpy()),
            scoring,
            least_psnr=least,
            least_ratio=most,
        )


@torch.no_grad()
def _through_audio(generator: Generator, sound: Tensor) -> tuple[npt.NDArray[np.float32], Tensor]:
    """Sound [n, samples] after the codec, and its latents."""
    rebuilt, latents = [], []
    for part in torch.split(sound, BATCH):
        with generator.runtime.autocast():
            encoded = generator.audio_codec.encode(generator.runtime.send(part))
            rebuilt.append(generator.audio_codec.decode(encoded).float().cpu())
        latents.append(encoded.float().cpu())
    return torch.cat(rebuilt).numpy(), torch.cat(latents)
