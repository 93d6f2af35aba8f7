"""Each construct that some place does not run, compiled by kfp itself, is found and named."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl, kubernetes
from kfp.dsl import Artifact, Input, Output

from components.stage import Launch
from pipelines.compile import compile_target
from pipelines.portable import violations
from pipelines.targets.embedded import EMBEDDED
from veo_core.errors import UsageError

IMAGE = "registry.example/image@sha256:" + "0" * 64


@dsl.container_component
def write(text: str, out: Output[Artifact]) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image=IMAGE, command=["write", text, out.path])


@dsl.container_component
def say(text: str, said: dsl.OutputPath(str)) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image=IMAGE, command=["say", text, said])


@dsl.container_component
def read(artifact: Input[Artifact]) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image=IMAGE, command=["read", artifact.path])


@dsl.container_component
def read_all(artifacts: Input[list[Artifact]]) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image=IMAGE, command=["read", artifacts])


@dsl.container_component
def gather(texts: list) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image=IMAGE, command=["gather", texts])


@dsl.container_component
def by_tag(text: str) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="registry.example/image:latest", command=["say", text])


def documents(build: Callable[..., Any], tmp_path: Path, **options: Any) -> list[dict[str, Any]]:
    path = tmp_path / "pipeline.yaml"
    compiler.Compiler().compile(dsl.pipeline(name="bad", **options)(build), str(path))
    return list(yaml.load_all(path.read_text(), yaml.CSafeLoader))


def one_of(text: str) -> None:
    with dsl.If(text == "a"):
        first = write(text="1")
    with dsl.Else():
        second = write(text="2")
    read(artifact=dsl.OneOf(first.outputs["out"], second.outputs["out"]))


def artifact_list(texts: list) -> None:
    with dsl.ParallelFor(texts) as text:
        written = write(text=text)
    read_all(artifacts=dsl.Collected(written.outputs["out"]))


def collected_twice(texts: list) -> None:
    with dsl.ParallelFor(texts) as outer, dsl.ParallelFor(texts) as inner:
        spoken = say(text=f"{outer}{inner}")
    gather(texts=dsl.Collected(spoken.outputs["said"]))


def volume() -> None:
    kubernetes.mount_pvc(say(text="a"), pvc_name="data", mount_path="/data")


def created_volume() -> None:
    kubernetes.CreatePVC(access_modes=["ReadWriteOnce"], size="5Gi", pvc_name="data")


def ephemeral_volume() -> None:
    kubernetes.add_ephemeral_volume(say(text="a"), "data", "/data", ["ReadWriteOnce"], "5Gi")


def tag_image() -> None:
    by_tag(text="a")


def secret_environment() -> None:
    say(text="a").set_env_variable("OPENAI_API_KEY", "abc")


def secret_setting(config: dict = {"judge": {"api_key": "abc"}}) -> None:  # noqa: B006 (kfp reads it as a value)
    say(text=f"{config}")


def secret_argument() -> None:
    say(text="--key=AKIA" + "A" * 16)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (one_of, "one of several artifacts"),
        (artifact_list, "list of artifacts"),
        (collected_twice, "a loop within a loop"),
        (volume, "pvcMount"),
        (created_volume, "argostub/createpvc is not in the shared pipeline"),
        (ephemeral_volume, "genericEphemeralVolume"),
        (tag_image, "image registry.example/image:latest is not given by its digest"),
        (secret_environment, "holds a secret"),
        (secret_setting, "api_key: holds a secret"),
        (secret_argument, "holds a secret"),
    ],
)
def test_construct_outside_of_the_subset_is_found(
    build: Callable[..., Any], says: str, tmp_path: Path
) -> None:
    found = violations("kubeflow", documents(build, tmp_path))
    assert any(says in line for line in found), found
    assert all("\n" not in line for line in found)


def workspace() -> None:
    say(text=dsl.WORKSPACE_PATH_PLACEHOLDER)


def test_workspace_of_a_pipeline_configuration_is_found(tmp_path: Path) -> None:
    config = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="5Gi"))
    found = violations("kubeflow", documents(workspace, tmp_path, pipeline_config=config))
    assert any("pipelineConfig is not in the shared pipeline" in line for line in found), found


def on_a_node() -> None:
    kubernetes.add_node_selector(say(text="a"), "pool", "cpu")


def test_second_document_is_refused_where_only_kubeflow_reads_it(tmp_path: Path) -> None:
    compiled = documents(on_a_node, tmp_path)
    assert violations("kubeflow", compiled) == []
    assert violations("vertex", compiled) == ["2 YAML documents: vertex takes one"]
    assert violations("vertex", compiled[:1]) == []


def test_newer_schema_is_found(tmp_path: Path) -> None:
    (ir, _) = documents(on_a_node, tmp_path)
    assert "schemaVersion 2.2.0" in violations("vertex", [ir | {"schemaVersion": "2.2.0"}])[0]


def test_compiling_ends_where_a_construct_is_outside_of_the_subset(tmp_path: Path) -> None:
    by_tag = dataclasses.replace(EMBEDDED, launches=dict.fromkeys(EMBEDDED.launches, Launch("image:latest")))
    with pytest.raises(UsageError, match="image image:latest is not given by its digest"):
        compile_target(by_tag, "curation", tmp_path / "pipeline.yaml")
