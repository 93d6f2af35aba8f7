"""Terraform itself validates and plans the configuration, with Google's schema behind it and nothing made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.checks.kustomize import Manifest
from infra.checks.overlays import KUBEFLOW
from infra.checks.schema import schema_problems
from infra.checks.terraform import TERRAFORM, Terraform, initialised
from pipelines.targets.profile import KubeflowProfile, Profile, VertexProfile, load_profile
from veo_core.errors import UsageError


@pytest.fixture(scope="module")
def terraform() -> Iterator[Terraform]:
    with initialised() as started:
        yield started


@pytest.fixture(scope="module")
def vertex(terraform: Terraform) -> dict[str, Any]:
    return terraform.plan({})


@pytest.fixture(scope="module")
def gke(terraform: Terraform) -> dict[str, Any]:
    return terraform.plan({"target": "gke"})


def planned(plan: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The resources of a kind by their address."""
    return {
        change["address"]: change["change"]["after"]
        for change in plan["resource_changes"]
        if change["type"] == kind and change["mode"] == "managed"
    }


def profile_of(plan: dict[str, Any], folder: Path) -> Profile:
    file = folder / "mine.yaml"
    file.write_text(plan["output_changes"]["profile"]["after"])
    return load_profile(file)


def test_configuration_is_valid(terraform: Terraform) -> None:
    assert terraform.problems() == []


def test_configuration_is_formatted(terraform: Terraform) -> None:
    assert terraform.run("fmt", "-check", "-recursive").stdout.replace("planned.tftest.json\n", "") == ""


def test_profile_for_vertex_is_one_that_the_pipeline_takes(vertex: dict[str, Any], tmp_path: Path) -> None:
    profile = profile_of(vertex, tmp_path)
    assert isinstance(profile, VertexProfile)
    assert profile.bucket == "gs://example-project-veo-store"
    assert profile.cmek_key == "projects/example-project/locations/us-central1/keyRings/veo/cryptoKeys/veo"
    assert [choice.machine_type for choice in profile.pools.accelerator] == [
        "ct6e-standard-4t",
        "a3-highgpu-8g",
        "a3-ultragpu-8g",
    ]


def test_profile_for_kubeflow_is_one_that_the_pipeline_takes(gke: dict[str, Any], tmp_path: Path) -> None:
    profile = profile_of(gke, tmp_path)
    assert isinstance(profile, KubeflowProfile)
    assert profile.root == "gs://example-project-veo-store"
    assert profile.pools.cpu.cpu == "14"
    assert profile.pools.accelerator[0].tpu_topology == "4x4"


def test_identities_are_the_patch_that_the_overlay_takes(gke: dict[str, Any]) -> None:
    made = list(yaml.safe_load_all(gke["output_changes"]["identities"]["after"]))
    written: list[Manifest] = list(
        yaml.safe_load_all((KUBEFLOW / "overlays" / "gcs" / "identities.yaml").read_text())
    )
    names = [item["metadata"]["name"] for item in made]
    assert sorted(names) == sorted(item["metadata"]["name"] for item in written)
    assert [problem for item in made for problem in schema_problems(item)] == []


def test_buckets_are_private_and_age(vertex: dict[str, Any]) -> None:
    buckets = planned(vertex, "google_storage_bucket")
    assert len(buckets) == 2
    for bucket in buckets.values():
        assert bucket["uniform_bucket_level_access"] is True
        assert bucket["public_access_prevention"] == "enforced"
        assert bucket["lifecycle_rule"]
        assert bucket["encryption"][0]["default_kms_key_name"].endswith("/cryptoKeys/veo")


@pytest.mark.parametrize("target", ["vertex", "gke"])
def test_accounts_have_no_right_that_they_do_not_use(target: str, request: pytest.FixtureRequest) -> None:
    plan = request.getfixturevalue(target)
    roles = {
        resource["role"]
        for kind in ("project", "storage_bucket", "artifact_registry_repository", "service_account")
        for resource in planned(plan, f"google_{kind}_iam_member").values()
    }
    common = {
        "roles/artifactregistry.reader",
        "roles/logging.logWriter",
        "roles/storage.objectUser",
        "roles/storage.objectViewer",
    }
    own = {
        "vertex": {"roles/aiplatform.user", "roles/iam.serviceAccountUser"},
        "gke": {"roles/container.defaultNodeServiceAccount", "roles/iam.workloadIdentityUser"},
    }
    assert roles == common | own[target]
    on_project = {item["role"] for item in planned(plan, "google_project_iam_member").values()}
    assert not {role for role in on_project if role.startswith("roles/storage")}


def test_secrets_are_read_by_who_runs_and_who_serves_and_named_in_the_profile(
    terraform: Terraform, tmp_path: Path
) -> None:
    plan = terraform.plan({"secrets": {"OPENAI_API_KEY": "judge-key"}})
    granted = planned(plan, "google_secret_manager_secret_iam_member").values()
    assert {(item["secret_id"], item["role"]) for item in granted} == {
        ("judge-key", "roles/secretmanager.secretAccessor")
    }
    assert len(granted) == 2
    profile = profile_of(plan, tmp_path)
    assert isinstance(profile, VertexProfile)
    assert profile.secrets == {"OPENAI_API_KEY": "judge-key"}


