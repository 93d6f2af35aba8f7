"""What makes two executions of a task the same: the parts of its cache key."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from veo_core.errors import UsageError
from veo_core.fingerprint import code_of
from veo_core.runner.cache import KeyParts, artifact_identity
from veo_core.runner.placeholders import Bindings
from veo_core.runner.spec import Component

_FLAGS = {"-B", "-E", "-I", "-O", "-OO", "-P", "-S", "-s", "-u"}


class NoIdentityError(ValueError):
    """The code that a command runs cannot be told."""


def key_parts(
    component: Component,
    bindings: Bindings,
    command: Sequence[str],
    env: Mapping[str, str],
    code: Mapping[str, str],
    run_folder: str,
) -> KeyParts:
    """The identity of running `command` with `bindings`, the same in every run and run folder.

    Args:
        code: the identity of the code that the command runs, by name.
    """
    stable = _stabiliser(bindings, run_folder)
    return KeyParts(
        component=component.name,
        command=[stable(part) for part in command],
        env={name: stable(value) for name, value in env.items()},
        code=dict(code),
        parameters={name: _map_text(value, stable) for name, value in bindings.parameters.items()},
        inputs={
            name: [artifact_identity(artifact) for artifact in artifacts]
            for name, artifacts in bindings.input_artifacts.items()
        },
        outputs=[
            *(f"parameter {name} {kind.value}" for name, kind in sorted(component.output_parameters.items())),
            *(f"artifact {name} {dict(a.schema)}" for name, a in sorted(component.output_artifacts.items())),
        ],
    )


def installed_code(command: Sequence[str]) -> dict[str, str]:
    """What a command runs of the installed modules, by file and library; empty for other commands.

    Raises:
        NoIdentityError: it runs a module whose source cannot be found.
    """
    module = _module_of(command)
    try:
        return code_of(module) if module else {}
    except (UsageError, SyntaxError) as error:
        raise NoIdentityError(str(error)) from None


def _module_of(command: Sequence[str]) -> str | None:
    """The module that `python -m MODULE ...` runs, or None for other commands."""
    if command[0] not in ("python", "python3"):
        return None
    arguments = iter(command[1:])
    for argument in arguments:
        if argument == "-m":
            return next(arguments, None)
        if argument not in _FLAGS:
            return None
    return None


def _stabiliser(bindings: Bindings, run_folder: str) -> Callable[[str], str]:
    """A function that replaces places and run-specific values in a text by tokens."""
    run = bindings.run
    tokens = {
        bindings.executor_output: "<executor output>",
        run_folder: "<run>",
        **{run[name]: f"<{name}>" for name in run if name != "pipeline_task_name"},
        **{path: f"<output {name}>" for name, path in bindings.output_files.items()},
        **{artifact.uri: f"<output {name}>" for name, artifact in bindings.output_artifacts.items()},
        **{
            artifact.uri: f"<input {name} {index}>"
            for name, artifacts in bindings.input_artifacts.items()
            for index, artifact in enumerate(artifacts)
        },
    }
    ordered = sorted((text for text in tokens if text), key=len, reverse=True)

    def stable(text: str) -> str:
        for value in ordered:
            text = text.replace(value, tokens[value])
        return text

    return stable


def _map_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map_text(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): _map_text(item, change) for key, item in value.items()}
    return value
