"""Bar 4: the usual tutorial's design on the same clips for the same wall time, and the speed of both."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.model.following import ATTRIBUTES, SUITES, extra_false_onsets
from benchmarks.model.scoring import jobs, score_films, score_real, summary
from benchmarks.model.trained import TRAINING, TrainedRun
from benchmarks.model.tutorial_training import Clips, Size, Spent, Tutorial
from benchmarks.report import Row
from veo_core.data.clips import Sample
from veo_core.errors import UsageError
from veo_core.evaluate.records import ClipScore
from veo_core.generate.pipeline import Film, Generator
from veo_core.models.files import parameter_count
from veo_core.models.text import Vocabulary
from veo_core.stage import Context
from veo_core.train import base as base_stage
from veo_core.train import upsampler as upsampler_stage
from veo_core.train.journal import throughput_of
from veo_core.world.grammar import Suite

_QUICK_SECONDS = 8.0
_TIMED_STEPS = 120
_REAL = 64


def rows(run: TrainedRun, seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """`value` is ours and the alternative the tutorial's, in one process with one number of threads."""
    generator, drawing = run.generator(), run.generation()
    vocabulary = Vocabulary.from_captions(sample.caption for sample in run.samples()["train"])
    torch.manual_seed(seed)
    theirs = Tutorial(generator.clip, vocabulary, matched_size(generator, vocabulary))
    for part in ("base", "upsampler", "video_codec", "audio_codec"):
        ours, other = (parameter_count(getattr(models, part)) / 1e6 for models in (generator, theirs))
        yield Row(f"parameters: {part.replace('_', ' ')}", ours, "million", baseline=other)
    yield from _training(run, theirs, folder, seed, quick)

    counts: dict[Suite, int] = {"seen": 4, "held_out": 4} if quick else {"seen": 64, "held_out": 64}
    asked = jobs(counts, seed)
    prompts = [job.prompt for job in asked]
    drawn: list[Film] = []
    imitations: list[Film] = []
    spent = [0.0, 0.0]
    for start in range(0, len(prompts), drawing.batch):  # by turns: a machine's speed changes over minutes
        some = prompts[start : start + drawing.batch]
        begun = time.perf_counter()
        drawn += generator(
            some, seed=seed + start, sampler=drawing.sampler, cascade=drawing.cascade, batch=drawing.batch
        )
        middle = time.perf_counter()
        imitations += theirs.generate(some, seed=seed + start, batch=drawing.batch)
        spent = [spent[0] + middle - begun, spent[1] + time.perf_counter() - middle]
    speed = (len(asked) / spent[0], len(asked) / spent[1])
    yield Row("sampling, with upsampler and decoders", speed[0], "clips/s", baseline=speed[1])
    yield Row("sampling: faster by", speed[0] / speed[1], "times", target=3.0)

    real = score_real(run.manifest("package"), run.store, _REAL)
    scores = [score_films(films, asked, run.store, fps=generator.clip.fps) for films in (drawn, imitations)]
    yield from score_rows(scores[0], scores[1], real, seed)


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


def _training(run: TrainedRun, theirs: Tutorial, folder: Path, seed: int, quick: bool) -> Iterator[Row]:
    """Train the tutorial's models for as long as ours took; both speeds.

    Ours trains anew for some steps, so that both are timed here. What the tutorial's steps spend their time
    on is told, too.
    """
    clips = _files(run.samples()["train"], folder / "clips")
    config = base_stage.BaseTraining.parse(run.config("train_base"), where="train_base")
    refining = upsampler_stage.UpsamplerTraining.parse(run.config("train_upsampler"), where="train_upsampler")
    budgets = _budgets(run, quick)
    base, _ = theirs.fit(
        clips, until=lambda s: s.seconds >= budgets[0], upsampling=False, batch=config.batch, seed=seed
    )
    upsampler, _ = theirs.fit(
        clips, until=lambda s: s.seconds >= budgets[1], upsampling=True, batch=refining.batch, seed=seed
    )
    yield Row("training, wall time", sum(budgets), "s", baseline=base.seconds + upsampler.seconds)

    steps = {"steps": 8, "log_every": 4} if quick else {"steps": _TIMED_STEPS, "log_every": 20}
    latents = run.manifest("encode-latents")
    context = _context(run, "base", seed)
    base_stage.run(latents=latents, config=config.model_copy(update=steps), context=context)
    yield from _faster("training the base model", context, base, target=3.0)
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


def _budgets(run: TrainedRun, quick: bool) -> tuple[float, float]:
    """Seconds for the tutorial's base model and upsampler: what all of our training took."""
    if quick:
        return 0.7 * _QUICK_SECONDS, 0.3 * _QUICK_SECONDS
    spent = run.seconds()
    if any(task not in spent for task in TRAINING):
        raise UsageError("tutorial: the run that trained the models is not kept; give RUN= one that did")
    refining = spent["train-upsampler"]
    return sum(spent[task] for task in TRAINING) - refining, refining


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


def score_rows(
    ours: Sequence[ClipScore], theirs: Sequence[ClipScore], real: Sequence[ClipScore], seed: int
) -> Iterator[Row]:
    """Each figure of ours with that of theirs beside it."""
    figures, others = summary(ours, seed), summary(theirs, seed)
    wanted: list[tuple[str, str, str]] = [
        (f"{words}: {'all together' if name == 'all' else name}", f"following_{name}", suite)
        for suite, words in SUITES.items()
        for name in (*ATTRIBUTES, "all")
    ]
    wanted += [(f"contacts that sound within {ms} ms", f"sync_share_{ms}ms", "all") for ms in (50, 100)]
    wanted.append(("contacts", "contacts", "all"))
    for name, metric, split in wanted:
        mine, other = figures.find(metric, split), others.find(metric, split)
        if mine is not None and mine.value is not None:
            baseline = other.value if other else None
            yield Row(name, mine.value, mine.unit, mine.ci_low, mine.ci_high, baseline=baseline)
    extra, their_extra = (extra_false_onsets(scores, real, seed) for scores in (ours, theirs))
    if extra.value is not None:
        name = "false onsets beyond those on true footage"
        yield Row(name, extra.value, "per clip", extra.low, extra.high, baseline=their_extra.value)
