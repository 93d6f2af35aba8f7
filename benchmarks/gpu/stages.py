"""The training stages as the pipeline runs them, on footage of the world filmed at a size for accelerators.

Bar 5: what the picture autoencoder keeps of clips that it never saw. Then the trainer's own account of the
base model's training on the latents: loader, checkpoints and logs included.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.footage import film_clips, packaged
from benchmarks.model.rebuilt import Scoring, picture_rows
from benchmarks.model.scoring import Job
from benchmarks.report import Row
from veo_core.data.clips import Sample, decode_samples, shrink
from veo_core.data.spec import ClipSpec
from veo_core.models.codecs import load_video_codec
from veo_core.models.sizes import Size
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.train import audio_vae, base, encode_latents, video_vae
from veo_core.train.audio_vae import AudioVAETraining
from veo_core.train.base import BaseTraining
from veo_core.train.encode_latents import LatentEncoding
from veo_core.train.journal import throughput_of
from veo_core.train.runtime import Runtime, RuntimeConfig
from veo_core.train.throughput import Throughput
from veo_core.train.video_vae import VideoVAETraining

_LEAST_PSNR, _MOST_COMPRESSED, _MOST_WAITING = 30.0, 48.0, 0.05
_VALIDATION = 64


@dataclass(frozen=True)
class Lengths:
    """How much is filmed and trained.

    Attributes:
        clips: clips that are trained on.
        picture_steps, picture_batch: steps of the picture autoencoder, and clips in one.
        base_steps, base_batch: of the base model; the sound's autoencoder takes as many steps.
    """

    clips: int
    picture_steps: int
    picture_batch: int
    base_steps: int
    base_batch: int


def sections(
    name: str, size: Size, runtime: RuntimeConfig, *, lengths: Lengths, seed: int
) -> Iterator[tuple[str, Iterator[Row]]]:
    """Scores of the picture autoencoder, then speed and waiting of the base model's training."""
    clip = size.clip.model_copy(update={"video": size.video_vae.factors})
    eager = runtime.model_copy(update={"compile": False})
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        workers = os.cpu_count() or 1
        count = lengths.clips + min(_VALIDATION, lengths.clips)
        filmed = film_clips(clip, count, seed=seed, two_objects=0.2, workers=workers)
        held = filmed[lengths.clips :]
        dataset = packaged({"train": filmed[: lengths.clips], "validation": held}, clip, store)

        def context(stage: str) -> Context:
            return Context(stage, store, seed=seed, key=f"{seed:032x}", workers=workers)

        pictures = video_vae.run(
            dataset=dataset,
            config=VideoVAETraining(
                steps=lengths.picture_steps,
                batch=lengths.picture_batch,
                clip_spec=clip,
                model=size.video_vae,
                runtime=eager,
            ),
            context=context("train_video_vae"),
        )
        label = f"{name}, {{}} size, after {lengths.picture_steps} steps of {lengths.picture_batch}"
        yield f"{name} autoencoder", _picture_rows(label, pictures, held, clip, eager, store, seed)

        sounds = audio_vae.run(
            dataset=dataset,
            config=AudioVAETraining(
                steps=lengths.base_steps, clip_spec=clip, model=size.audio_vae, runtime=eager
            ),
            context=context("train_audio_vae"),
        )
        latents = encode_latents.run(
            dataset=dataset,
            video_vae=pictures,
            audio_vae=sounds,
            config=LatentEncoding(clip_spec=clip, runtime=eager),
            context=context("encode_latents"),
        )
        training = context("train_base")
        config = BaseTraining(
            **size.base.model_dump(), steps=lengths.base_steps, batch=lengths.base_batch, runtime=runtime
        )
        base.run(latents=latents, config=config, context=training)
        words = f"{name}, {lengths.base_steps} steps of {lengths.base_batch}"
        yield f"{name} train_base", _speed_rows(words, throughput_of(training))


def _speed_rows(words: str, speed: Throughput) -> Iterator[Row]:
    yield Row(f"{words}: training", speed.clips_per_second, "clips/s")
    assert speed.waiting is not None
    yield Row(f"{words}: waiting for batches", speed.waiting, "share", target=_MOST_WAITING, op="<=")
    if speed.mfu is not None:
        yield Row(f"{words}: model FLOPs utilisation", speed.mfu, "share")


def _picture_rows(
    label: str,
    trained: Manifest,
    held: list[Sample],
    clip: ClipSpec,
    runtime_config: RuntimeConfig,
    store: Store,
    seed: int,
) -> Iterator[Row]:
    arrays = decode_samples(held, clip)
    sound = np.divide(arrays.audio, 32767.0, dtype=np.float32)
    scoring = Scoring([Job("seen", sample.caption) for sample in held], store, clip, seed)
    runtime = Runtime(runtime_config)
    codec = runtime.place(load_video_codec(trained.files, store, where="video VAE"))
    for words, video in (("base", shrink(arrays.video, clip.upscale)), ("full", arrays.video)):
        yield from picture_rows(
            label.format(words),
            codec,
            runtime,
            video,
            (sound, sound),
            scoring,
            least_psnr=_LEAST_PSNR,
            least_ratio=_MOST_COMPRESSED,
        )
