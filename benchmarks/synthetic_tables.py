"""The tables of a made-up archive, whole columns at a time; their bytes are those of `Store.put_table`.

Source files are named, but not stored.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.synthetic_archive import (
    AUTHORS,
    BUCKET,
    CLIP_LOSSES,
    CLIP_STAGES,
    JUDGE,
    JUDGED,
    LICENCES,
    Archive,
    Indices,
    sha256_of,
)
from veo_core.records.base import Record
from veo_core.records.clip import Clip, Pair, Signals, Source
from veo_core.records.files import TableRef
from veo_core.records.ledger import Decision
from veo_core.records.tables import GROUP_ROWS, arrow_schema
from veo_core.storage import Store


class ArchiveTables:
    """Writes the tables of an archive.

    Args:
        archive: what they tell.
        store: where they are written.
    """

    def __init__(self, archive: Archive, store: Store) -> None:
        self._archive = archive
        self._store = store
        self._rng = np.random.default_rng([archive.seed, 1])

    def sources(self) -> TableRef:
        kept = np.flatnonzero(~self._archive.denied)
        order = kept[np.argsort(self._archive.source_ids[kept])]
        return self._put(pa.Table.from_struct_array(self._sources.take(order)), Source)

    def clips(self, stage: str) -> TableRef:
        """The clips that a stage keeps, as it leaves them; "prepare" keeps all."""
        number = -1 if stage == "prepare" else CLIP_STAGES.index(stage)
        rows = np.arange(self._archive.clips) if stage == "prepare" else self._archive.leaving(stage)
        columns = {name: values.take(rows) for name, values in self._columns.items()}
        if number < CLIP_STAGES.index("describe"):
            columns["description"] = _nothing(Clip, "description", len(rows))
        if number < CLIP_STAGES.index("annotate"):
            columns["annotation"] = _nothing(Clip, "annotation", len(rows))
        if stage == "package":
            columns |= self._placed(rows)
        return self._put(_table(Clip, columns, len(rows)), Clip)

    def ledger(self, stage: str) -> TableRef:
        """The decisions of a stage, in the order of their items."""
        if stage == "collect":
            taken = np.flatnonzero(~self._archive.denied)
            ids = self._archive.source_ids[taken]
            kept = {"item": ids, "source": ids, "evidence": np.array(self._archive.names)[taken]}
            return self._ledger(stage, kept)
        if stage == "prepare":
            return self._ledger(
                stage,
                {"item": self._archive.clip_ids, "source": self._archive.source_ids[self._archive.owner]},
            )
        rows = self._archive.entering(stage)
        columns = self._decisions(stage, rows)
        return self._put(_table(Decision, columns, len(rows)), Decision)

    def _ledger(self, stage: str, kept: Mapping[str, Any]) -> TableRef:
        """Kept items and the ones that were lost one by one, merged."""
        n = len(kept["item"])
        stated = {**kept, "stage": [stage] * n, "verdict": ["kept"] * n, "scores": [[]] * n}
        lost = pa.Table.from_pylist(self._archive.lost_items[stage], schema=arrow_schema(Decision))
        whole = pa.concat_tables([_table(Decision, stated, n), lost])
        return self._put(whole.sort_by("item"), Decision)

    def _decisions(self, stage: str, rows: Indices) -> dict[str, Any]:
        """Columns of the decisions on `rows`."""
        number = CLIP_STAGES.index(stage)
        n = len(rows)
        verdict, rule, value, threshold, evidence, partner = (np.full(n, "", object) for _ in range(6))
        verdict[:] = "kept"
        scores: list[list[tuple[str, float]]] = [[]] * n
        originals = self._archive.clip_ids[self._archive.leaving("dedup")]
        for place in np.flatnonzero(self._archive.lost_at[rows] == number).tolist():
            loss = CLIP_LOSSES[self._archive.loss[rows[place]]]
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
        judged = stage in JUDGED
        return {
            "item": self._archive.clip_ids[rows],
            "source": self._archive.source_ids[self._archive.owner[rows]],
            "stage": [stage] * n,
            "verdict": verdict,
            "rule": rule,
            "value": value,
            "threshold": threshold,
            "evidence": evidence,
            "partner": partner,
            "scores": scores,
            "judge": [JUDGE if judged else ""] * n,
            "judge_version": [f"{JUDGE} {sha256_of(stage)[:12]}" if judged else ""] * n,
        }

    def pairs(self) -> TableRef:
        """The training pairs, in the order of clips, from image and text and from text alone."""
        rows = self._archive.leaving("package")
        twice = np.repeat(rows, 2)
        n = len(twice)
        modes = ["i2v", "t2v"] * len(rows)
        ids = self._archive.clip_ids[twice]
        film = self._archive.film[twice]
        first = pa.array([_dumped(film.key_frames[0]) for film in self._archive.films]).take(film)
        columns = {
            "pair_id": [f"{mode}-{clip}" for mode, clip in zip(modes, ids.tolist(), strict=True)],
            "mode": modes,
            "clip_id": ids,
            "caption": pa.array([film.annotation.caption for film in self._archive.films]).take(film),
            "first_frame": pc.if_else(pa.array([mode == "i2v" for mode in modes]), first, None),
            "media": _pool(Pair, "media", [_dumped(film.media) for film in self._archive.films], film),
        }
        placed = {name: np.repeat(np.array(values), 2) for name, values in self._placed(rows).items()}
        return self._put(_table(Pair, columns | placed, n), Pair)

    def _placed(self, rows: Indices) -> dict[str, Any]:
        places = self._archive.shard_of(rows)
        return {
            "split": [split for split, _ in places],
            "bucket": [BUCKET] * len(rows),
            "shard": [shard for _, shard in places],
        }

    @cached_property
    def _sources(self) -> pa.StructArray:
        n = len(self._archive.source_ids)
        licences = [LICENCES[kind] for kind in self._archive.licence.tolist()]
        files = {
            "path": [f"objects/{digest[:2]}/{digest}.mp4" for digest in self._archive.files],
            "sha256": self._archive.files,
            "bytes": [20_000 + number % 5000 for number in range(n)],
        }
        allowed = ["denied" if denied else "allowed" for denied in self._archive.denied.tolist()]
        table = _table(
            Source,
            {
                "source_id": self._archive.source_ids,
                "name": self._archive.names,
                "file": pa.StructArray.from_arrays(
                    [pa.array(values) for values in files.values()], names=list(files)
                ),
                "origin": ["folder"] * n,
                "source_url": [f"https://films.example/{name}" for name in self._archive.names],
                "author": [AUTHORS[number] for number in self._archive.author.tolist()],
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
        n = self._archive.clips
        rng = self._rng
        figures = {name: rng.uniform(0, 100, n) for name in Signals.model_fields}
        figures |= {"text": rng.uniform(0, 0.02, n), "bars": np.zeros(n), "clipped": np.zeros(n)}
        figures |= {"loudness": rng.uniform(-40, -10, n), "lufs": rng.uniform(-40, -10, n)}
        figures |= {name: rng.uniform(0, 1, n) for name in ("sharpness", "silence")}
        figures |= {"sync": rng.normal(0, 0.01, n), "duration_gap": rng.normal(0, 0.01, n)}
        signals = _table(Signals, {**figures, "has_audio": np.ones(n, bool)}, n)
        shared = {
            name: _pool(
                Clip, name, [_dumped(getattr(film, name)) for film in self._archive.films], self._archive.film
            )
            for name in ("media", "facts", "key_frames", "description", "annotation", "frame_hashes")
        }
        stated = {
            "clip_id": self._archive.clip_ids,
            "source": self._sources.take(self._archive.owner),
            "shot": self._archive.shot,
            "start": self._archive.shot * 2.5,
            "signals": signals.to_struct_array().combine_chunks(),
            "packet_hash": [self._archive.files[owner] for owner in self._archive.owner.tolist()],
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
            ref = self._store.put_file(path)
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
