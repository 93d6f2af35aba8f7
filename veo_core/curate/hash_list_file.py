"""Reading lists of hashes in the forms in which they are exchanged.

Plain text has one hash a line; lines that start with `#` are comments. JSON is an array of objects or one
object a line, CSV has a header; each entry names a type and a value, as in `{"type": "pdq", "value": "..."}`.
The names that ThreatExchange and Hasher-Matcher-Actioner give both are understood as well.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from veo_core.errors import UsageError

HashType = Literal["sha256", "md5", "phash", "pdq"]
BYTES: dict[HashType, int] = {"sha256": 32, "md5": 16, "phash": 8, "pdq": 32}

_TYPE_KEYS = ("type", "signal_type", "hash_type")
_VALUE_KEYS = ("value", "signal_value", "signal_str", "indicator", "hash")
_AFFIXES = re.compile(r"^(?:hash_|video_|file_|photo_)+|[^a-z0-9]|(?:_hash)$")
_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_BY_LENGTH: dict[int, HashType] = {64: "sha256", 32: "md5", 16: "phash"}


def read_hashes(
    data: bytes, *, bare: HashType | None, skipped: frozenset[str], where: str
) -> dict[HashType, bytes]:
    """The hashes of a list by type, those of one type joined, each once and in order of value.

    Args:
        data: the list's bytes, UTF-8.
        bare: type of the hashes in plain text; None tells it by length (64 digits are a sha256).
        skipped: names of types, in lower case, that are passed over.
        where: names the list in errors.

    Raises:
        UsageError: an entry is no hash, or is of a type that cannot be matched and is not skipped.
    """
    found: dict[HashType, set[bytes]] = {kind: set() for kind in BYTES}
    for place, kind_name, value in _entries(data, where):
        kind = _kind(kind_name, value, bare)
        if kind is None:
            if kind_name.lower() in skipped:
                continue
            raise UsageError(
                f"{where}, {place}: {_problem(kind_name)}; types that can be matched: "
                f"{', '.join(get_args(HashType))}; name others in skip_types to pass them over"
            )
        if not _HEXADECIMAL.fullmatch(value) or len(value) != 2 * BYTES[kind]:
            raise UsageError(f"{where}, {place}: a {kind} has {2 * BYTES[kind]} hexadecimal digits")
        found[kind].add(bytes.fromhex(value))
    return {kind: b"".join(sorted(values)) for kind, values in found.items() if values}


def _entries(data: bytes, where: str) -> Iterator[tuple[str, str, str]]:
    """Place, type ("" where none is given) and value in lower case of each entry."""
    text = data.decode("utf-8-sig", errors="replace")
    start = text.lstrip()[:1]
    if start == "[":
        try:
            entries = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(f"{where}: not valid JSON: {error}") from None
        yield from (_named(entry, f"entry {n}", where) for n, entry in enumerate(entries, 1))
    elif start == "{":
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield _named(_json_line(line, number, where), f"line {number}", where)
    elif _is_header(text.lstrip().partition("\n")[0]):
        for number, row in enumerate(csv.DictReader(io.StringIO(text.lstrip())), 2):
            lowered = {str(key).strip().lower(): cell for key, cell in row.items()}
            yield _named(lowered, f"line {number}", where)
    else:
        for number, line in enumerate(text.lower().splitlines(), 1):
            if (entry := line.strip()) and not entry.startswith("#"):
                yield f"line {number}", "", entry


def _json_line(line: str, number: int, where: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise UsageError(f"{where}, line {number}: not valid JSON: {error}") from None


def _named(entry: Any, place: str, where: str) -> tuple[str, str, str]:
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where}, {place}: no object with a type and a value")
    kind = next((entry[key] for key in _TYPE_KEYS if entry.get(key)), None)
    value = next((entry[key] for key in _VALUE_KEYS if entry.get(key)), None)
    if not isinstance(kind, str) or not isinstance(value, str):
        raise UsageError(f"{where}, {place}: needs a type ({_TYPE_KEYS[0]}) and a value ({_VALUE_KEYS[0]})")
    return place, kind.strip(), value.strip().lower()


def _is_header(line: str) -> bool:
    names = {name.strip().lower() for name in line.split(",")}
    return bool(names & set(_TYPE_KEYS)) and bool(names & set(_VALUE_KEYS))


def _kind(name: str, value: str, bare: HashType | None) -> HashType | None:
    if not name:
        return bare or _BY_LENGTH.get(len(value))
    plain = _AFFIXES.sub("", name.lower())
    return next((kind for kind in BYTES if kind == plain), None)


def _problem(kind_name: str) -> str:
    return f"type {kind_name!r} cannot be matched" if kind_name else "no hash of a known length"
