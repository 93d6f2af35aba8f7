"""The curation of a made-up archive as tables: every clip, every decision, whole columns at a time.

Ids, names, signals and decisions are the archive's own; film, key frames and words are those of a few clips
of the world, which all clips share. Source files are named, but not stored.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from veo_core.records.base import Record
from veo_core.records.clip import Annotation, Clip, Description, MediaFacts, NearPair, Pair, Signals, Source
from veo_core.records.files import FileRef, TableRef
from veo_core.records.ledger import Counts, Decision, Outcome, Verdict
from veo_core.records.tables import GROUP_ROWS, arrow_schema
from veo_core.storage import Store

Indices = npt.NDArray[np.int64]

CLIP_STAGES = ("describe", "dedup", "safety_filter", "quality_filter", "annotate", "package")
BUCKET = "64x64x17"
CLIPS_PER_SHARD = 256
_JUDGED = ("describe", "safety_filter", "quality_filter", "annotate")
_JUDGE = "world-detector-1"
_KEPT = -1
_LICENCES = (
    ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
    ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"),
    ("CC-BY-SA-4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
    ("LicenseRef-contract-2024", ""),
)
_AUTHORS = tuple(f"{first} {last}" for first in ("Ada", "Bilal", "Chen", "Dina", "Emeka") for last in
                 ("Aalto", "Brandt", "Castillo", "Dube", "Eriksen", "Farah", "Gupta", "Haddad"))  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """A way in which a share of a stage's items is lost; `low` to `high` is what was measured."""

    stage: str
    rule: str
    share: float
    low: float = 0.0
    high: float = 0.0
    threshold: str = ""
    verdict: Verdict = "dropped"
    evidence: str = ""
    scores: tuple[str, ...] = ()
    """Names of further figures, which get the same value."""


CLIP_LOSSES = (
    Loss("dedup", "near_duplicate", 0.043, 0.92, 1.0, "0.92", scores=("embedding", "motion")),
    Loss("dedup", "exact_duplicate", 0.0065, 1.0, 1.0, scores=("packets", "motion")),
    Loss("safety_filter", "unsafe:hazard", 0.006, 0.5, 1.0, "0.5", scores=("hazard",),
         evidence="picture 0: The pictures show a hazard sign."),
    Loss("safety_filter", "no_answer", 0.0004, verdict="quarantined", evidence="no usable answer"),
    Loss("quality_filter", "blurred", 0.0075, 0.1, 0.58, "0.59"),
    Loss("quality_filter", "silent", 0.0075, -120, -56, "-55"),
    Loss("quality_filter", "static", 0.0068, 0.0, 0.039, "0.04"),
    Loss("quality_filter", "burnt_in_text", 0.0061, 0.021, 0.3, "0.02"),
    Loss("quality_filter", "bright", 0.0054, 226, 250, "225"),
    Loss("quality_filter", "out_of_sync", 0.0047, 0.121, 0.5, "0.12"),
    Loss("quality_filter", "clipped_sound", 0.004, 0.0021, 0.08, "0.002"),
    Loss("quality_filter", "dark", 0.0034, 1, 11.9, "12"),
    Loss("annotate", "names_a_person", 0.0003, verdict="quarantined", evidence="the caption names a person"),
    Loss("package", "cropped_too_much", 0.002, 0.11, 0.4, "0.1"),
)  # fmt: skip
SOURCE_LOSSES = (
    Loss("collect", "rights", 0.013, threshold="allowed"),
    Loss("prepare", "undecodable", 0.0065, verdict="failed",
         evidence="InvalidDataError: Invalid data found when processing input"),
    Loss("prepare", "limit", 0.003, evidence="8192x8192 pixels are too many"),
)  # fmt: skip
SHOT_LOSSES = (
    Loss("prepare", "too_short", 0.0085, 0.2, 1.9, "2", evidence="shot 9 from 1.000 s on"),
    Loss("prepare", "too_long", 0.004, 6.1, 9, "6", evidence="shot 9 from 1.000 s on"),
)


@dataclass(frozen=True)
class Film:
    """A stored clip of the world, and what is said of it."""

    media: FileRef
    key_frames: list[FileRef]
    facts: MediaFacts
    description: Description
    annotation: Annotation
    frame_hashes: list[str]
    caption: str


