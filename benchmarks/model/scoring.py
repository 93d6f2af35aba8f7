"""Scores of generated clips by the world's detectors, as the stage `evaluate` gives them."""

import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.report import Row
from veo_core.evaluate.intervals import wilson
from veo_core.evaluate.measure import measure_clips
from veo_core.evaluate.records import ClipScore, EvaluationSummary, SummaryRow
from veo_core.evaluate.summary import summarise
from veo_core.generate.pipeline import Film
from veo_core.media.encode import encode
from veo_core.records.clip import Clip
from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest
from veo_core.storage import Store
from veo_core.world.grammar import Suite, parse, prompt_suite


class Job(NamedTuple):
    """A prompt with the suite that it comes from."""

    suite: Suite
    prompt: str


def jobs(counts: dict[Suite, int], seed: int) -> list[Job]:
    """So many prompts of each suite."""
    return [Job(s, prompt.text) for s, count in counts.items() for prompt in prompt_suite(s, count, seed)]


def score_films(
    films: Iterable[Film], asked: Sequence[Job], store: Store, *, fps: float, mode: str = "t2v"
) -> list[ClipScore]:
    """Write clips as MP4 files, and let the detectors see and hear those."""
    unmeasured = [
        _score(_write(film, fps, store), job.prompt, job.suite, mode)
        for film, job in zip(films, asked, strict=True)
    ]
    return measure_clips(unmeasured, root=store.root)


def score_real(dataset: Manifest, store: Store, count: int) -> list[ClipScore]:
    """Validation clips of the dataset: what the detectors leave to be reached."""
    clips = store.get_table(dataset.tables["clips"], Clip)
    chosen = sorted((clip for clip in clips if clip.split == "validation"), key=lambda clip: clip.clip_id)
    unmeasured = [
        _score(clip.media, clip.annotation.caption if clip.annotation else "", "real", "", group="real")
        for clip in chosen[:count]
    ]
    return measure_clips(unmeasured, root=store.root)


def summary(scores: Sequence[ClipScore], seed: int) -> EvaluationSummary:
    """Every figure of the scores, with intervals."""
    return EvaluationSummary(generated="", dataset="", rows=summarise(scores, seed=seed))


def row_of(name: str, figure: SummaryRow | None, *, target: float | None = None) -> list[Row]:
    """A figure of a summary as a row; none where there was nothing to measure."""
    if figure is None or figure.value is None:
        return []
    unit = figure.unit
    return [Row(name, figure.value, unit, figure.ci_low, figure.ci_high, target, baseline=figure.control)]


def bound(scores: Sequence[ClipScore]) -> list[bool]:
    """Of each clip: whether its objects have the colours and shapes of the prompt, in the right pairs."""
    marks = []
    for score in scores:
        wanted = parse(score.prompt)
        assert wanted is not None
        asked = sorted((item.colour or "", item.shape or "") for item in wanted.objects)
        marks.append(asked == sorted((item.colour, item.shape) for item in score.objects))
    return marks


def share_row(
    name: str, marks: Sequence[bool], *, target: float | None = None, baseline: float | None = None
) -> list[Row]:
    """A share of clips with Wilson's interval; no row without clips."""
    share = wilson(sum(marks), len(marks))
    if share.value is None:
        return []
    return [Row(name, share.value, "share", share.low, share.high, target, baseline=baseline)]


def _score(media: FileRef, prompt: str, split: str, mode: str, *, group: str = "generated") -> ClipScore:
    fields = {"clip_id": media.sha256, "group": group, "prompt": prompt, "split": split, "mode": mode}
    return ClipScore.model_validate({**fields, "media": media})


def _write(film: Film, fps: float, store: Store) -> FileRef:
    buffer = io.BytesIO()
    encode(buffer, film.frames, fps=fps, audio=film.audio[None], audio_rate=film.audio_rate)
    return store.put_bytes(buffer.getvalue(), ".mp4")
