"""The gallery: a page of a run's clips by any field, out of the index."""

import json
from collections.abc import Mapping
from functools import reduce
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from veo_core.errors import UsageError
from veo_core.explorer.clip_index import ClipIndex
from veo_core.explorer.documents import Choice, ClipField, ClipRow, ClipsDocument, FieldsDocument, Where

MOST = 500
"""Clips of one page."""

_BINS = 20
_CHOICES = {
    "verdict": "Verdict",
    "stage": "Decided by",
    "rule": "Rule",
    "split": "Split",
    "bucket": "Bucket",
    "shard": "Shard",
    "licence": "Licence",
    "origin": "Origin",
    "author": "Author",
    "judge": "Judge",
    "sound": "Sound track",
    "codec": "Codec",
    "made_by": "Made by",
}
_NUMBERS = {
    "seconds": ("Length", "s"),
    "start": ("Start in its source", "s"),
    "width": ("Width", "px"),
    "height": ("Height", "px"),
    "fps": ("Frame rate", "1/s"),
    "media_bytes": ("Size", "bytes"),
}
_SIGNALS = {
    "motion": ("Motion", "levels"),
    "sharpness": ("Sharpness", "share"),
    "luma": ("Brightness", "levels"),
    "contrast": ("Contrast", "levels"),
    "underexposed": ("Underexposed", "share"),
    "overexposed": ("Overexposed", "share"),
    "text": ("Burnt-in text", "score"),
    "bars": ("Black bars", "share"),
    "loudness": ("Loudness", "dBFS"),
    "lufs": ("Integrated loudness", "LUFS"),
    "silence": ("Silence", "share"),
    "clipped": ("Clipped sound", "share"),
    "duration_gap": ("Sound longer than picture", "s"),
    "sync": ("Lag of sound", "s"),
}
_TEXTS = ("name", "caption", "id")
_WHOLE = ("width", "height", "media_bytes")
_AS_THEY_ARE = tuple(name for name in ClipRow.model_fields if name not in (*_WHOLE, "thumbnail", "signals"))
_ALL_NUMBERS = {**_NUMBERS, **{f"signals.{name}": found for name, found in _SIGNALS.items()}}


def fields_document(index: ClipIndex) -> FieldsDocument:
    """The fields by which this run's clips differ."""
    fields = [ClipField(name="text", title="Words in name, caption, evidence or id", kind="text")]
    for name, title in _CHOICES.items():
        codes, values = index.codes(name)
        counts = np.bincount(codes, minlength=len(values)) if len(codes) else np.zeros(0, int)
        choices = [Choice(value=values[i], count=int(counts[i])) for i in np.argsort(-counts, kind="stable")]
        if len(choices) > 1 or name == "verdict":
            fields.append(ClipField(name=name, title=title, kind="choice", choices=choices))
    for name, (title, unit) in _ALL_NUMBERS.items():
        values_of = index.numbers(name)
        known = values_of[np.isfinite(values_of)]
        if len(known) and known.min() < known.max():
            bins, _ = np.histogram(known, bins=_BINS)
            fields.append(
                ClipField(
                    name=name,
                    title=title,
                    kind="number",
                    min=float(known.min()),
                    max=float(known.max()),
                    unit=unit,
                    bins=[int(count) for count in bins],
                )
            )
    sorts = [*_TEXTS[:2], *(field.name for field in fields if field.kind == "number")]
    return FieldsDocument(fields=fields, sorts=sorts, embedded=None, total=len(index), notes=index.notes)


def clips_document(index: ClipIndex, *, where: str, sort: str, offset: int, limit: int) -> ClipsDocument:
    """A page of the clips that fit.

    Args:
        index: of the run.
        where: a JSON object of conditions, `documents.Where`; empty for all.
        sort: a field, with "-" before it downwards; empty for the order of the run.
        offset: clips to pass over.
        limit: most clips of the page, at most `MOST`.

    Raises:
        UsageError: there is no such field, or a condition is none.
    """
    rows = select(index, parse_where(where))
    rows = _sorted(index, rows, sort)
    page = rows[max(offset, 0) :][: min(max(limit, 0), MOST)]
    return ClipsDocument(total=len(rows), offset=max(offset, 0), clips=clip_rows(index, page))


