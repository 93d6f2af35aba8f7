"""Bar 3: one model also takes a picture to start from, pictures to sound, or sound to picture."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.model.following import ATTRIBUTES
from benchmarks.model.rebuilt import psnr_of
from benchmarks.model.scoring import Job, row_of, score_films, summary
from benchmarks.model.trained import TrainedRun
from benchmarks.report import Row
from veo_core.data.clips import decode_samples
from veo_core.evaluate.intervals import bootstrap_mean
from veo_core.generate.generate import Generation
from veo_core.generate.pipeline import Film, Generator
from veo_core.generate.request import Request

_CLIPS = 128


def rows(run: TrainedRun, seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """Validation clips give pictures, sound and captions; alternatives have prompts or sounds exchanged."""
    generator, drawing = run.generator(), run.generation()
    samples = run.samples()["validation"][: 8 if quick else _CLIPS]
    arrays = decode_samples(samples, generator.clip)
    video = np.ascontiguousarray(arrays.video.transpose(0, 2, 3, 4, 1))
    sound = arrays.audio.astype(np.float32) / 32767.0
    asked = [Job("seen", sample.caption) for sample in samples]

    yield from _image_rows(
        run, generator, films_of(generator, drawing, asked, seed, image=video[:, 0]), video[:, 0], asked, seed
    )

    sounded = films_of(generator, drawing, asked, seed, video=video)
    figures = summary(score_films(sounded, asked, run.store, fps=generator.clip.fps), seed)
    for ms, target in ((50, None), (100, 0.90)):
        name = f"video to audio: contacts that sound within {ms} ms"
        yield from row_of(name, figures.find(f"sync_share_{ms}ms", "all"), target=target)
    yield from row_of("video to audio: false onsets", figures.find("false_onsets", "all"))
    yield from row_of("video to audio: pitch", figures.find("following_pitch", "seen"))

    shown = films_of(generator, drawing, asked, seed, audio=sound)
    figures = summary(score_films(shown, asked, run.store, fps=generator.clip.fps), seed)
    for name in ATTRIBUTES[:3]:
        yield from row_of(f"audio to video: {name}", figures.find(f"following_{name}", "seen"))
    name = "audio to video: contacts that sound within 100 ms"
    yield from row_of(name, figures.find("sync_share_100ms", "all"))


def films_of(
    generator: Generator, drawing: Generation, asked: Sequence[Job], seed: int, **given: npt.NDArray[Any]
) -> list[Film]:
    """A clip for each prompt, from what is `given` for each: `image`, `video` or `audio` of a request."""
    requests = [
        Request(
            job.prompt,
            seed=seed + number,
            sampler=drawing.sampler,
            **{name: items[number] for name, items in given.items()},
        )
        for number, job in enumerate(asked)
    ]
    made = dict(generator.films(requests, cascade=drawing.cascade, batch=drawing.batch))
    return [made[number] for number in range(len(requests))]


def _image_rows(
    run: TrainedRun,
    generator: Generator,
    films: Sequence[Film],
    given: npt.NDArray[np.uint8],
    asked: Sequence[Job],
    seed: int,
) -> Iterator[Row]:
    """The first picture against the given one, which the autoencoder alone changes; what the prompt asks."""
    first = np.stack([film.frames[0] for film in films])
    likeness = bootstrap_mean(psnr_of(first, given), seed=seed)
    rebuilt = float(np.mean(psnr_of(generator.rebuilt(given), given)))
    assert likeness.value is not None
    name = "image to video: PSNR of the first picture (alternative: of the autoencoder alone)"
    yield Row(name, likeness.value, "dB", likeness.low, likeness.high, 30.0, baseline=rebuilt)
    figures = summary(score_films(films, asked, run.store, fps=generator.clip.fps), seed)
    for attribute in (*ATTRIBUTES, "all"):
        target = 0.90 if attribute == "direction" else None
        words = "all together" if attribute == "all" else attribute
        figure = figures.find(f"following_{attribute}", "seen")
        yield from row_of(f"image to video: {words}", figure, target=target)
    yield from row_of(
        "image to video: contacts that sound within 100 ms", figures.find("sync_share_100ms", "all")
    )
