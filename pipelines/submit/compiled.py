"""A pipeline compiled for a profile: its documents, its interface, its identity."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from pipelines.compile import compile_target
from pipelines.targets.remote import load_target
from veo_core.errors import UsageError
from veo_core.records.base import sha256_bytes

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
    def of(cls, profile: Path, pipeline: str, choice: int = 0, *, cached: bool = True) -> "Compiled":
        """Compile a pipeline.

        Args:
            profile: file of the profile.
            pipeline: "pipeline" or "curation".
            choice: index into the profile's choices of accelerators.
            cached: whether tasks may use results that are there already.

        Raises:
            UsageError: the profile, its images or its choices are wrong.
        """
        target = load_target(profile, choice)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pipeline.yaml"
            compile_target(target, pipeline, path)
            compiled = cls(path.read_text())
        return compiled if cached else compiled._without_caching()

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

    def _without_caching(self) -> "Compiled":
        for task in self._tasks():
            task["cachingOptions"] = {}
        return Compiled("---\n".join(yaml.safe_dump(document) for document in self.documents))

    def _tasks(self) -> Iterator[dict[str, Any]]:
        for component in [self.spec["root"], *self.spec["components"].values()]:
            yield from component.get("dag", {}).get("tasks", {}).values()


def _fits(value: Any, expected: str) -> bool:
    return isinstance(value, _TYPES[expected]) and not (isinstance(value, bool) and expected != "BOOLEAN")


def as_json(value: Any) -> str:
    """A parameter's value in one line, for people."""
    return json.dumps(value, ensure_ascii=False)