@dataclass
class Archive:
    """A made-up archive of sources, each cut into one to three clips, and what became of them.

    Args:
        films: what is seen and heard, in turn.
        clips: how many clips are prepared.
        seed: of everything that is random.
        store: where its tables are written.
    """

    films: Sequence[Film]
    clips: int
    seed: int
    store: Store
    _lost_items: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        shots = rng.integers(1, 4, self.clips)
        owners = np.repeat(np.arange(self.clips), shots)[: self.clips]
        prepared = int(owners[-1]) + 1
        lost = [(loss, max(1, round(loss.share * prepared))) for loss in SOURCE_LOSSES]
        total = prepared + sum(count for _, count in lost)
        self._files = [_sha256(f"footage {self.seed} {number}") for number in range(total)]
        self._names = [f"archive/{number // 1000:03d}/film-{number:06d}.mp4" for number in range(total)]
        ids = [_sha256(f"{name}\n{file}") for name, file in zip(self._names, self._files, strict=True)]
        self._source_ids = np.array(ids)
        self._licence = rng.choice(len(_LICENCES), total, p=(0.5, 0.3, 0.15, 0.05))
        self._author = rng.integers(0, len(_AUTHORS), total)
        self._lost_sources(lost, prepared)
        shot = np.concatenate([np.arange(count) for count in shots])[: self.clips]
        pairs = zip(owners.tolist(), shot.tolist(), strict=True)
        clip_ids = np.array([_sha256(f"{ids[owner]}/{shot}") for owner, shot in pairs])
        order = np.argsort(clip_ids)
        self.clip_ids = clip_ids[order]
        self._owner, self._shot = owners[order], shot[order]
        self._film = rng.integers(0, len(self.films), self.clips)
        self._lost_shots(rng)
        self._decide(rng)
        self._rng = rng

    def _lost_sources(self, lost: list[tuple[Loss, int]], first: int) -> None:
        """The sources after the prepared ones, in groups of one fate each."""
        self._denied = np.zeros(len(self._source_ids), bool)
        for loss, count in lost:
            for number in range(first, first + count):
                source = self._source_ids[number]
                value, evidence = "", loss.evidence
                if loss.stage == "collect":
                    self._denied[number] = True
                    value, evidence = "denied", f"{self._names[number]}: the author forbids training"
                self._lose(loss, source, source, value=value, evidence=evidence)
            first += count

    def _lost_shots(self, rng: np.random.Generator) -> None:
        for loss in SHOT_LOSSES:
            for owner in rng.choice(self._owner, max(1, round(loss.share * self.clips))).tolist():
                source = self._source_ids[owner]
                item = _sha256(f"{source}/{loss.rule}/{len(self._lost_items['prepare'])}")
                self._lose(loss, item, source, value=f"{rng.uniform(loss.low, loss.high):.6g}")

    def _lose(self, loss: Loss, item: str, source: str, *, value: str, evidence: str = "") -> None:
        decision = Decision(
            item=item, source=source, stage=loss.stage, verdict=loss.verdict, rule=loss.rule, value=value,
            threshold=loss.threshold, evidence=evidence or loss.evidence,
        )  # fmt: skip
        self._lost_items.setdefault(loss.stage, []).append(decision.model_dump())

    def _decide(self, rng: np.random.Generator) -> None:
        """Each clip's loss, an index into CLIP_LOSSES or _KEPT; a clip in four lies close to a limit."""
        draw = rng.random(self.clips)
        ends = np.cumsum([loss.share for loss in CLIP_LOSSES])
        found = np.searchsorted(ends, draw)
        self._loss = np.where(found < len(CLIP_LOSSES), found, _KEPT)
        for number in range(len(CLIP_LOSSES)):
            if self.clips > 4 * len(CLIP_LOSSES):
                self._loss[number] = number
        self._stage_of_loss = np.array([CLIP_STAGES.index(loss.stage) for loss in CLIP_LOSSES])

    @cached_property
    def _lost_at(self) -> Indices:
        """The stage, an index into CLIP_STAGES, at which each clip is lost; past the last for kept ones."""
        return np.where(self._loss == _KEPT, len(CLIP_STAGES), self._stage_of_loss[self._loss])

    def entering(self, stage: str) -> Indices:
        """Indices of the clips that a stage decides on."""
        return np.flatnonzero(self._lost_at >= CLIP_STAGES.index(stage))

    def leaving(self, stage: str) -> Indices:
        """Indices of the clips that a stage keeps."""
        return np.flatnonzero(self._lost_at > CLIP_STAGES.index(stage))

    @cached_property
    def validation(self) -> npt.NDArray[np.bool_]:
        """Which clips are held back, if they are packed: a source's clips stay together."""
        return self._owner % 20 == 0

    # -- tables ------------------------------------------------------------------------------------------

    def sources_table(self) -> TableRef:
        kept = np.flatnonzero(~self._denied)
        order = kept[np.argsort(self._source_ids[kept])]
        return self._put(pa.Table.from_struct_array(self._sources.take(order)), Source)

    def clips_table(self, stage: str) -> TableRef:
        """The clips that a stage keeps, as it leaves them; "prepare" keeps all."""
        number = -1 if stage == "prepare" else CLIP_STAGES.index(stage)
        rows = np.arange(self.clips) if stage == "prepare" else self.leaving(stage)
        columns = {name: values.take(rows) for name, values in self._columns.items()}
        if number < CLIP_STAGES.index("describe"):
            columns["description"] = _nothing(Clip, "description", len(rows))
        if number < CLIP_STAGES.index("annotate"):
            columns["annotation"] = _nothing(Clip, "annotation", len(rows))
        if stage == "package":
            columns |= self._placed(rows)
        return self._put(_table(Clip, columns, len(rows)), Clip)

    def ledger_table(self, stage: str) -> TableRef:
        """The decisions of a stage, in the order of their items."""
        if stage == "collect":
            taken = np.flatnonzero(~self._denied)
            ids = self._source_ids[taken]
            kept = {"item": ids, "source": ids, "evidence": np.array(self._names)[taken]}
            return self._ledger(stage, kept)
        if stage == "prepare":
            return self._ledger(stage, {"item": self.clip_ids, "source": self._source_ids[self._owner]})
        rows = self.entering(stage)
        columns = self._decisions(stage, rows)
        return self._put(_table(Decision, columns, len(rows)), Decision)

    def _ledger(self, stage: str, kept: Mapping[str, Any]) -> TableRef:
        """Kept items and the ones that were lost one by one, merged."""
        n = len(kept["item"])
        stated = {**kept, "stage": [stage] * n, "verdict": ["kept"] * n, "scores": [[]] * n}
        lost = pa.Table.from_pylist(self._lost_items[stage], schema=arrow_schema(Decision))
        whole = pa.concat_tables([_table(Decision, stated, n), lost])
        return self._put(whole.sort_by("item"), Decision)

    def _decisions(self, stage: str, rows: Indices) -> dict[str, Any]:
        """Columns of the decisions on `rows`."""
        number = CLIP_STAGES.index(stage)
        n = len(rows)
        verdict, rule, value, threshold, evidence, partner = (np.full(n, "", object) for _ in range(6))
        verdict[:] = "kept"
        scores: list[list[tuple[str, float]]] = [[]] * n
        originals = self.clip_ids[self.leaving("dedup")]
        for place in np.flatnonzero(self._lost_at[rows] == number).tolist():
            loss = CLIP_LOSSES[self._loss[rows[place]]]
            measured = round(float(self._rng.uniform(loss.low, loss.high)), 4)
            verdict[place], rule[place], threshold[place] = loss.verdict, loss.rule, loss.threshold
            value[place] = f"{measured:g}" if loss.high else ""
            evidence[place] = loss.evidence
            scores[place] = [(name, measured) for name in loss.scores]
            if stage == "dedup":
                partner[place] = str(self._rng.choice(originals))
                evidence[place] = f"copy of {partner[place]}"
        if stage == "package":
            value[verdict == "kept"] = BUCKET
        judged = stage in _JUDGED
        return {
            "item": self.clip_ids[rows],
            "source": self._source_ids[self._owner[rows]],
            "stage": [stage] * n,
            "verdict": verdict,
            "rule": rule,
            "value": value,
            "threshold": threshold,
            "evidence": evidence,
            "partner": partner,
            "scores": scores,
            "judge": [_JUDGE if judged else ""] * n,
            "judge_version": [f"{_JUDGE} {_sha256(stage)[:12]}" if judged else ""] * n,
        }

    def counts(self, stage: str) -> Counts:
        """How many items a stage received, and what became of them."""
        outcomes = self.outcomes(stage)
        by = Counter(dict.fromkeys(("kept", "dropped", "failed", "quarantined"), 0))
        for row in outcomes:
            by[row.verdict] += row.items
        taken = int((~self._denied).sum())
        received = {"collect": len(self._source_ids), "prepare": taken}.get(stage, by.total())
        return Counts(received=received, added=by.total() - received, **by)

    def outcomes(self, stage: str) -> list[Outcome]:
        """A stage's rows of the table `funnel`."""
        found: Counter[tuple[Verdict, str]] = Counter(
            (row["verdict"], row["rule"]) for row in self._lost_items.get(stage, [])
        )
        if stage in CLIP_STAGES:
            number = CLIP_STAGES.index(stage)
            for index in self._loss[self._lost_at == number].tolist():
                found[CLIP_LOSSES[index].verdict, CLIP_LOSSES[index].rule] += 1
            kept = len(self.leaving(stage))
        else:
            kept = self.clips if stage == "prepare" else int((~self._denied).sum())
        found["kept", ""] = kept
        rows = sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))
        return [Outcome(stage=stage, verdict=v, rule=rule, items=n) for (v, rule), n in rows if n]

    def licences(self) -> list[tuple[str, int, int]]:
        """(licence, sources, clips) of the clips that are trained on."""
        rows = self.leaving("package")
        owners = self._owner[rows[~self.validation[rows]]]
        clips = Counter(self._licence[owners].tolist())
        sources = Counter(self._licence[np.unique(owners)].tolist())
        return [(_LICENCES[kind][0], sources[kind], clips[kind]) for kind in sorted(clips)]

    def shard_of(self, rows: Indices) -> list[tuple[str, str]]:
        """(split, name of the shard) of packed clips, which fill shards in the order of their ids."""
        places, filled = [], Counter[str]()
        for held in self.validation[rows].tolist():
            split = "validation" if held else "train"
            places.append((split, f"{split}-{BUCKET}-{filled[split] // CLIPS_PER_SHARD:06d}.tar"))
            filled[split] += 1
        return places

    def shards(self) -> dict[tuple[str, str], int]:
        """How many clips each (split, shard) holds."""
        return dict(Counter(self.shard_of(self.leaving("package"))))

    def near_pairs(self) -> list[NearPair]:
        """Kept clips that look alike: one pair in a hundred clips."""
        kept = self.leaving("dedup")[::100].tolist()
        return [
            NearPair(
                first=self.clip_ids[first], second=self.clip_ids[second],
                first_source=self._source_ids[self._owner[first]],
                second_source=self._source_ids[self._owner[second]], score=0.87,
            )
            for first, second in pairwise(kept)
        ]  # fmt: skip

    def pairs_table(self) -> TableRef:
        """The training pairs, in the order of clips, from image and text and from text alone."""
        rows = self.leaving("package")
        twice = np.repeat(rows, 2)
        n = len(twice)
        modes = ["i2v", "t2v"] * len(rows)
        ids = self.clip_ids[twice]
        film = self._film[twice]
        first = pa.array([_dumped(film.key_frames[0]) for film in self.films]).take(film)
        columns = {
            "pair_id": [f"{mode}-{clip}" for mode, clip in zip(modes, ids.tolist(), strict=True)],
            "mode": modes,
            "clip_id": ids,
            "caption": pa.array([film.annotation.caption for film in self.films]).take(film),
            "first_frame": pc.if_else(pa.array([mode == "i2v" for mode in modes]), first, None),
            "media": _pool(Pair, "media", [_dumped(film.media) for film in self.films], film),
        }
        placed = {name: np.repeat(np.array(values), 2) for name, values in self._placed(rows).items()}
        return self._put(_table(Pair, columns | placed, n), Pair)

    def _placed(self, rows: Indices) -> dict[str, Any]:
        places = self.shard_of(rows)
        return {
            "split": [split for split, _ in places],
            "bucket": [BUCKET] * len(rows),
            "shard": [shard for _, shard in places],
        }

    @cached_property
    def _sources(self) -> pa.StructArray:
        n = len(self._source_ids)
        licences = [_LICENCES[kind] for kind in self._licence.tolist()]
        files = {
            "path": [f"objects/{digest[:2]}/{digest}.mp4" for digest in self._files],
            "sha256": self._files,
            "bytes": [20_000 + number % 5000 for number in range(n)],
        }
        allowed = ["denied" if denied else "allowed" for denied in self._denied.tolist()]
        table = _table(
            Source,
            {
                "source_id": self._source_ids,
                "name": self._names,
                "file": pa.StructArray.from_arrays(
                    [pa.array(values) for values in files.values()], names=list(files)
                ),
                "origin": ["folder"] * n,
                "source_url": [f"https://films.example/{name}" for name in self._names],
                "author": [_AUTHORS[number] for number in self._author.tolist()],
                "licence_id": [name for name, _ in licences],
                "licence_url": [url for _, url in licences],
                "retrieved_at": ["2026-01-01T00:00:00Z"] * n,
                "ml_training": allowed,
                "evidence": ["contract 2024-17, annex B"] * n,
                "credentials": _nothing(Source, "credentials", n),
            },
            n,
        )
        return table.to_struct_array().combine_chunks()

    @cached_property
    def _columns(self) -> dict[str, pa.Array]:
        n = self.clips
        rng = np.random.default_rng(self.seed + 1)
        figures = {name: rng.uniform(0, 100, n) for name in Signals.model_fields}
        figures |= {"text": rng.uniform(0, 0.02, n), "bars": np.zeros(n), "clipped": np.zeros(n)}
        figures |= {"loudness": rng.uniform(-40, -10, n), "lufs": rng.uniform(-40, -10, n)}
        figures |= {name: rng.uniform(0, 1, n) for name in ("sharpness", "silence")}
        figures |= {"sync": rng.normal(0, 0.01, n), "duration_gap": rng.normal(0, 0.01, n)}
        signals = _table(Signals, {**figures, "has_audio": np.ones(n, bool)}, n)
        shared = {
            name: _pool(Clip, name, [_dumped(getattr(film, name)) for film in self.films], self._film)
            for name in ("media", "facts", "key_frames", "description", "annotation", "frame_hashes")
        }
        stated = {
            "clip_id": self.clip_ids,
            "source": self._sources.take(self._owner),
            "shot": self._shot,
            "start": self._shot * 2.5,
            "signals": signals.to_struct_array().combine_chunks(),
            "packet_hash": [self._files[owner] for owner in self._owner.tolist()],
            "flags": [[]] * n,
        }
        whole = _table(Clip, stated | shared, n)
        return {name: whole[name].combine_chunks() for name in whole.column_names}

    def _put(self, table: pa.Table, record: type[Record]) -> TableRef:
        with TemporaryDirectory(prefix="veo-synthetic-") as folder:
            path = Path(folder, "table.parquet")
            with pq.ParquetWriter(path, arrow_schema(record), compression="zstd") as writer:
                for start in range(0, table.num_rows, GROUP_ROWS):
                    writer.write_table(table.slice(start, GROUP_ROWS))
            ref = self.store.put_file(path)
        return TableRef(path=ref.path, sha256=ref.sha256, bytes=ref.bytes, rows=table.num_rows)


def _table(record: type[Record], columns: Mapping[str, Any], rows: int) -> pa.Table:
    """Columns in the order and of the types of a record; what is not given is the field's default."""
    schema = arrow_schema(record)
    arrays = []
    for column in schema:
        values = columns.get(column.name)
        if values is None:
            default = record.model_fields[column.name].get_default(call_default_factory=True)
            values = pa.repeat(pa.scalar("" if default is None else default, column.type), rows)
        if not isinstance(values, pa.Array | pa.ChunkedArray):
            values = pa.array(values, column.type)
        arrays.append(values if values.type == column.type else values.cast(column.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _pool(record: type[Record], name: str, values: Sequence[Any], chosen: Indices) -> pa.Array:
    """A column in which each row has one of a few values."""
    return pa.array(values, arrow_schema(record).field(name).type).take(chosen)


def _nothing(record: type[Record], name: str, rows: int) -> pa.Array:
    return pa.nulls(rows, arrow_schema(record).field(name).type)


def _dumped(value: Any) -> Any:
    if isinstance(value, Record):
        return value.model_dump()
    return [_dumped(entry) for entry in value] if isinstance(value, list) else value


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