def test_pools_are_as_the_choices_say(gke: dict[str, Any]) -> None:
    pools = {
        address.partition('accelerator["')[2].removesuffix('"]'): pool
        for address, pool in planned(gke, "google_container_node_pool").items()
        if "accelerator[" in address
    }
    tpu, h100, h200 = (pools[name] for name in sorted(pools))
    assert tpu["placement_policy"][0]["tpu_topology"] == "4x4"
    assert tpu["node_config"][0]["spot"] is True
    assert tpu["node_config"][0]["guest_accelerator"] == []
    assert h100["node_config"][0]["guest_accelerator"][0]["type"] == "nvidia-h100-80gb"
    assert h100["autoscaling"][0]["total_max_node_count"] == 2
    assert h200["node_config"][0]["spot"] is False


def test_workload_identity_binds_each_kubernetes_account(gke: dict[str, Any]) -> None:
    members = {
        item["member"]
        for item in planned(gke, "google_service_account_iam_member").values()
        if item["role"] == "roles/iam.workloadIdentityUser"
    }
    accounts = {f"[veo/veo-{role}]" for role in ("pipeline", "trainer", "serving")}
    assert {"[" + member.partition("[")[2] for member in members} == accounts


def test_without_a_key_or_a_budget_there_are_none(terraform: Terraform, tmp_path: Path) -> None:
    plan = terraform.plan({"encrypt": False, "budget": None})
    kinds = {change["type"] for change in plan["resource_changes"]}
    assert not {kind for kind in kinds if "kms" in kind or "budget" in kind}
    profile = profile_of(plan, tmp_path)
    assert isinstance(profile, VertexProfile)
    assert profile.cmek_key is None


TPU = {"machine_type": "ct6e-standard-4t", "zone": "us-central1-b"}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"project": "X"}, "A project's id is"),
        ({"region": "Mars"}, "A region is a name such as"),
        ({"target": "laptop"}, "The target is vertex or gke"),
        ({"name": "V"}, "A name is 2 to 15"),
        ({"labels": {"Team": "x"}}, "Labels are lower-case"),
        ({"cpu_pool": {"machine_type": "n2-standard-2"}}, "Curation takes a standard machine type"),
        ({"cpu_pool": {"disk_gb": 5}}, "Disks have 100"),
        ({"accelerators": []}, "Name at least one choice"),
        ({"accelerators": [{"machine_type": "a9-giga"}]}, "Machine types are a3-highgpu-8g"),
        ({"accelerators": [TPU]}, "need tpu_topology"),
        ({"accelerators": [{**TPU, "tpu_topology": "4x4"}]}, "must be the product of tpu_topology"),
        ({"accelerators": [{**TPU, "tpu_topology": "big"}]}, "must be the product of tpu_topology"),
        ({"submitters": ["allUsers"]}, "allUsers is none"),
        ({"clips_days": 0}, "Clips are kept for at least a day"),
        ({"budget": {"billing_account": "mine", "dollars": 5}}, "A billing account is"),
        ({"admin_networks": {"all": "0.0.0.0/0"}}, "would let everybody in"),
        (
            {"target": "gke", "accelerators": [{"machine_type": "a3-highgpu-8g"}]},
            "On gke each choice needs a zone",
        ),
    ],
)
def test_wrong_variable_is_refused_with_what_is_right(
    terraform: Terraform, variables: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        terraform.plan(variables)


BREAKS = {
    "unknown argument": ('format        = "DOCKER"', 'formt         = "DOCKER"', "Unsupported argument"),
    "missing argument": ('format        = "DOCKER"', "", "Missing required argument"),
    "unknown block": ("docker_config {", "docker_cnfig {", "Unsupported block type"),
    "block too many": (
        "docker_config {",
        "docker_config {}\n  docker_config {",
        "Too many docker_config blocks",
    ),
    "wrong type": ("immutable_tags = true", "immutable_tags = [1]", "Incorrect attribute value type"),
    "unknown variable": ("kms_key_name  = var.key", "kms_key_name  = var.kee", "undeclared input variable"),
    "unknown attribute": (".this.name }", ".this.nam }", "Unsupported attribute"),
    "unknown resource": (
        "value = google_artifact_registry_repository.this.name",
        "value = google_artifact_registry_repository.that.name",
        "undeclared resource",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_broken_module_is_caught(name: str, terraform: Terraform) -> None:
    right, wrong, message = BREAKS[name]
    file = terraform.folder / "modules" / "registry" / "main.tf"
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong))
    try:
        problems = terraform.problems()
    finally:
        file.write_text(text)
    assert any(message in problem and "modules/registry/main.tf" in problem for problem in problems), problems


def test_module_that_is_given_no_variable_is_caught(terraform: Terraform) -> None:
    file = terraform.folder / "main.tf"
    text = file.read_text()
    file.write_text(text.replace("  clips_days = var.clips_days\n", ""))
    try:
        problems = terraform.problems()
    finally:
        file.write_text(text)
    assert any('The argument "clips_days" is required' in problem for problem in problems), problems


def test_no_value_of_a_secret_and_no_key_file_is_in_the_configuration(vertex: dict[str, Any]) -> None:
    assert not planned(vertex, "google_service_account_key")
    for file in TERRAFORM.rglob("*.tf*"):
        assert "private_key" not in file.read_text()
