"""A mapping of the IR that knows its place and which of its keys were read."""

from typing import Any

from veo_core.errors import UsageError

_REQUIRED = object()


class Node:
    """A mapping; `done` refuses every key that nobody read."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise UsageError(f"{where}: expected a mapping, got {type(value).__name__}")
        self._value: dict[str, Any] = value
        self._unread = set(value)
        self.where = where

    def has(self, key: str) -> bool:
        return key in self._value

    def value(self, key: str, default: Any = _REQUIRED) -> Any:
        self._unread.discard(key)
        if key in self._value:
            return self._value[key]
        if default is _REQUIRED:
            raise UsageError(f"{self.where}: `{key}` is missing")
        return default

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        value = self.value(key, default)
        if not isinstance(value, str):
            raise UsageError(f"{self.where}: `{key}` is no text")
        return value

    def strings(self, key: str) -> list[str]:
        values = self.value(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise UsageError(f"{self.where}: `{key}` is no list of texts")
        return values

    def node(self, key: str) -> "Node":
        """The mapping under `key`, empty where it is absent."""
        return Node(self.value(key, {}), f"{self.where}: {key}")

    def children(self, key: str) -> dict[str, "Node"]:
        """The mappings under `key` by their names."""
        values = Node(self.value(key, {}), f"{self.where}: {key}")._value
        return {name: Node(value, f"{self.where}: {key}.{name}") for name, value in values.items()}

    def nodes(self, key: str) -> list["Node"]:
        return [
            Node(value, f"{self.where}: {key}[{index}]") for index, value in enumerate(self.value(key, []))
        ]

    def skip(self, *keys: str) -> None:
        """Accept keys that mean nothing to this engine."""
        self._unread.difference_update(keys)

    def done(self) -> None:
        """Refuse what was not read.

        Raises:
            UsageError: a key is left; it names a construct that is not implemented.
        """
        if self._unread:
            raise UsageError(f"{self.where}: `{min(self._unread)}` is not implemented by the embedded runner")


def plain(value: Any) -> Any:
    """A value from the IR, in which every number is a double: whole ones are integers again."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
