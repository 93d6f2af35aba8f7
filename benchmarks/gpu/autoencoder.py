"""Bar 5 at a size that needs an accelerator: its picture autoencoder, trained on the world's footage."""

import os
import tempfile
from collections.abc import Iterator

import numpy as np

from benchmarks.footage import film_clips, packaged
from benchmarks.model.autoencoder import Scoring, picture_rows
from benchmarks.model.scoring import Job
from benchmarks.report import Row
from veo_core.data.clips import decode_samples, shrink
from veo_core.models.codecs import load_video_codec
from veo_core.models.sizes import Size
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.train import video_vae as stage
from veo_core.train.runtime import Runtime, RuntimeConfig
from veo_core.train.video_vae import VideoVAETraining

_LEAST_PSNR, _MOST_COMPRESSED = 30.0, 48.0
_VALIDATION = 64


def rows(
    name: str, size: Size, runtime_config: RuntimeConfig, *, clips: int, steps: int, batch: int, seed: int
) -> Iterator[Row]:
    """The training stage as the pipeline runs it, on footage filmed at this size; clips that it never saw."""
    clip = size.clip.model_copy(update={"video": size.video_vae.factors})
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        workers = os.cpu_count() or 1
        count = clips + min(_VALIDATION, clips)
        filmed = film_clips(clip, count, seed=seed, two_objects=0.2, workers=workers)
        held = filmed[clips:]
        dataset = packaged({"train": filmed[:clips], "validation": held}, clip, store)
        config = VideoVAETraining(
            steps=steps, batch=batch, clip_spec=clip, model=size.video_vae, runtime=runtime_config
        )
        context = Context("train_video_vae", store, seed=seed, key=config.digest[:32], workers=workers)
        trained = stage.run(dataset=dataset, config=config, context=context)
        arrays = decode_samples(held, clip)
        sound = np.divide(arrays.audio, 32767.0, dtype=np.float32)
        scoring = Scoring([Job("seen", sample.caption) for sample in held], store, clip, seed)
        runtime = Runtime(runtime_config)
        codec = runtime.place(load_video_codec(trained.files, store, where="video VAE"))
        for words, video in (("base", shrink(arrays.video, clip.upscale)), ("full", arrays.video)):
            yield from picture_rows(
                f"{name}, {words} size, after {steps} steps of {batch}",
                codec,
                runtime,
                video,
                (sound, sound),
                scoring,
                least_psnr=_LEAST_PSNR,
                least_ratio=_MOST_COMPRESSED,
            )
