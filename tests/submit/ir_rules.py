"""What a service demands of a pipeline's compiled form: its schema, its images, its parameters."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

# Vertex replaces this one by a launcher of its own; every other image must be a digest.
_LAUNCHER = re.compile(r"^gcr\.io/ml-pipeline/google-cloud-pipeline-components:[0-9.]+$")
_DIGEST = re.compile(r"^[a-z0-9][a-z0-9./:_-]*@sha256:[0-9a-f]{64}$")
_TYPES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "BOOLEAN": (bool,),
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "LIST": (list,),
    "STRUCT": (dict,),
}


def spec_problems(spec: Mapping[str, Any]) -> Iterator[str]:
    """Problems of one document of compiled IR: fields of no schema, images by tag."""
    try:
        json_format.ParseDict(dict(spec), pipeline_spec_pb2.PipelineSpec())
    except json_format.ParseError as error:
        yield f"pipeline_spec: {error}"
        return
    if spec.get("schemaVersion") != "2.1.0":
        yield f"schemaVersion: {spec.get('schemaVersion')}"
    for name, executor in spec["deploymentSpec"]["executors"].items():
        image = executor["container"]["image"]
        if not _DIGEST.match(image) and not _LAUNCHER.match(image):
            yield f"{name}: image {image} is not a digest"


def parameter_problems(spec: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[str]:
    """Problems of parameters: unknown ones, missing ones, ones of another type."""
    known = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, value in values.items():
        if name not in known:
            yield f"parameter {name} is not an input of the pipeline"
        elif not fits(value, known[name]["parameterType"]):
            yield f"parameter {name}: {value!r} is not a {known[name]['parameterType']}"
    for name, definition in known.items():
        if name not in values and "defaultValue" not in definition and not definition.get("isOptional"):
            yield f"parameter {name} is missing"


def fits(value: Any, kind: str) -> bool:
    """Whether a value is of an IR's parameter type; numbers of JSON may have come as 1.0 for 1."""
    if kind == "NUMBER_INTEGER" and isinstance(value, float):
        value = int(value) if value.is_integer() else value
    return isinstance(value, _TYPES[kind]) and not (isinstance(value, bool) and kind != "BOOLEAN")


def is_digest(image: str) -> bool:
    return bool(_DIGEST.match(image))


_KEYS = re.compile(r"-----BEGIN|\bya29\.|\bAIza[0-9A-Za-z_-]{30}|\bsk-[0-9A-Za-z]{20}|\bhf_[0-9A-Za-z]{20}")


def secret_problems(text: str, secrets: Mapping[str, str] | list[str]) -> Iterator[str]:
    """Whether a request holds one of the `secrets`, or what looks like a key."""
    if any(secret in text for secret in secrets):
        yield "the request holds a secret"
    if found := _KEYS.search(text):
        yield f"the request holds what looks like a key: {found.group()[:8]}"
