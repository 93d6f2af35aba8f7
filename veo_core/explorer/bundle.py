"""The single file: a run's documents and a choice of its media, to be mailed or opened from a bucket."""

import base64
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from veo_core.errors import UsageError
from veo_core.explorer.clip_index import ClipIndex
from veo_core.explorer.documents import ClipDocument, ClipsDocument, FieldsDocument, RunsDocument
from veo_core.explorer.evaluation import evaluation_document
from veo_core.explorer.funnel import funnel_document
from veo_core.explorer.gallery import clip_rows, fields_document
from veo_core.explorer.library import Run
from veo_core.explorer.media import Media, small_jpeg
from veo_core.explorer.model import model_document
from veo_core.explorer.results import EvaluationDocument, TrainingDocument
from veo_core.explorer.run import log_document, run_document
from veo_core.explorer.runs import run_summary
from veo_core.explorer.shell import single_file
from veo_core.explorer.signals import signals_document
from veo_core.explorer.stories import clip_documents
from veo_core.explorer.training import training_document
from veo_core.lineage.lookup import Lookup
from veo_core.lineage.trained import Training, trainings_of
from veo_core.provenance.claim import product_version
from veo_core.records.base import Record
from veo_core.records.clip import Clip

Noted = TypeVar("Noted", EvaluationDocument, TrainingDocument)

_PER_REASON, _KEPT = 6, 36
"""Clips of each reason to leave, and of those that were kept."""

_MADE_BYTES, _FOOTAGE_BYTES, _FILM_BYTES = 24_000_000, 6_000_000, 4_000_000
"""Bytes of generated clips, of footage, and of films from training, all together."""

_LARGEST = 400_000
"""Bytes of the largest clip of the footage that is put in; of others there are pictures."""

_LOG_BYTES = 20_000


def write_report(run: Run, out: Path | None = None) -> Path:
    """Write a run's single file.

    Args:
        run: as it is now.
        out: the file; `report.html` in the run's folder where None.

    Returns:
        The file's path.

    Raises:
        UsageError: it cannot be written, or has no place because the run lies in a bucket.
    """
    if out is None and not run.is_local:
        raise UsageError(f"run {run.folder.name} lies in {run.label}: name a file with --out")
    target = out or run.folder / "report.html"
    page = single_file(_Bundle(run).content())
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"{target}: cannot be written: {error.strerror}") from None
    return target


