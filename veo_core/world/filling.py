"""A value for any JSON schema, filled from facts by property name."""

from collections.abc import Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]

_MAX_DEPTH = 32
_MAX_VALUES = 10_000


class SchemaError(ValueError):
    """A schema for which no value can be made."""


def fill(schema: Any, facts: Facts) -> Any:
    """A value of the schema whose properties hold the facts of the same names.

    A property of an unknown name, or whose type cannot hold the fact, gets an empty value of its type. A
    list of facts fills an array of objects with one object each; a string that stands for such facts gets
    their "description". Of alternatives the first that is not null is taken.

    Args:
        schema: a JSON schema of an object: `properties`, `items`, `enum`, `const`, `anyOf`, `oneOf`,
            `allOf`, local `$ref` are understood.
        facts: values by property name: booleans, numbers, strings, or lists of strings or of such facts.

    Raises:
        SchemaError: the schema is malformed, or has no finite value.
    """
    return _Filling(schema).value(schema, facts, 0)


class _Filling:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._values = 0

    def value(self, schema: Any, fact: Any, depth: int) -> Any:
        self._values += 1
        if depth > _MAX_DEPTH or self._values > _MAX_VALUES:
            raise SchemaError("the schema contains itself without an end, or is too large")
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            options = _list(schema["enum"], "enum")
            return fact if fact in options else options[0]
        kind = _type(schema)
        if kind == "object":
            return self._object(schema, fact, depth)
        if kind == "array":
            given = fact if isinstance(fact, list) else [fact] if isinstance(fact, str) else []
            return [self.value(schema.get("items", {"type": "string"}), item, depth + 1) for item in given]
        if kind == "boolean":
            return fact if isinstance(fact, bool) else False
        if kind in ("number", "integer"):
            return fact if isinstance(fact, int | float) and not isinstance(fact, bool) else 0
        return _text(fact) if kind == "string" else None

    def _object(self, schema: Mapping[str, Any], fact: Any, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        if not isinstance(properties, Mapping):
            raise SchemaError("`properties` is no object")
        facts: Facts = fact if isinstance(fact, Mapping) else {}
        return {name: self.value(child, facts.get(name), depth + 1) for name, child in properties.items()}

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        """The schema without references and alternatives."""
        for _ in range(_MAX_DEPTH):
            if not isinstance(schema, Mapping):
                raise SchemaError("a schema is no object")
            if "$ref" in schema:
                schema = self._target(schema["$ref"])
                continue
            alternatives = next((schema[key] for key in ("anyOf", "oneOf", "allOf") if key in schema), None)
            if alternatives is None:
                return schema
            options = _list(alternatives, "anyOf, oneOf and allOf")
            schema = next((option for option in options if option != {"type": "null"}), options[0])
        raise SchemaError("a `$ref` refers to itself")

    def _target(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise SchemaError(f"$ref {reference!r} does not begin with #")
        target = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or key not in target:
                raise SchemaError(f"$ref {reference!r} refers to nothing")
            target = target[key]
        return target


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    if kind not in ("object", "array", "boolean", "number", "integer", "string", "null"):
        raise SchemaError(f"type {kind!r} is unknown")
    return str(kind)


def _list(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list) or not value:
        raise SchemaError(f"`{what}` must be lists with something in them")
    return value


def _text(fact: Any) -> str:
    if isinstance(fact, list):
        return ", ".join(_text(item) for item in fact)
    if isinstance(fact, Mapping):
        return _text(fact.get("description"))
    return fact if isinstance(fact, str) else ""
