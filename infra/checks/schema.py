"""Whether manifests have the fields and types that their APIs define; unknown fields are refused."""

import re
from collections.abc import Iterator
from typing import Any

from kubernetes import client

from infra.checks.custom_resources import SPECS
from infra.checks.kustomize import Manifest
from veo_core.errors import UsageError

_GROUPS = {"", "apps", "batch", "networking.k8s.io", "rbac.authorization.k8s.io"}
_PLAIN: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "object": object,
    "datetime": str,
}


def label(manifest: Manifest) -> str:
    """How messages name a manifest."""
    metadata = manifest.get("metadata") or {}
    return f"{manifest.get('kind')} {metadata.get('name')}"


def schema_problems(manifest: Manifest) -> Iterator[str]:
    """What in a manifest its API does not take, a line each."""
    version, kind = str(manifest.get("apiVersion", "")), str(manifest.get("kind", ""))
    if (version, kind) in SPECS:
        yield from _custom(manifest, version, kind)
    elif (model := _model(version, kind)) is not None:
        yield from (f"{label(manifest)}: {problem}" for problem in _problems(manifest, model.__name__, ""))
    else:
        yield f"{label(manifest)}: apiVersion {version!r} has no kind {kind!r} that is known here"


def _model(version: str, kind: str) -> type | None:
    """The client's model of a built-in kind."""
    group, _, number = version.rpartition("/")
    return getattr(client, f"V1{kind}", None) if number == "v1" and group in _GROUPS else None


def _custom(manifest: Manifest, version: str, kind: str) -> Iterator[str]:
    for key in manifest.keys() - {"apiVersion", "kind", "metadata", "spec"}:
        yield f"{label(manifest)}: {key}: unknown field"
    metadata = manifest.get("metadata")
    yield from (f"{label(manifest)}: {line}" for line in _problems(metadata, "V1ObjectMeta", "metadata."))
    try:
        SPECS[version, kind].parse(manifest.get("spec"), where=f"{label(manifest)}: spec")
    except UsageError as error:
        yield str(error)


def _problems(value: Any, type_name: str, path: str) -> Iterator[str]:
    """What of `value` does not fit a type as the client writes it, such as "list[V1Taint]"."""
    where = path.rstrip(".") or "manifest"
    if match := re.fullmatch(r"list\[(.+)\]", type_name):
        if not isinstance(value, list):
            yield f"{where}: must be a list, got {value!r}"
            return
        for index, item in enumerate(value):
            yield from _problems(item, match[1], f"{where}[{index}].")
    elif match := re.fullmatch(r"dict\((?:str), (.+)\)", type_name):
        if not isinstance(value, dict):
            yield f"{where}: must be a mapping, got {value!r}"
            return
        for key, item in value.items():
            yield from _problems(item, match[1], f"{where}[{key}].")
    elif type_name in _PLAIN:
        if not isinstance(value, _PLAIN[type_name]) or (type_name == "int" and isinstance(value, bool)):
            yield f"{where}: must be {type_name}, got {value!r}"
    else:
        yield from _object_problems(value, getattr(client, type_name), path)


def _object_problems(value: Any, model: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path.rstrip('.')}: must be a mapping, got {value!r}"
        return
    attributes = {name: attribute for attribute, name in model.attribute_map.items()}
    for key in value.keys() - attributes.keys():
        yield f"{path}{key}: unknown field"
    known = {key: item for key, item in value.items() if key in attributes}
    for key, item in known.items():
        yield from _problems(item, model.openapi_types[attributes[key]], f"{path}{key}.")
    try:
        model(**{attributes[key]: item for key, item in known.items()})
    except ValueError as error:  # a required field is missing, or a value is not one of those allowed
        yield f"{path.rstrip('.') or 'manifest'}: {error}"
