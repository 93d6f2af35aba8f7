"""An evaluation in the form in which registries take one: metrics, and the schema of the metrics."""

from typing import Any

import yaml

from veo_core.evaluate.records import SummaryRow
from veo_core.registry.records import ModelDescription
from veo_core.safety.records import Figure


def metrics_of(description: ModelDescription) -> dict[str, Any]:
    """Every figure with its interval: those of quality, and those that the safety gate decided on."""
    return {
        "quality": [row.model_dump(mode="json") for row in description.metrics],
        "safety": [figure.model_dump(mode="json") for figure in description.safety],
    }


def metrics_schema() -> bytes:
    """The schema of `metrics_of`: YAML, an OpenAPI 3.0.2 Schema Object."""
    schema = {
        "title": "veo_evaluation",
        "type": "object",
        "required": ["quality", "safety"],
        "properties": {
            "quality": {"type": "array", "items": _openapi(SummaryRow.model_json_schema())},
            "safety": {"type": "array", "items": _openapi(Figure.model_json_schema())},
        },
    }
    return yaml.safe_dump(schema, sort_keys=False, allow_unicode=True).encode()


def _openapi(schema: dict[str, Any]) -> dict[str, Any]:
    """A flat JSON schema in the dialect of OpenAPI 3.0, of values as protobuf carries them."""
    properties = {name: _property(value) for name, value in schema["properties"].items()}
    return {**schema, "required": list(properties), "properties": properties}


def _property(schema: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in schema:  # OpenAPI 3.0 has no type "null"
        kind, null = schema["anyOf"]
        assert null == {"type": "null"}
        return {"title": schema["title"], **kind, "nullable": True}
    if schema["type"] == "integer":  # and protobuf's Value no integers
        return {**schema, "type": "number"}
    return schema
