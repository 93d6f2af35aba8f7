"""The subset of compiled IR that every place runs alike, and what a compiled file does outside of it.

Older Kubeflow back ends and Vertex lack some constructs, and the embedded engine refuses them. A file that
goes to others must hold neither secrets nor images that may change under their name.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.targets.images import DIGEST

Document = Mapping[str, Any]

# Vertex runs its own launcher under this name, by version.
_VERTEX_LAUNCHER = re.compile(r"^gcr\.io/ml-pipeline/google-cloud-pipeline-components:[0-9.]+$")
_IMAGE_KEYS = {"image", "imageUri", "image_uri"}
_VOLUMES = {"pvcMount", "genericEphemeralVolume", "workspace", "pipelineConfig"}
_CREATES_VOLUME = "argostub/createpvc"
_ITERATORS = {"parameterIterator", "artifactIterator"}
_SECRET_NAME = re.compile(r"(?i)(^|_)(password|secret|token|credentials|(api|access|secret|private)_?key)$")
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}|\bya29\.[0-9A-Za-z_-]+"
    r"|\bgh[pousr]_[0-9A-Za-z]{36}|\bhf_[0-9A-Za-z]{30,}|\bsk-[0-9A-Za-z_-]{20,}"
)


def violations(target: str, documents: Sequence[Document]) -> list[str]:
    """What a compiled pipeline does outside of the portable subset, one line each.

    Args:
        target: the target's name, such as "vertex".
        documents: the YAML documents of the file: the IR, and for Kubeflow its platform specification.
    """
    found = [*_documents(target, documents), *_constructs(documents[0])]
    for document in documents:
        for path, key, value in _walk(document):
            found += [*_value_violations(target, path, key, value), *_secrets(path, key, value)]
    return found


def _documents(target: str, documents: Sequence[Document]) -> Iterator[str]:
    if target != "kubeflow" and len(documents) != 1:
        yield f"{len(documents)} YAML documents: {target} takes one"


def _constructs(ir: Document) -> Iterator[str]:
    """Constructs of the DAG that not every place runs."""
    if ir["schemaVersion"] != "2.1.0":
        yield f"schemaVersion {ir['schemaVersion']}: every back end knows 2.1.0"
    components: Mapping[str, Any] = {"root": ir["root"], **ir["components"]}
    for name, component in components.items():
        for side in ("inputDefinitions", "outputDefinitions"):
            for artifact, definition in component.get(side, {}).get("artifacts", {}).items():
                if definition.get("isArtifactList"):
                    yield f"{name}: {artifact} is a list of artifacts; collect parameters instead"
        dag = component.get("dag", {})
        for output, selector in dag.get("outputs", {}).get("artifacts", {}).items():
            if len(selector["artifactSelectors"]) > 1:
                yield f"{name}: {output} is one of several artifacts; let one stage write it"
        for task_name, task in dag.get("tasks", {}).items():
            if "artifactIterator" in task:
                yield f"{name}: {task_name} loops over artifacts; loop over parameters instead"
            if _ITERATORS & task.keys():
                yield from _collected_twice(ir["components"], task_name, task)


def _collected_twice(components: Mapping[str, Any], name: str, task: Mapping[str, Any]) -> Iterator[str]:
    """Outputs of a loop that are themselves collected from a loop within."""
    body = components[task["componentRef"]["name"]].get("dag", {})
    for output, selector in body.get("outputs", {}).get("parameters", {}).items():
        producer = selector.get("valueFromParameter", {}).get("producerSubtask")
        if producer is not None and _ITERATORS & body["tasks"][producer].keys():
            yield f"{name}: {output} is collected from a loop within a loop; use one loop"


def _value_violations(target: str, path: str, key: str, value: Any) -> Iterator[str]:
    """What is wrong with one value anywhere in a document."""
    if key in _VOLUMES and value:
        yield f"{path}: {key} is not in the shared pipeline; keep data in the object store"
    if not isinstance(value, str):
        return
    if value == _CREATES_VOLUME:
        yield f"{path}: {value} is not in the shared pipeline; keep data in the object store"
    elif key in _IMAGE_KEYS and not _image_is_fixed(target, value):
        yield f"{path}: image {value} is not given by its digest"


def _secrets(path: str, key: str, value: Any) -> Iterator[str]:
    """Values that look like secrets, or stand under a secret's name as settings or environment variables."""
    if "secretAs" in path:
        return  # names of a Kubernetes secret and of its keys
    named = key
    if isinstance(value, Mapping) and {"name", "value"} <= value.keys():
        named, value = value["name"], value["value"]
    if isinstance(value, str) and value and (_SECRET_NAME.search(named) or _SECRET_VALUE.search(value)):
        yield f"{path}: holds a secret; leave it out, and let the step take it from its environment"


def _image_is_fixed(target: str, image: str) -> bool:
    if target == "embedded":
        return image == "embedded"
    return bool(DIGEST.match(image) or (target == "vertex" and _VERTEX_LAUNCHER.match(image)))


def _walk(value: Any, path: str = "", key: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every value of a document with its path and its key."""
    yield path, key, value
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _walk(child, f"{path}.{name}".lstrip("."), name)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _walk(child, f"{path}[{index}]", key)
