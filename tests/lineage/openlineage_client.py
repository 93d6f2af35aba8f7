"""OpenLineage's own Python client as JSON Schemas: its classes are generated from the published schemas.

What these schemas refuse the published ones refuse, and fields that no published facet has besides.
"""

import enum
import types
import typing
from typing import Any

import attr
from jsonschema import Draft202012Validator, FormatChecker
from openlineage.client import event_v2, facet_v2
from openlineage.client.generated import base

Json = dict[str, Any]

KINDS = {
    "run": base.RunFacet,
    "job": base.JobFacet,
    "facets": base.DatasetFacet,
    "inputFacets": base.InputDatasetFacet,
    "outputFacets": base.OutputDatasetFacet,
}
_FORMATS = {
    "eventTime": "date-time",
    "nominalStartTime": "date-time",
    "nominalEndTime": "date-time",
    "runId": "uuid",
    "producer": "uri",
    "schemaURL": "uri",
    "uri": "uri",
    "_producer": "uri",
    "_schemaURL": "uri",
}


def published_facets() -> dict[str, type]:
    """The classes of all published facets by the URL of their schema."""
    modules = [getattr(facet_v2, name) for name in dir(facet_v2)]
    kinds = [
        kind for module in modules if isinstance(module, types.ModuleType) for kind in vars(module).values()
    ]
    return {
        kind._get_schema(): kind
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, base.BaseFacet) and hasattr(kind, "_get_schema")
    }


def problems(value: Json, kind: type) -> list[str]:
    """What makes `value` no `kind` of the client; nothing where it is one."""
    defs: dict[str, Json] = {}
    schema = {**_reference(kind, defs), "$defs": defs}
    if issubclass(kind, base.BaseFacet):
        defs[_name(kind)]["properties"]["_schemaURL"]["const"] = kind._get_schema()
    checker = Draft202012Validator(schema, format_checker=FormatChecker())
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in checker.iter_errors(value)]


def event_problems(event: Json) -> list[str]:
    return problems(event, event_v2.RunEvent)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _reference(kind: type, defs: dict[str, Json]) -> Json:
    name = _name(kind)
    if name not in defs:
        defs[name] = {}
        defs[name] = _object(kind, defs)
    return {"$ref": f"#/$defs/{name}"}


def _object(kind: type, defs: dict[str, Json]) -> Json:
    hints = typing.get_type_hints(kind)
    fields = attr.fields(kind)
    required = [f.name for f in fields if f.default is attr.NOTHING]
    if issubclass(kind, base.BaseFacet):
        required += ["_producer", "_schemaURL"]
    if issubclass(kind, base.BaseEvent):
        required += ["producer", "schemaURL", "eventType"]
    formats = {f.name: {"format": _FORMATS[f.name]} for f in fields if f.name in _FORMATS}
    return {
        "type": "object",
        "properties": {f.name: _value(hints[f.name], defs) | formats.get(f.name, {}) for f in fields},
        "required": required,
        "additionalProperties": kind in KINDS.values(),
    }


def _value(hint: Any, defs: dict[str, Json]) -> Json:
    simple = {str: "string", int: "integer", float: "number", bool: "boolean"}
    if hint in simple:
        return {"type": simple[hint]}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [a for a in arguments if a is not type(None)]
        return _value(inner, defs)
    if origin is list:
        return {"type": "array", "items": _value(arguments[0], defs)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _value(arguments[1], defs)}
    if issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    return _reference(hint, defs)
