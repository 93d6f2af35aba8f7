"""The container of a stage, as its component declares it.

Each component's file says in which POOL its stage runs, and whether remote targets take CACHED results for
it. They do where equal inputs give equal bytes: not for what runs on accelerators, which round differently
from run to run, nor for what reads or changes the world outside: the footage (collect), the registered models
(register).
"""

from typing import Any, NamedTuple

from kfp import dsl

# The pools that a target maps to images and machines: one machine without accelerator, such a machine with
# torch (the image of training), or all the machines with accelerators, which share a stage's work.
CPU, TORCH, ACCELERATOR = "cpu", "torch", "accelerator"


class Launch(NamedTuple):
    """How a stage's process starts.

    Attributes:
        image: the image that carries `veo_core`.
        launcher: modules with their flags, each of which starts the next one and the last the stage's module;
            empty where that starts by itself.
    """

    image: str
    launcher: tuple[str, ...] = ()


def stage_container(
    launch: Launch,
    module: str,
    *,
    root: Any,
    seed: Any,
    config: Any,
    manifest: Any,
    digest: Any,
    views: dict[str, Any],
    inputs: dict[str, tuple[Any, Any]] | None = None,
    outputs: dict[str, Any] | None = None,
) -> dsl.ContainerSpec:
    """`python -m MODULE` with the flags of `veo_core.stage.stage_main`.

    Args:
        launch: how the process starts.
        module: the stage's module.
        root, seed, config: the component's input parameters.
        manifest, digest: its output artifact and the output parameter that repeats the artifact's digest.
        views: output artifacts that the platform's pages show, by name.
        inputs: input manifests by flag name, each with its digest parameter.
        outputs: further output parameters by name.
    """
    arguments = _common(root, seed, config, inputs or {})
    for name, path in (outputs or {}).items():
        arguments += ["--output", name, path]
    for name, view in views.items():
        arguments += ["--view", name, view.path]
    for name, (artifact, _) in (inputs or {}).items():
        arguments += ["--uri", name, artifact.uri]
    arguments += ["--uri", "manifest", manifest.uri]
    arguments += ["--manifest", manifest.path, "--digest", digest]
    arguments += ["--executor-output", "{{$.outputs.output_file}}"]
    return _container(launch, module, arguments)


def stage_part_container(
    launch: Launch,
    module: str,
    *,
    root: Any,
    seed: Any,
    config: Any,
    inputs: dict[str, tuple[Any, Any]],
    part: Any,
    digest: Any,
) -> dsl.ContainerSpec:
    """`python -m MODULE --part I/N`: does a part of the work and publishes nothing but that it is done."""
    arguments = _common(root, seed, config, inputs)
    return _container(launch, module, [*arguments, "--part", part, "--digest", digest])


def _common(root: Any, seed: Any, config: Any, inputs: dict[str, tuple[Any, Any]]) -> list[Any]:
    arguments = ["--root", root, "--seed", seed, "--config", config]
    for name, (artifact, artifact_digest) in inputs.items():
        flag = name.replace("_", "-")
        arguments += [f"--{flag}", artifact.path, f"--{flag}-digest", artifact_digest]
    return arguments


def _container(launch: Launch, module: str, arguments: list[Any]) -> dsl.ContainerSpec:
    command = ["python", "-m", *launch.launcher, module]
    return dsl.ContainerSpec(image=launch.image, command=command, args=arguments)
