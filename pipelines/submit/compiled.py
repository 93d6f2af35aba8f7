"""A pipeline compiled for a profile: its documents, its interface, its identity."""

import copy
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from pipelines.compile import compile_target
from pipelines.targets.remote import JudgeServer, load_target
from veo_core.errors import UsageError
from veo_core.records.base import sha256_bytes

# The image that starts custom jobs, which Vertex replaces by its own.
_LAUNCHER = "gcr.io/ml-pipeline/google-cloud-pipeline-components:"
_TYPES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "BOOLEAN": (bool,),
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "LIST": (list,),
    "STRUCT": (dict,),
}


@dataclass(frozen=True)
class Compiled:
    """The IR of a pipeline as the text of a file: one YAML document, or two with that of a platform."""

    text: str

    @classmethod
    def of(cls, profile: Path, pipeline: str, choice: int, judge: JudgeServer) -> "Compiled":
        """Compile a pipeline.

        Args:
            profile: file of the profile.
            pipeline: "pipeline" or "curation".
            choice: index into the profile's choices of accelerators.
            judge: who answers the stages, see `load_target`.

        Raises:
            UsageError: the profile, its images or its choices are wrong.
        """
        target = load_target(profile, choice, judge)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pipeline.yaml"
            compile_target(target, pipeline, path)
            return cls(path.read_text())

    @cached_property
    def documents(self) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all(self.text))

    @property
    def spec(self) -> dict[str, Any]:
        """The first document: the pipeline itself."""
        return self.documents[0]

    @property
    def name(self) -> str:
        return str(self.spec["pipelineInfo"]["name"])

    @cached_property
    def digest(self) -> str:
        """sha256 of the text, in hexadecimal."""
        return sha256_bytes(self.text.encode())

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Whether the pipeline takes these parameters.

        Raises:
            UsageError: one is unknown, missing, or of another type.
        """
        known = self.spec["root"]["inputDefinitions"]["parameters"]
        for name, value in parameters.items():
            if name not in known:
                raise UsageError(f"parameter {name}: the pipeline {self.name} has {', '.join(sorted(known))}")
            expected = known[name]["parameterType"]
            if not _fits(value, expected):
                kind = type(value).__name__
                raise UsageError(f"parameter {name}: the pipeline takes a {expected}, got {kind} {value!r}")
        for name, definition in known.items():
            if name not in parameters and "defaultValue" not in definition:
                raise UsageError(f"parameter {name}: the pipeline {self.name} cannot run without it")

    def images(self) -> Iterator[str]:
        """The images of the project's own containers, also those inside of custom jobs."""
        for executor in self.spec["deploymentSpec"]["executors"].values():
            image = executor["container"]["image"]
            if not image.startswith(_LAUNCHER):
                yield image
        yield from _values(self.spec, "image_uri")

    def tasks(self) -> Iterator[dict[str, Any]]:
        """The tasks of the pipeline and of the groups in it."""
        return _tasks(self.spec)

    def without_caching(self) -> "Compiled":
        """The same pipeline whose tasks use no results that are there already."""
        documents = copy.deepcopy(self.documents)
        for task in _tasks(documents[0]):
            task["cachingOptions"] = {}
        return Compiled("---\n".join(yaml.safe_dump(document) for document in documents))


def _tasks(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for component in [spec["root"], *spec["components"].values()]:
        yield from component.get("dag", {}).get("tasks", {}).values()


def _values(value: Any, key: str) -> Iterator[str]:
    """What a key holds, wherever it is in nested mappings and lists."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        for nested in value.values():
            yield from _values(nested, key)
    elif isinstance(value, list):
        for nested in value:
            yield from _values(nested, key)


def _fits(value: Any, expected: str) -> bool:
    return isinstance(value, _TYPES[expected]) and not (isinstance(value, bool) and expected != "BOOLEAN")
