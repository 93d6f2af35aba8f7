"""Strict JSON schemas for answers, derived from their record types."""

from functools import lru_cache
from typing import Any

from veo_core.records.base import Record

_DROPPED = {"title", "default"}


@lru_cache(maxsize=64)
def strict_schema(answer: type[Record]) -> dict[str, Any]:
    """The JSON schema of `answer` in the strict form of structured outputs.

    Every property is required, no further property is allowed, titles and defaults are left out:
    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    schema: dict[str, Any] = _strict(answer.model_json_schema())
    return schema


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    strict = {
        key: {name: _strict(child) for name, child in value.items()}
        if key in ("properties", "$defs")
        else _strict(value)
        for key, value in node.items()
        if key not in _DROPPED
    }
    if node.get("type") == "object":
        strict["required"] = list(node.get("properties", {}))
        strict["additionalProperties"] = False
    return strict
