"""KFP's placeholders: `{{$...}}` in texts, IfPresent and Concat in command lines."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from veo_core.errors import UsageError
from veo_core.records.base import canonical_json
from veo_core.runner.artifacts import Artifact, local_path
from veo_core.runner.parameters import to_text

_PLACEHOLDER = re.compile(r"\{\{\$(.*?)\}\}")
_QUOTED = r"\[(?:'([^']+)'|\"([^\"]+)\")\]"
_EXECUTOR_INPUT = re.compile(r"(?:\.json_escape\[(\d+)\])?")
_INPUT_PARAMETER = re.compile(rf"\.inputs\.parameters{_QUOTED}")
_OUTPUT_PARAMETER = re.compile(rf"\.outputs\.parameters{_QUOTED}\.output_file")
_ARTIFACT = re.compile(rf"\.(inputs|outputs)\.artifacts{_QUOTED}\.(path|uri|metadata{_QUOTED})")
_EXECUTOR_OUTPUT = (".outputs.output_file", ".outputMetadataUri")
RUN_VALUES = (
    "pipeline_job_name",
    "pipeline_job_resource_name",
    "pipeline_job_uuid",
    "pipeline_job_create_time_utc",
    "pipeline_job_schedule_time_utc",
    "pipeline_root",
    "pipeline_task_name",
    "pipeline_task_uuid",
)


class PlaceholderError(ValueError):
    """A placeholder whose value is absent."""


@dataclass(frozen=True)
class Bindings:
    """What the placeholders of one task stand for.

    Attributes:
        run: the values named in RUN_VALUES.
        output_files: files for output parameters, by name.
        executor_output: file in which the task may describe its outputs.
    """

    run: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    input_artifacts: Mapping[str, Sequence[Artifact]] = field(default_factory=dict)
    output_artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    output_files: Mapping[str, str] = field(default_factory=dict)
    executor_output: str = ""

    def executor_input(self) -> str:
        """KFP's ExecutorInput message as JSON."""
        message = {
            "inputs": {
                "parameterValues": dict(self.parameters),
                "artifacts": {
                    name: {"artifacts": [artifact.runtime() for artifact in artifacts]}
                    for name, artifacts in self.input_artifacts.items()
                },
            },
            "outputs": {
                "parameters": {name: {"outputFile": path} for name, path in self.output_files.items()},
                "artifacts": {
                    name: {"artifacts": [artifact.runtime()]}
                    for name, artifact in self.output_artifacts.items()
                },
                "outputFile": self.executor_output,
            },
        }
        return canonical_json(message).decode()


def command_line(elements: Sequence[str], bindings: Bindings) -> list[str]:
    """The elements of a command with every placeholder replaced.

    An element that is an IfPresent becomes any number of elements.

    Raises:
        PlaceholderError: a placeholder whose value is absent.
    """
    return [part for element in elements for part in _element(structure(element), bindings)]


def resolve(value: Any, bindings: Bindings) -> Any:
    """A constant of the IR with the placeholders in its strings replaced.

    A string that is nothing but an input parameter's placeholder becomes the parameter itself.
    """
    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value)
        parameter = _INPUT_PARAMETER.fullmatch(whole[1]) if whole else None
        if parameter:
            return _parameter(_name(parameter, 1), bindings)
        return resolve_text(value, bindings)
    if isinstance(value, list):
        return [_nested(item, bindings) for item in value]
    if isinstance(value, dict):
        return {resolve_text(key, bindings): _nested(item, bindings) for key, item in value.items()}
    return value


def resolve_text(text: str, bindings: Bindings) -> str:
    """`text` with its placeholders replaced; what they bring in is not read for placeholders again."""
    return _PLACEHOLDER.sub(lambda match: _value(match[1], bindings), text)


def structure(element: str) -> Any:
    """An element of a command: itself, or the IfPresent or Concat that it spells in JSON.

    Raises:
        UsageError: it begins like one and is no JSON.
    """
    if not element.startswith(('{"Concat": ', '{"IfPresent": ')):
        return element
    try:
        return json.loads(element)
    except ValueError:
        raise UsageError(f"command-line placeholder {element} is no JSON") from None


