"""The same pipeline on three targets: what is equal, and where each one puts a stage."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from example_profiles import LOCK, write_profile
from google.cloud.aiplatform_v1.types import CustomJobSpec
from google.protobuf import json_format
from neutral import neutral

from pipelines.compile import committed_targets, compile_target, compiled_path, main
from pipelines.pipeline import PIPELINES
from pipelines.targets.remote import load_target
from veo_core.errors import UsageError

ACCELERATED = {
    "train-video-vae",
    "train-audio-vae",
    "encode-latents",
    "train-base",
    "train-upsampler",
    "generate",
}
NOT_CACHED = ACCELERATED | {"collect", "register"}


def read(path: Path) -> list[dict[str, Any]]:
    return list(yaml.load_all(path.read_text(), yaml.CSafeLoader))


def compiled(profile: Path, folder: Path, choice: int = 0) -> list[dict[str, Any]]:
    """The documents of the whole pipeline for a profile."""
    path = folder / "pipeline.yaml"
    compile_target(load_target(profile, choice), "pipeline", path)
    return read(path)


@functools.cache
def committed(name: str, pipeline: str = "pipeline") -> list[dict[str, Any]]:
    (target,) = (target for target in committed_targets() if target.name == name)
    return read(compiled_path(target, pipeline))


def containers(ir: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Stage -> its container."""
    executors = ir["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): executor["container"] for name, executor in executors.items()}


def platform(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Stage -> what the Kubernetes platform specification says of it."""
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): executor for name, executor in executors.items()}


def jobs(ir: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Stage -> the parameters of its custom job."""
    return {
        name.removeprefix("comp-"): {
            key: definition.get("defaultValue")
            for key, definition in component["inputDefinitions"]["parameters"].items()
        }
        for name, component in ir["components"].items()
        if "dag" not in component
    }


def tasks(ir: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for component in [ir["root"], *ir["components"].values()]:
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            if not name.startswith(("condition", "for-loop")):
                yield name, task


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_targets_differ_in_placement_launcher_and_image_only(target: str, pipeline: str) -> None:
    assert neutral(committed(target, pipeline)) == neutral(committed("embedded", pipeline))


def test_equality_sees_a_changed_argument_condition_or_interface() -> None:
    (ir,) = committed("embedded")
    for place, old, new in [
        ("deploymentSpec", "--latents-digest", "--digest-of-latents"),
        ("root", "== 'true'", "!= 'true'"),
        ("components", "NUMBER_INTEGER", "NUMBER_DOUBLE"),
    ]:
        changed = ir | {place: json.loads(json.dumps(ir[place]).replace(old, new))}
        assert changed != ir
        assert neutral([changed]) != neutral([ir])


@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_remote_targets_cache_what_equal_inputs_make_equal(target: str) -> None:
    cached = {
        name: task["cachingOptions"].get("enableCache", False) for name, task in tasks(committed(target)[0])
    }
    assert {name for name, on in cached.items() if not on} == NOT_CACHED


GPU_NODES = {
    "resource": "nvidia.com/gpu", "count": 8, "nodes": 1, "cpu": "180", "memory": "1600Gi",
    "shared_memory": "128Gi", "node_selector": {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"},
    "tolerations": ["nvidia.com/gpu"],
}  # fmt: skip
TPU_NODES = {
    "resource": "google.com/tpu", "count": 8, "nodes": 1, "cpu": "200", "memory": "1200Gi",
    "shared_memory": "64Gi", "tpu_accelerator": "tpu-v6e-slice", "tpu_topology": "2x4",
    "tolerations": ["google.com/tpu", "spot"],
}  # fmt: skip
TPU_LABELS = {
    "cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice",
    "cloud.google.com/gke-tpu-topology": "2x4",
}


@pytest.mark.parametrize(
    ("nodes", "labels"),
    [(GPU_NODES, GPU_NODES["node_selector"]), (TPU_NODES, TPU_LABELS)],
    ids=["gpu", "tpu"],
)
def test_kubeflow_puts_every_accelerator_step_on_nodes_that_have_it(
    nodes: dict[str, Any], labels: dict[str, str], tmp_path: Path
) -> None:
    documents = compiled(write_profile(tmp_path, "kubeflow", accelerator=nodes), tmp_path)
    for stage in ACCELERATED:
        resources, placed = containers(documents[0])[stage]["resources"], platform(documents)[stage]
        assert resources["accelerator"]["resourceType"] == nodes["resource"]
        assert resources["accelerator"]["resourceCount"] == str(nodes["count"])
        assert resources["resourceCpuLimit"] == nodes["cpu"]
        assert resources["resourceMemoryLimit"] == nodes["memory"]
        assert placed["nodeSelector"]["labels"] == labels
        assert placed["tolerations"] == [{"key": key, "operator": "Exists"} for key in nodes["tolerations"]]
        (mount,) = placed["emptyDirMounts"]
        assert (mount["mountPath"], mount["medium"]) == ("/dev/shm", "Memory")
        assert mount["sizeLimit"] == nodes["shared_memory"]
        assert containers(documents[0])[stage]["command"][2:-1] == ["veo_core.launch.start"]


@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_stages_on_cpus_start_the_world_s_judge_unless_another_answers(target: str, tmp_path: Path) -> None:
    profile = write_profile(tmp_path, target)
    for judge, launcher in (("world", ["veo_core.launch.judged"]), ("external", [])):
        compile_target(load_target(profile, judge=judge), "curation", tmp_path / "curation.yaml")
        ir = read(tmp_path / "curation.yaml")[0]
        commands = (
            [job["worker_pool_specs"][0]["container_spec"]["command"] for job in jobs(ir).values()]
            if target == "vertex"
            else [container["command"] for container in containers(ir).values()]
        )
        assert len(commands) > 8
        assert all(command[2:-1] == launcher for command in commands)


@pytest.mark.parametrize("choice", [0, 1])
@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_evaluation_has_the_image_of_training_on_a_machine_without_accelerator(
    target: str, choice: int, tmp_path: Path
) -> None:
    example = Path(__file__).parents[2] / "pipelines" / "profiles" / f"{target}-example.yaml"
    compile_target(load_target(example, choice), "pipeline", tmp_path / "pipeline.yaml")
    documents = read(tmp_path / "pipeline.yaml")
    if target == "kubeflow":
        of_stage = containers(documents[0])
        images = {stage: container["image"] for stage, container in of_stage.items()}
        assert of_stage["evaluate"]["resources"] == of_stage["register"]["resources"]
        placed = platform(documents)
        assert placed["evaluate"]["nodeSelector"] == placed["register"]["nodeSelector"]
    else:
        pools = {stage: job["worker_pool_specs"] for stage, job in jobs(documents[0]).items()}
        images = {stage: pool[0]["container_spec"]["image_uri"] for stage, pool in pools.items()}
        (evaluation,), (registration,) = pools["evaluate"], pools["register"]
        assert evaluation["machine_spec"] == registration["machine_spec"]
    assert images["evaluate"] == images["train-base"] != images["register"]


def test_committed_kubeflow_steps_have_limits_selector_queue_and_secrets_by_reference() -> None:
    documents = committed("kubeflow")
    placed = platform(documents)
    for stage, container in containers(documents[0]).items():
        assert {"resourceCpuLimit", "resourceMemoryLimit"} <= container["resources"].keys()
        assert placed[stage]["nodeSelector"]["labels"]
        assert placed[stage]["podMetadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "veo"}
        secrets = placed[stage]["secretAsEnv"]
        assert {secret["secretName"] for secret in secrets} == {"veo-object-store"}
        variables = [pair["envVar"] for secret in secrets for pair in secret["keyToEnv"]]
        assert variables == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]


def test_kubeflow_shares_a_stage_among_many_nodes_as_a_train_job_from_a_step_without_accelerators(
    tmp_path: Path,
) -> None:
    nodes = TPU_NODES | {"count": 4, "nodes": 4, "tpu_topology": "4x4"}
    documents = compiled(write_profile(tmp_path, "kubeflow", accelerator=nodes), tmp_path)
    for stage in ACCELERATED:
        step = containers(documents[0])[stage]
        assert "accelerator" not in step["resources"]
        assert (step["resources"]["resourceCpuLimit"], step["resources"]["resourceMemoryLimit"]) == (
            "1",
            "2Gi",
        )
        assert platform(documents)[stage]["nodeSelector"] == platform(documents)["collect"]["nodeSelector"]
        module, *flags, _ = step["command"][2:]
        assert module == "veo_core.launch.trainjob"
        assert flags == [
            "--image", step["image"],
            "--nodes", "4", "--resource", "google.com/tpu", "--count", "4",
            "--cpu", "200", "--memory", "1200Gi", "--shared-memory", "64Gi", "--queue", "veo",
            "--node-selector", "cloud.google.com/gke-tpu-accelerator=tpu-v6e-slice",
            "--node-selector", "cloud.google.com/gke-tpu-topology=4x4",
            "--toleration", "google.com/tpu", "--toleration", "spot",
            "--topology", "4x4",
        ]  # fmt: skip


def test_vertex_jobs_are_what_its_api_takes_and_their_replicas_make_the_topology() -> None:
    (ir,) = committed("vertex")
    for stage, job in jobs(ir).items():
        pools = job["worker_pool_specs"]
        spec = json_format.ParseDict({"worker_pool_specs": pools}, CustomJobSpec.pb(CustomJobSpec()))
        machines = {pool.machine_spec.machine_type for pool in spec.worker_pool_specs}
        topologies = {pool.machine_spec.tpu_topology for pool in spec.worker_pool_specs}
        hosts = [pool.replica_count for pool in spec.worker_pool_specs]
        expected = (
            ({"ct6e-standard-4t"}, {"4x4"}, [1, 3]) if stage in ACCELERATED
            else ({"n2-standard-16"}, {""}, [1])
        )  # fmt: skip
        assert (machines, topologies, hosts) == expected
        assert job["strategy"] == "SPOT"
        assert job["restart_job_on_worker_restart"] == (stage in ACCELERATED)
        assert job["labels"] == {"team": "video"}
        assert job["service_account"] == "veo-pipeline@example-project.iam.gserviceaccount.com"
        launched = pools[0]["container_spec"]["command"][2] == "veo_core.launch.start"
        assert launched == (stage in ACCELERATED)


NETWORK = "projects/12345/global/networks/veo"
KEY = "projects/example-project/locations/us-central1/keyRings/veo/cryptoKeys/data"


@pytest.fixture(scope="module")
def second_choice(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The jobs of a profile with network and key, with its second choice of accelerators."""
    folder = tmp_path_factory.mktemp("second")
    (ir,) = compiled(write_profile(folder, "vertex", network=NETWORK, cmek_key=KEY), folder, choice=1)
    return jobs(ir)


def test_vertex_takes_the_next_choice_where_the_first_is_not_free(
    second_choice: dict[str, dict[str, Any]],
) -> None:
    job = second_choice["train-base"]
    first, others = job["worker_pool_specs"]
    assert first["machine_spec"] == {
        "machine_type": "a3-highgpu-8g", "accelerator_type": "NVIDIA_H100_80GB", "accelerator_count": 8,
    }  # fmt: skip
    assert others["replica_count"] == 1
    assert "veo-train-gpu@" in first["container_spec"]["image_uri"]
    assert (job["strategy"], job["max_wait_duration"]) == ("FLEX_START", "86400s")


def test_vertex_jobs_take_network_and_key_of_the_profile(second_choice: dict[str, dict[str, Any]]) -> None:
    for job in second_choice.values():
        assert (job["network"], job["encryption_spec_key_name"]) == (NETWORK, KEY)


def test_choice_that_a_profile_lacks_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"choice 3: pools\.accelerator has the choices 0 to 2"):
        load_target(write_profile(tmp_path, "vertex"), 3)


def test_vertex_structures_are_escaped_where_they_travel_in_json() -> None:
    (ir,) = committed("vertex")
    for stage, job in jobs(ir).items():
        arguments = job["worker_pool_specs"][0]["container_spec"]["args"]
        assert (
            arguments[arguments.index("--config") + 1] == "{{$.inputs.parameters['config'].json_escape[0]}}"
        )
        assert arguments[arguments.index("--root") + 1] == "{{$.inputs.parameters['root']}}", stage


@pytest.mark.parametrize(
    ("lock", "says"),
    [
        ({"curate": "example/veo-curate:latest"}, "curate: example/veo-curate:latest is no digest"),
        ({"curate": "example/veo-curate@sha256:abc"}, "is no digest"),
        ({"curate": json.loads(LOCK.read_text())["curate"]}, "no image 'train-"),
        ([], "expected image names"),
    ],
)
@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_images_without_a_digest_are_refused_in_one_line(
    target: str, lock: Any, says: str, tmp_path: Path
) -> None:
    (tmp_path / "images.lock.json").write_text(json.dumps(lock))
    with pytest.raises(UsageError, match=says) as caught:
        load_target(write_profile(tmp_path, target, images="images.lock.json"))
    assert "make push" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "change", "says"),
    [
        ("vertex", {"regoin": "us-east1"}, "did you mean 'region'"),
        ("vertex", {"bucket": "s3://example"}, "bucket"),
        ("vertex", {"labels": {"Team": "video"}}, "labels.Team"),
        ("vertex", {"target": "sagemaker"}, "target: must be one of vertex, kubeflow, got 'sagemaker'"),
        ("kubeflow", {"root": "/data"}, "root"),
        ("kubeflow", {"secrets": [{"name": "keys"}]}, "secrets.0.env"),
    ],
)
def test_a_wrong_profile_is_told_in_one_line(
    target: str, change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        load_target(write_profile(tmp_path, target, **change))
    assert "\n" not in str(caught.value)


def test_command_compiles_a_users_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = write_profile(tmp_path, "kubeflow", root="gs://mine/store")
    command = ["compile", "--profile", str(profile), "--choice", "1", "--output", str(tmp_path / "ir")]
    monkeypatch.setattr("sys.argv", command)
    assert main() == 0
    (ir, _) = read(tmp_path / "ir" / "kubeflow-curation.yaml")
    assert ir["root"]["inputDefinitions"]["parameters"]["root"]["defaultValue"] == "gs://mine/store"
    monkeypatch.setattr("sys.argv", [*command[:4], "7", *command[5:]])
    assert main() == 2
    assert capsys.readouterr().err == (
        f"error: {profile}: choice 7: pools.accelerator has the choices 0 to 1\n"
    )
