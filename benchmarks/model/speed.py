"""How fast we and the usual tutorial's design train and sample: as many parameters, footage of one length."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.model.scoring import Job, jobs
from benchmarks.model.trained import TrainedRun
from benchmarks.model.tutorial_training import Clips, Size, Spent, Tutorial
from benchmarks.report import Row
from veo_core.data.clips import Sample
from veo_core.generate.pipeline import Film, Generator
from veo_core.models.files import parameter_count
from veo_core.models.text import Vocabulary
from veo_core.stage import Context
from veo_core.train import base as base_stage
from veo_core.train import upsampler as upsampler_stage
from veo_core.train.journal import throughput_of
from veo_core.world.grammar import Suite

_TARGET = 3.0
_TIMED_STEPS = 120


class Budgets(NamedTuple):
    """Seconds for which the tutorial's models train."""

    base: float
    upsampler: float


QUICK_BUDGETS = Budgets(5.6, 2.4)
_BUDGETS = Budgets(180.0, 90.0)


def rows(run: TrainedRun, seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """`value` is ours and the alternative the tutorial's, in one process with one number of threads.

    The tutorial's models train for minutes: enough to say how fast they do, and not how well they film.
    """
    ours, theirs = designs(run, seed)
    yield from parameter_rows(ours, theirs)
    budgets = QUICK_BUDGETS if quick else _BUDGETS
    yield from training_rows(run, theirs, budgets, folder, seed, quick)
    yield from sampling_rows(draw_by_turns(run, ours, theirs, prompts_for(seed, quick), seed))


def designs(run: TrainedRun, seed: int) -> tuple[Generator, Tutorial]:
    """A run's models, and the tutorial's with about as many parameters, untrained."""
    ours = run.generator()
    vocabulary = Vocabulary.from_captions(sample.caption for sample in run.samples()["train"])
    torch.manual_seed(seed)
    return ours, Tutorial(ours.clip, vocabulary, matched_size(ours, vocabulary))


def prompts_for(seed: int, quick: bool) -> list[Job]:
    """What both are asked to film."""
    each = 4 if quick else 64
    counts: dict[Suite, int] = {"seen": each, "held_out": each}
    return jobs(counts, seed)


def parameter_rows(ours: Generator, theirs: Tutorial) -> Iterator[Row]:
    for part in ("base", "upsampler", "video_codec", "audio_codec"):
        counts = [parameter_count(getattr(models, part)) / 1e6 for models in (ours, theirs)]
        yield Row(f"parameters: {part.replace('_', ' ')}", counts[0], "million", baseline=counts[1])


class Drawn(NamedTuple):
    """Films of the same prompts by both, and the seconds that each took."""

    ours: list[Film]
    theirs: list[Film]
    our_seconds: float
    their_seconds: float


def draw_by_turns(
    run: TrainedRun, ours: Generator, theirs: Tutorial, asked: Sequence[Job], seed: int
) -> Drawn:
    """Draw batch by batch in turns: the speed of a machine changes over minutes."""
    drawing = run.generation()
    prompts = [job.prompt for job in asked]
    films: list[Film] = []
    imitations: list[Film] = []
    spent = [0.0, 0.0]
    for start in range(0, len(prompts), drawing.batch):
        some = prompts[start : start + drawing.batch]
        begun = time.perf_counter()
        films += ours(
            some, seed=seed + start, sampler=drawing.sampler, cascade=drawing.cascade, batch=drawing.batch
        )
        middle = time.perf_counter()
        imitations += theirs.generate(some, seed=seed + start, batch=drawing.batch)
        spent = [spent[0] + middle - begun, spent[1] + time.perf_counter() - middle]
    return Drawn(films, imitations, *spent)


def sampling_rows(drawn: Drawn) -> Iterator[Row]:
    count = len(drawn.ours)
    speed, other = count / drawn.our_seconds, count / drawn.their_seconds
    yield Row("sampling, with upsampler and decoders", speed, "clips/s", baseline=other)
    yield Row("sampling: faster by", speed / other, "times", target=_TARGET)


def training_rows(
    run: TrainedRun, theirs: Tutorial, budgets: Budgets, folder: Path, seed: int, quick: bool
) -> Iterator[Row]:
    """Train the tutorial's models for as long as `budgets` says; both speeds.

    Ours trains anew for some steps, so that both are timed here. What the tutorial's steps spend their time
    on is told, too.
    """
    clips = _files(run.samples()["train"], folder / "clips")
    config = base_stage.BaseTraining.parse(run.config("train_base"), where="train_base")
    refining = upsampler_stage.UpsamplerTraining.parse(run.config("train_upsampler"), where="train_upsampler")
    base, _ = theirs.fit(
        clips, until=lambda s: s.seconds >= budgets.base, upsampling=False, batch=config.batch, seed=seed
    )
    upsampler, _ = theirs.fit(
        clips,
        until=lambda s: s.seconds >= budgets.upsampler,
        upsampling=True,
        batch=refining.batch,
        seed=seed,
    )
    yield Row("training, wall time", sum(budgets), "s", baseline=base.seconds + upsampler.seconds)

    steps = {"steps": 8, "log_every": 4} if quick else {"steps": _TIMED_STEPS, "log_every": 20}
    latents = run.manifest("encode-latents")
    context = _context(run, "base", seed)
    base_stage.run(latents=latents, config=config.model_copy(update=steps), context=context)
    yield from _faster("training the base model", context, base, target=_TARGET)
    context = _context(run, "upsampler", seed)
    upsampler_stage.run(
        latents=latents,
        video_vae=run.manifest("train-video-vae"),
        config=refining.model_copy(update=steps),
        context=context,
    )
    yield from _faster("training the upsampler", context, upsampler, target=None)
    spent = run.seconds()
    if "encode-latents" in spent:
        yield Row("encoding of all clips, once (in the tutorial: at each step)", spent["encode-latents"], "s")


def matched_size(generator: Generator, vocabulary: Vocabulary) -> Size:
    """The size at which each of the tutorial's models has about as many parameters as ours."""
    size = Size()
    choices = {
        "base": ("base", range(24, 1025, 12)),
        "upsampler": ("upsampler", range(24, 1025, 12)),
        "video": ("video_codec", range(4, 257, 4)),
        "audio": ("audio_codec", range(4, 513, 4)),
    }
    for field, (part, widths) in choices.items():
        wanted = parameter_count(getattr(generator, part))
        distances = {}
        with torch.device("meta"):
            for width in widths:
                tried = Tutorial(generator.clip, vocabulary, replace(size, **{field: width}))
                distances[width] = abs(parameter_count(getattr(tried, part)) - wanted)
        size = replace(size, **{field: min(distances, key=distances.__getitem__)})
    return size


def _files(samples: Sequence[Sample], folder: Path) -> Clips:
    folder.mkdir()
    paths = [folder / f"{sample.clip_id}.mp4" for sample in samples]
    for path, sample in zip(paths, samples, strict=True):
        path.write_bytes(sample.media)
    return Clips(paths, [sample.caption for sample in samples])


def _faster(name: str, context: Context, theirs: Spent, *, target: float | None) -> Iterator[Row]:
    ours = throughput_of(context)
    speed = theirs.clips / theirs.seconds
    yield Row(name, ours.clips_per_second, "clips/s", baseline=speed)
    yield Row(f"{name}: faster by", ours.clips_per_second / speed, "times", target=target)
    for part in ("loading", "encoding", "learning"):
        waiting = ours.waiting if part == "loading" else 0.0 if part == "encoding" else None
        share = getattr(theirs, part) / theirs.seconds
        if waiting is None:
            waiting = 1.0 - (ours.waiting or 0.0)
        yield Row(f"{name}: share of time for {part}", waiting, "share", baseline=share)


def _context(run: TrainedRun, key: str, seed: int) -> Context:
    return Context(stage="bench", store=run.store, seed=seed, key=key, workers=1)
