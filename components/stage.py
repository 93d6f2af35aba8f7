"""The container of a stage, as its component declares it."""

from typing import Any

from kfp import dsl

# The pools of machines that a target maps to images, node pools and machine types.
CPU, ACCELERATOR = "cpu", "accelerator"


def stage_container(
    image: str,
    module: str,
    *,
    root: Any,
    seed: Any,
    config: Any,
    manifest: Any,
    digest: Any,
    inputs: dict[str, tuple[Any, Any]] | None = None,
    outputs: dict[str, Any] | None = None,
) -> dsl.ContainerSpec:
    """`python -m MODULE` with the flags of `veo_core.stage.stage_main`.

    Args:
        image: the image that carries `veo_core`.
        module: the stage's module.
        root, seed, config: the component's input parameters.
        manifest, digest: its output artifact and the output parameter that repeats the artifact's digest.
        inputs: input manifests by flag name, each with its digest parameter.
        outputs: further output parameters by name.
    """
    arguments = _common(root, seed, config, inputs or {})
    for name, path in (outputs or {}).items():
        arguments += ["--output", name, path]
    arguments += ["--manifest", manifest.path, "--digest", digest]
    arguments += ["--executor-output", "{{$.outputs.output_file}}"]
    return _container(image, module, arguments)


def stage_part_container(
    image: str,
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
    return _container(image, module, [*arguments, "--part", part, "--digest", digest])


def _common(root: Any, seed: Any, config: Any, inputs: dict[str, tuple[Any, Any]]) -> list[Any]:
    arguments = ["--root", root, "--seed", seed, "--config", config]
    for name, (artifact, artifact_digest) in inputs.items():
        flag = name.replace("_", "-")
        arguments += [f"--{flag}", artifact.path, f"--{flag}-digest", artifact_digest]
    return arguments


def _container(image: str, module: str, arguments: list[Any]) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image=image, command=["python", "-m", module], args=arguments)
