"""The training page: curves of each stage, its speed, and films made while it trained."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from veo_core.errors import UsageError
from veo_core.explorer.events import Events, read_events
from veo_core.explorer.library import Run
from veo_core.explorer.results import Curve, Sample, SampleStep, Series, TrainedStage, TrainingDocument
from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.records.base import sha256_bytes
from veo_core.records.manifest import Manifest
from veo_core.records.run import TaskRecord

Points = list[tuple[float, float | None]]

_VALIDATION = ("validation/", "validation_", "val/", "val_", "ema/", "ema_")
_LEARNING, _SPEED = "tensorboard/learning/events.tfevents", "tensorboard/speed/events.tfevents"
_MOST_POINTS = 2000
_DECADES = 30.0
"""Greatest over least value from which a curve is drawn on a log scale."""

_SPEED_UNITS = {
    "seconds_per_step": "s",
    "clips_per_second": "clips/s",
    "waiting": "share",
    "tflops": "TFLOP/s",
    "mfu": "share",
    "peak_memory": "bytes",
}
_LAST = ("gradient", "learning_rate")


def training_document(run: Run) -> TrainingDocument:
    """Every training stage that has told something."""
    evidence = run.evidence
    stages = [_finished(evidence, stage, manifest) for stage, manifest in evidence.with_file("history")]
    running = [stage for stage in evidence.stages if stage.task.state == "RUNNING"]
    stages += [found for stage in running if (found := _running(evidence, stage)) is not None]
    return TrainingDocument(
        stages=sorted(stages, key=lambda stage: stage.task), notes=list(dict.fromkeys(evidence.notes))
    )


def sample_media(evidence: Evidence) -> dict[str, tuple[bytes, str]]:
    """Bytes and media type of all films of the run's training stages, by sha256."""
    found: dict[str, tuple[bytes, str]] = {}
    for _, manifest in evidence.with_file("tensorboard"):
        found |= _learned(evidence, manifest).media
    return found


def trains(task: TaskRecord) -> str:
    """The training stage that a task runs; "" where it runs none."""
    module = next((part for part in task.command if part.startswith("veo_core.train.")), "")
    return module.rpartition(".")[2]


def _finished(evidence: Evidence, stage: StageEvidence, manifest: Manifest) -> TrainedStage:
    notes: list[str] = []
    data = evidence.bytes(manifest.files["history"])
    events = _learned(evidence, manifest)
    return TrainedStage(
        task=stage.index,
        name=stage.task.name,
        state=stage.task.state,
        figures=manifest.metrics,
        curves=_curves(_history(data.decode("utf-8", "replace")) if data else {}),
        throughput=_speeds(_speed(evidence, manifest)),
        samples=_samples(events),
        notes=notes,
    )


def _running(evidence: Evidence, stage: StageEvidence) -> TrainedStage | None:
    """A stage that trains at the moment, from the logs that it writes; None where it has none yet."""
    name, started = trains(stage.task), stage.task.started
    if not name or started is None:
        return None
    for key in _logs(evidence, name):
        speed = _marked(evidence, f"{key}/{_SPEED}")
        if speed is not None and speed.last >= started:
            learned = _marked(evidence, f"{key}/{_LEARNING}") or Events()
            return TrainedStage(
                task=stage.index,
                name=stage.task.name,
                state=stage.task.state,
                figures={},
                curves=_curves(learned.scalars),
                throughput=_speeds(speed.scalars),
                samples=_samples(learned),
                notes=["it trains at the moment; what is shown is what it has logged so far"],
            )
    return None


def _learned(evidence: Evidence, manifest: Manifest) -> Events:
    ref = manifest.files.get("tensorboard")
    data = evidence.bytes(ref) if ref else None
    if ref is None or data is None:
        return Events()
    try:
        return read_events(data)
    except ValueError as error:
        evidence.notes.append(f"file {ref.path} cannot be shown: {error}")
        return Events()


def _speed(evidence: Evidence, manifest: Manifest) -> dict[str, Points]:
    """The speed of a finished stage: of the logs in the store, that beside the one it published."""
    ref = manifest.files.get("tensorboard")
    for key in _logs(evidence, manifest.stage) if ref else ():
        learned = evidence.store.get_mark(f"{key}/{_LEARNING}")
        if learned is not None and ref is not None and sha256_bytes(learned) == ref.sha256:
            events = _marked(evidence, f"{key}/{_SPEED}")
            return events.scalars if events else {}
    return {}


def _logs(evidence: Evidence, stage: str) -> list[str]:
    """Marks below which runs of a stage keep their logs."""
    try:
        keys = evidence.store.marks(below=stage)
    except (UsageError, OSError) as error:
        evidence.notes.append(f"logs of {stage} cannot be shown: {error}")
        return []
    return [key.removesuffix(f"/{_SPEED}") for key in keys if key.endswith(f"/{_SPEED}")]


def _marked(evidence: Evidence, key: str) -> Events | None:
    data = evidence.store.get_mark(key)
    try:
        return read_events(data) if data else None
    except ValueError as error:
        evidence.notes.append(f"mark {key} cannot be shown: {error}")
        return None


def _history(lines: str) -> dict[str, Points]:
    """Points of every scalar of a history; a line that is cut off is left out."""
    points: dict[str, Points] = defaultdict(list)
    for line in lines.splitlines():
        try:
            row = json.loads(line)
            step = float(row["step"])
        except (ValueError, KeyError, TypeError):
            continue
        for name, value in row.items():
            if name != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                points[name].append((step, float(value) if math.isfinite(value) else None))
    return points


def _speeds(scalars: Mapping[str, Points]) -> list[Curve]:
    """Charts of speed, without the number of steps that each figure is of."""
    return _curves({name: points for name, points in scalars.items() if name in _SPEED_UNITS})


def _curves(scalars: Mapping[str, Points]) -> list[Curve]:
    """Charts: a training figure and its validation share one; the loss comes first."""
    families: dict[str, list[Series]] = defaultdict(list)
    for name, points in scalars.items():
        prefix = next((prefix for prefix in _VALIDATION if name.startswith(prefix)), "")
        base = name.removeprefix(prefix)
        shared = bool(prefix) and base in scalars
        shown = _thinned(points)
        families[base if shared else name].append(
            Series(
                name=name,
                validation=shared,
                steps=[step for step, _ in shown],
                values=[value for _, value in shown],
            )
        )
    titles = sorted(families, key=lambda title: (title != "loss", title in _LAST, title))
    return [
        Curve(
            title=title,
            unit=_SPEED_UNITS.get(title, ""),
            log=title != "learning_rate" and _spans_decades(families[title]),
            series=sorted(families[title], key=lambda series: series.validation),
        )
        for title in titles
    ]


def _thinned(points: Points) -> Points:
    """At most `_MOST_POINTS`, evenly taken, with the last one."""
    if len(points) <= _MOST_POINTS:
        return points
    step = (len(points) - 1) / (_MOST_POINTS - 1)
    return [points[round(number * step)] for number in range(_MOST_POINTS)]


def _spans_decades(series: Iterable[Series]) -> bool:
    values = [value for one in series for value in one.values if value is not None]
    return bool(values) and min(values) > 0 and max(values) / min(values) >= _DECADES


def _samples(events: Events) -> list[SampleStep]:
    return [
        SampleStep(
            step=films.step,
            clips=[
                Sample(picture=films.pictures[number], sound=films.sounds.get(number, ""))
                for number in _ordered(films.pictures)
            ],
        )
        for films in events.films
    ]


def _ordered(numbers: Iterable[str]) -> Sequence[str]:
    return sorted(numbers, key=lambda number: (len(number), number))