class _Bundle:
    """The documents and media of one run, as the page looks for them."""

    def __init__(self, run: Run) -> None:
        self._run, self._base = run, f"/api/runs/{run.id}"
        self._files = Media(run.anew())
        self._documents: dict[str, Any] = {}
        self._media: dict[str, str] = {}
        self._thumbs: dict[str, str] = {}
        self._notes: list[str] = []

    def content(self) -> dict[str, Any]:
        run = self._run.anew()
        summary = run_summary(run)
        document = run_document(run, summary)
        for task in document.tasks:
            if task.log_bytes:
                start = max(0, task.log_bytes - _LOG_BYTES)
                self._put(f"tasks/{task.index}/log", log_document(run, task.index, start))
        builders: dict[str, Callable[[Run], None]] = {
            "funnel": lambda run: self._put("funnel", funnel_document(run)),
            "clips": self._clips,
            "training": self._training,
            "evaluation": self._evaluation,
            "model": self._model,
        }
        for page in document.pages:
            builders[page](self._run.anew())
        notes = list(dict.fromkeys([*document.notes, *self._notes]))
        summary = summary.model_copy(update={"notes": notes})
        self._put("", document.model_copy(update={"summary": summary, "notes": notes}))
        runs = RunsDocument(runs=[summary], notes=[], version=product_version(), live=False)
        self._documents["/api/runs"] = json.loads(runs.model_dump_json())
        return {"documents": self._documents, "media": self._media, "thumbs": self._thumbs}

    def _put(self, path: str, document: Record) -> None:
        """Put a document in, by the rest of its path."""
        self._documents[f"{self._base}/{path}".rstrip("/")] = json.loads(document.model_dump_json())

    def _clips(self, run: Run) -> None:
        """A choice of clips with their stories."""
        index = self._files.index
        chosen = _choice(index)
        fields = fields_document(index)
        note = (
            f"This file holds {len(chosen)} of {len(index)} clips: up to {_PER_REASON} of each reason to "
            f"leave, and {_KEPT} that were kept. `veo ui` shows them all."
        )
        notes = [note] if len(chosen) < len(index) else []
        self._put(
            "clips/fields",
            FieldsDocument(
                fields=fields.fields, sorts=fields.sorts, embedded=len(chosen), total=len(index), notes=notes
            ),
        )
        rows = clip_rows(index, chosen)
        stories = clip_documents(run, index, [row.id for row in rows], _OwnTrainings(run))
        budget = _FOOTAGE_BYTES
        for row, story in zip(rows, stories, strict=True):
            self._put(f"clips/{row.id}", story)
            if row.media and row.media_bytes and row.media_bytes <= min(_LARGEST, budget):
                budget -= row.media_bytes
                self._embed([row.media])
            budget -= self._pictures(story, budget)
        self._put("clips", ClipsDocument(total=len(rows), offset=0, clips=rows))

    def _pictures(self, story: ClipDocument, budget: int) -> int:
        """Put a clip's key frames in, small; how many bytes they have."""
        used = 0
        for frame in story.key_frames:
            if frame in self._media or used >= budget:
                continue
            try:
                data = small_jpeg(self._bytes(frame)[0])
            except UsageError as error:
                self._notes.append(str(error))
                continue
            used += len(data)
            self._media[frame] = _data_uri(data, "image/jpeg")
        if story.key_frames and story.key_frames[0] in self._media:
            self._thumbs[story.id] = self._media[story.key_frames[0]]
        return used

    def _training(self, run: Run) -> None:
        """Curves, and the last films that have room."""
        document = training_document(run)
        budget = _FILM_BYTES
        for stage in document.stages:
            for step in reversed(stage.samples):
                wanted = [name for clip in step.clips for name in (clip.picture, clip.sound) if name]
                size = sum(len(self._bytes(name)[0]) for name in wanted)
                if size <= budget:
                    budget -= size
                    self._embed(wanted)
        self._put("training", _noted(document, self._left_out(document)))

    def _left_out(self, document: TrainingDocument) -> str:
        steps = [step for stage in document.stages for step in stage.samples]
        left = [step for step in steps if any(clip.picture not in self._media for clip in step.clips)]
        return f"Films of {len(left)} of {len(steps)} steps have no room in this file." if left else ""

    def _evaluation(self, run: Run) -> None:
        """Scores, and the generated clips as they leave."""
        document = evaluation_document(run)
        budget, shown = _MADE_BYTES, 0
        for clip in document.clips:
            self._embed(filter(None, [clip.poster, clip.first_frame]))
            if clip.bytes > budget:
                continue
            budget -= clip.bytes
            shown += self._embed([clip.media])
            try:
                signals = signals_document(run, self._files.generated(clip.id))
                self._put(f"signals/{clip.id}", signals)
            except UsageError as error:
                self._notes.append(str(error))
        left = len(document.clips) - shown
        note = f"{left} of {len(document.clips)} generated clips are not in this file." if left else ""
        self._put("evaluation", _noted(document, note))

    def _model(self, run: Run) -> None:
        try:
            self._put("model", model_document(run))
        except UsageError as error:
            self._notes.append(str(error))

    def _embed(self, names: Iterable[str]) -> int:
        """Put media in; how many of them are. What is missing is told in the notes."""
        done = 0
        for name in names:
            try:
                if name not in self._media:
                    self._media[name] = _data_uri(*self._bytes(name))
                done += 1
            except (UsageError, OSError) as error:
                self._notes.append(str(error))
        return done

    def _bytes(self, sha256: str) -> tuple[bytes, str]:
        served = self._files.find(sha256)
        if served.ref is None:
            assert served.data is not None
            return served.data, served.type
        return self._run.store.get_bytes(served.ref), served.type


class _OwnTrainings:
    """What this run trained on its clips: the same for all of one split."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._known: dict[str, list[Training]] = {}

    def __call__(self, clip: Clip) -> list[Training]:
        if not clip.split:
            return []
        if clip.split not in self._known:
            with Lookup(self._run.store) as lookup:
                found = trainings_of({clip.clip_id}, self._run.runs, self._run.store, lookup)
            self._known[clip.split] = [t for t in found if t.run == self._run.folder.name]
        return self._known[clip.split]


def _choice(index: ClipIndex) -> npt.NDArray[np.intp]:
    """Rows to put in: the first of each reason, and kept ones evenly over the run."""
    (stages, _), (verdicts, names), (rules, _) = (index.codes(c) for c in ("stage", "verdict", "rule"))
    kept = np.flatnonzero(verdicts == names.index("kept")) if "kept" in names else np.zeros(0, np.intp)
    chosen = [kept[np.unique(np.linspace(0, len(kept) - 1, _KEPT).round().astype(int))]] if len(kept) else []
    lost = np.setdiff1d(np.arange(len(index)), kept)
    reasons = np.stack([stages[lost], verdicts[lost], rules[lost]], axis=1)
    for reason in np.unique(reasons, axis=0):
        chosen.append(lost[np.flatnonzero((reasons == reason).all(axis=1))[:_PER_REASON]])
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.intp)


def _noted(document: Noted, note: str) -> Noted:
    return document.model_copy(update={"notes": [*document.notes, *([note] if note else [])]})


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
