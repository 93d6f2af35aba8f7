"""Reading what a task's command produced."""

import json
from pathlib import Path
from typing import Any

from veo_core.runner.artifacts import Artifact, digest_of
from veo_core.runner.context import Values
from veo_core.runner.parameters import coerce, from_text
from veo_core.runner.placeholders import Bindings
from veo_core.runner.spec import Component


class OutputError(ValueError):
    """An output that is missing or malformed."""


def collect(component: Component, bindings: Bindings) -> Values:
    """The outputs of a command that ended well.

    As in Kubeflow, the executor output file has precedence, an output parameter must be written, and an
    artifact need not be.

    Raises:
        OutputError: an output parameter is missing or of another type, or the executor output is malformed.
    """
    values, described = _executor_output(Path(bindings.executor_output))
    parameters: dict[str, Any] = {}
    for name, kind in component.output_parameters.items():
        try:
            if name in values:
                parameters[name] = coerce(values[name], kind)
            else:
                text = Path(bindings.output_files[name]).read_text(encoding="utf-8")
                parameters[name] = from_text(text, kind)
        except FileNotFoundError:
            raise OutputError(f"it did not write output parameter {name!r}") from None
        except (OSError, ValueError) as error:
            raise OutputError(f"output parameter {name!r}: {error}") from None
    artifacts = {
        name: (_artifact(artifact, described.get(name, {})),)
        for name, artifact in bindings.output_artifacts.items()
    }
    return Values(parameters, artifacts)


def _artifact(artifact: Artifact, described: dict[str, Any]) -> Artifact:
    uri, metadata = described.get("uri") or artifact.uri, described.get("metadata") or {}
    if not isinstance(uri, str) or not isinstance(metadata, dict):
        raise OutputError(f"its executor output describes artifact {artifact.name!r} in another form")
    return Artifact(
        name=artifact.name,
        schema=artifact.schema,
        uri=uri,
        digest=digest_of(uri),
        metadata={**artifact.metadata, **metadata},
    )


def _executor_output(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """(parameter values, description of each artifact) from the file that a task may write."""
    if not path.exists():
        return {}, {}
    try:
        output = json.loads(path.read_text(encoding="utf-8"))
        artifacts = {
            name: entry["artifacts"][0]
            for name, entry in output.get("artifacts", {}).items()
            if entry.get("artifacts")
        }
        return dict(output.get("parameterValues", {})), artifacts
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise OutputError(f"its executor output is malformed: {error}") from None