def check(text: str, *, where: str, known: Callable[[str, str], bool]) -> None:
    """Refuse placeholders that are not implemented or that name what `where` does not have.

    Args:
        known: tells whether (kind, name) exists; the kinds are "inputs.parameters", "inputs.artifacts",
            "outputs.parameters" and "outputs.artifacts".

    Raises:
        UsageError: there is one.
    """
    for match in _PLACEHOLDER.finditer(text):
        body = match[1]
        if _EXECUTOR_INPUT.fullmatch(body) or body in _EXECUTOR_OUTPUT or body[1:] in RUN_VALUES:
            continue
        kind, name = _reference(body)
        if not kind:
            raise UsageError(f"{where}: placeholder {match[0]} is not implemented")
        if not known(kind, name):
            raise UsageError(f"{where}: placeholder {match[0]} names nothing of this component")


def texts(element: str) -> Iterator[str]:
    """Every text inside an element of a command, those within IfPresent and Concat among them."""
    yield from _leaves(structure(element))


def _leaves(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, list):
        for item in node:
            yield from _leaves(item)
    elif "Concat" in node:
        yield from _leaves(node["Concat"])
    elif "IfPresent" in node:
        branch = node["IfPresent"]
        yield from _leaves([branch["Then"], branch.get("Else", [])])
    else:
        raise UsageError(f"command-line placeholder {'/'.join(sorted(node))} is not implemented")


def _reference(body: str) -> tuple[str, str]:
    for kind, pattern in (("inputs.parameters", _INPUT_PARAMETER), ("outputs.parameters", _OUTPUT_PARAMETER)):
        match = pattern.fullmatch(body)
        if match:
            return kind, _name(match, 1)
    match = _ARTIFACT.fullmatch(body)
    return (f"{match[1]}.artifacts", _name(match, 2)) if match else ("", "")


def _name(match: re.Match[str], group: int) -> str:
    return str(match[group] or match[group + 1])


def _element(node: Any, bindings: Bindings) -> list[str]:
    if isinstance(node, str):
        return [resolve_text(node, bindings)]
    if isinstance(node, list):
        return [part for item in node for part in _element(item, bindings)]
    if "Concat" in node:
        return ["".join(part for item in node["Concat"] for part in _element(item, bindings))]
    branch = node["IfPresent"]
    name = branch["InputName"]
    present = name in bindings.parameters or name in bindings.input_artifacts
    return _element(branch["Then"] if present else branch.get("Else", []), bindings)


def _nested(value: Any, bindings: Bindings) -> Any:
    """Within a list or mapping a placeholder stays text, as in Kubeflow."""
    return resolve_text(value, bindings) if isinstance(value, str) else resolve(value, bindings)


def _parameter(name: str, bindings: Bindings) -> Any:
    if name not in bindings.parameters:
        raise PlaceholderError(f"input parameter {name!r} was not given, and its use has no IfPresent")
    return bindings.parameters[name]


def _value(body: str, bindings: Bindings) -> str:
    executor_input = _EXECUTOR_INPUT.fullmatch(body)
    if executor_input:
        text = bindings.executor_input()
        for _ in range(int(executor_input[1] or 0)):
            text = json.dumps(text, ensure_ascii=False)[1:-1]
        return text
    if body in _EXECUTOR_OUTPUT:
        return bindings.executor_output
    if body[1:] in RUN_VALUES:
        return bindings.run[body[1:]]
    kind, name = _reference(body)
    if kind == "inputs.parameters":
        return to_text(_parameter(name, bindings))
    if kind == "outputs.parameters":
        return bindings.output_files[name]
    if kind == "outputs.artifacts":
        return _property(body, bindings.output_artifacts[name])
    if not bindings.input_artifacts.get(name):
        raise PlaceholderError(f"input artifact {name!r} was not given, and its use has no IfPresent")
    return _property(body, bindings.input_artifacts[name][0])


def _property(body: str, artifact: Artifact) -> str:
    match = _ARTIFACT.fullmatch(body)
    assert match is not None
    if match[4] == "uri":
        return artifact.uri
    if match[4] == "path":
        path = local_path(artifact.uri)
        if path is None:
            raise PlaceholderError(
                f"artifact {artifact.name!r} is at {artifact.uri}, which the embedded runner does not "
                "download; use its .uri"
            )
        return str(path)
    key = _name(match, 5)
    if key not in artifact.metadata:
        raise PlaceholderError(f"artifact {artifact.name!r} has no metadata {key!r}")
    return to_text(artifact.metadata[key])
