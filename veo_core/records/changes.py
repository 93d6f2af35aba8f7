"""What differs between two nested values, by the dotted path to each difference."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from veo_core.records.base import Record

Kind = Literal["added", "removed", "changed"]


class ValueChange(Record):
    """One named thing that differs; a side that does not have it is None."""

    name: str
    kind: Kind
    first: Any = None
    second: Any = None


def value_changes(first: Any, second: Any, *, name: str = "") -> Iterator[ValueChange]:
    """The differences of two values as JSON has them, those of mappings and of lists of equal length inside.

    Args:
        name: what the values themselves are called; their parts go by `name.key`.
    """
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in sorted({*first, *second}):
            path = f"{name}.{key}" if name else str(key)
            if key not in second:
                yield ValueChange(name=path, kind="removed", first=first[key])
            elif key not in first:
                yield ValueChange(name=path, kind="added", second=second[key])
            else:
                yield from value_changes(first[key], second[key], name=path)
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, pair in enumerate(zip(first, second, strict=True)):
            yield from value_changes(*pair, name=f"{name}.{index}")
    elif type(first) is not type(second) or first != second:
        yield ValueChange(name=name, kind="changed", first=first, second=second)