def parse_where(text: str) -> Where:
    """Conditions as JSON.

    Raises:
        UsageError: it is no JSON object.
    """
    try:
        found = json.loads(text) if text else {}
    except ValueError as error:
        raise UsageError(f"where: no JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError("where: expected a JSON object of fields and conditions")
    return found


def select(index: ClipIndex, where: Where) -> npt.NDArray[np.intp]:
    """Numbers of the rows that fulfil all conditions.

    Raises:
        UsageError: there is no such field, or a condition is none.
    """
    masks = [_mask(index, name, condition) for name, condition in where.items()]
    return np.flatnonzero(reduce(np.logical_and, masks, np.ones(len(index), bool)))


def clip_rows(index: ClipIndex, rows: npt.NDArray[np.intp]) -> list[ClipRow]:
    """Rows as the page shows them."""
    found = pa.Table.from_batches([index.rows]).take(pa.array(rows)).to_pylist()
    return [
        ClipRow(
            **{name: row[name] for name in _AS_THEY_ARE},
            **{name: None if row[name] is None else int(row[name]) for name in _WHOLE},
            thumbnail=bool(row["frames"]),
            signals={name: row[f"signals.{name}"] for name in _SIGNALS} if row["media"] else {},
        )
        for row in found
    ]


def _mask(index: ClipIndex, name: str, condition: Any) -> npt.NDArray[np.bool_]:
    if name == "text" and isinstance(condition, str):
        return _words(index, condition)
    if name in _CHOICES and isinstance(condition, list):
        codes, values = index.codes(name)
        return np.isin(codes, [number for number, value in enumerate(values) if value in condition])
    if name in _ALL_NUMBERS and isinstance(condition, Mapping):
        low, high = (_bound(name, condition, end) for end in ("min", "max"))
        numbers = index.numbers(name)
        fits = np.isfinite(numbers)
        if low is not None:
            fits &= numbers >= low
        if high is not None:
            fits &= numbers <= high
        return fits
    known = ", ".join(["text", *_CHOICES, *_ALL_NUMBERS])
    if name == "text" or name in _CHOICES or name in _ALL_NUMBERS:
        raise UsageError(f'where: {name}: expected words, a list of values, or {{"min", "max"}}')
    raise UsageError(f"where: there is no field {name!r}; there are {known}")


def _bound(name: str, condition: Mapping[str, Any], end: Literal["min", "max"]) -> float | None:
    value = condition.get(end)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise UsageError(f"where: {name}: {end} is no number")
    return value


def _words(index: ClipIndex, words: str) -> npt.NDArray[np.bool_]:
    """Rows that hold each of the words, or whose id begins with it."""
    fits = np.ones(len(index), bool)
    for word in words.lower().split():
        named = pc.match_substring(index.strings("text"), word)
        begins = pc.starts_with(index.strings("id"), word)
        fits &= pc.or_(named, begins).to_numpy(zero_copy_only=False)
    return fits


def _sorted(index: ClipIndex, rows: npt.NDArray[np.intp], sort: str) -> npt.NDArray[np.intp]:
    name, down = sort.removeprefix("-"), sort.startswith("-")
    if not name:
        return rows
    if name in _ALL_NUMBERS:
        numbers = index.numbers(name)[rows]
        order = np.argsort(-numbers if down else numbers, kind="stable")  # NaN comes last
    elif name in _TEXTS or name in _CHOICES:
        column = index.strings(name).take(pa.array(rows))
        texts = column.cast(pa.string()) if name in _CHOICES else column
        direction = "descending" if down else "ascending"
        order = pc.sort_indices(texts, sort_keys=[("", direction)]).to_numpy()
    else:
        raise UsageError(f"sort: there is no field {name!r}")
    return rows[order]
