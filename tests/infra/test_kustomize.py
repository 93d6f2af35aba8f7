"""The Kustomize overlays build, fit the APIs, and agree with each other and with the example profile."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.checks.kustomize import Manifest, build
from infra.checks.overlays import KUBEFLOW, overlay_problems, overlays, problems
from pipelines.targets.profile import KubeflowProfile, load_profile
from veo_core.errors import UsageError

EXAMPLE = Path(__file__).parents[2] / "pipelines" / "profiles" / "kubeflow-example.yaml"


@pytest.fixture(scope="module")
def s3() -> list[Manifest]:
    return build(KUBEFLOW / "overlays" / "s3")


def find(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    return next(item for item in manifests if item["kind"] == kind and item["metadata"]["name"] == name)


@pytest.mark.parametrize("folder", overlays(), ids=lambda folder: folder.name)
def test_overlay_builds_and_passes_every_check(folder: Path) -> None:
    assert overlay_problems(folder) == []


def test_what_the_example_profile_names_is_there(s3: list[Manifest]) -> None:
    profile = load_profile(EXAMPLE)
    assert isinstance(profile, KubeflowProfile)
    assert find(s3, "Namespace", profile.namespace)
    assert find(s3, "ServiceAccount", profile.service_account)
    assert find(s3, "LocalQueue", str(profile.queue))
    for secret in profile.secrets:
        fetched = find(s3, "ExternalSecret", secret.name)["spec"]
        assert fetched["target"]["name"] == secret.name
        assert {item["secretKey"] for item in fetched["data"]} == set(secret.env.values())


def test_flavours_cover_the_nodes_of_the_example_profile(s3: list[Manifest]) -> None:
    profile = load_profile(EXAMPLE)
    assert isinstance(profile, KubeflowProfile)
    labels = [item["spec"]["nodeLabels"] for item in s3 if item["kind"] == "ResourceFlavor"]
    wanted = [profile.pools.cpu.node_selector]
    for pool in profile.pools.accelerator:
        tpu = {"cloud.google.com/gke-tpu-accelerator": str(pool.tpu_accelerator)}
        wanted.append(tpu if pool.is_tpu else pool.node_selector)
    assert all(label in labels for label in wanted)


def test_quotas_admit_the_example_profiles_largest_training(s3: list[Manifest]) -> None:
    profile = load_profile(EXAMPLE)
    assert isinstance(profile, KubeflowProfile)
    flavours = find(s3, "ClusterQueue", "veo")["spec"]["resourceGroups"][0]["flavors"]
    quotas = [{item["name"]: item["nominalQuota"] for item in flavour["resources"]} for flavour in flavours]
    for pool in profile.pools.accelerator:
        asked = pool.count * pool.nodes
        assert any(
            int(quota[pool.resource]) >= asked and int(quota["cpu"]) >= int(pool.cpu) * pool.nodes
            for quota in quotas
        )


def test_only_the_pipelines_account_may_use_the_api_and_only_for_trainjobs_and_steps(
    s3: list[Manifest],
) -> None:
    allowed = {
        (group, resource)
        for role in s3
        if role["kind"] == "Role"
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert allowed == {
        ("trainer.kubeflow.org", "trainjobs"),
        ("", "pods"),
        ("", "pods/log"),
        ("argoproj.io", "workflowtaskresults"),
    }
    subjects = {s["name"] for item in s3 if item["kind"] == "RoleBinding" for s in item["subjects"]}
    assert subjects == {"veo-pipeline"}
    assert not [item for item in s3 if item["kind"].startswith("ClusterRole")]


def test_the_network_is_closed_unless_a_policy_opens_it(s3: list[Manifest]) -> None:
    closed = find(s3, "NetworkPolicy", "deny-all")["spec"]
    assert closed["podSelector"] == {}
    assert set(closed["policyTypes"]) == {"Ingress", "Egress"}
    assert not {"ingress", "egress"} & closed.keys()


def break_(kind: str, name: str, change: Callable[[Manifest], object]) -> Callable[[list[Manifest]], None]:
    return lambda manifests: (change(find(manifests, kind, name)), None)[1]


BREAKS = {
    "unknown field": (
        break_("NetworkPolicy", "names", lambda item: item["spec"].update(podselector={})),
        "NetworkPolicy names: spec.podselector: unknown field",
    ),
    "unknown field of a list's item": (
        break_("Role", "veo-trainjob", lambda item: item["rules"][0].update(verb=["get"])),
        "Role veo-trainjob: rules[0].verb: unknown field",
    ),
    "wrong type": (
        break_("ResourceQuota", "veo", lambda item: item["spec"]["hard"].update(pods=256)),
        "ResourceQuota veo: spec.hard[pods]: must be str, got 256",
    ),
    "a word where a number belongs": (
        break_(
            "NetworkPolicy",
            "serving",
            lambda item: item["spec"]["ingress"][0]["ports"][0].update(endPort="x"),
        ),
        "NetworkPolicy serving: spec.ingress[0].ports[0].endPort: must be int, got 'x'",
    ),
    "missing required field": (
        break_("RoleBinding", "veo-trainjob", lambda item: item.pop("roleRef")),
        "RoleBinding veo-trainjob: manifest: Invalid value for `role_ref`, must not be `None`",
    ),
    "unknown field of a custom resource": (
        break_("ClusterQueue", "veo", lambda item: item["spec"].update(queueingStrateg="StrictFIFO")),
        "ClusterQueue veo: spec: unknown key 'queueingStrateg'; did you mean 'queueing_strategy'?",
    ),
    "unknown value of a custom resource": (
        break_(
            "ClusterQueue", "veo", lambda item: item["spec"]["preemption"].update(withinClusterQueue="Yes")
        ),
        "ClusterQueue veo: spec: preemption.withinClusterQueue: Input should be 'Never'",
    ),
    "no such kind": (
        break_("LocalQueue", "veo", lambda item: item.update(apiVersion="kueue.x-k8s.io/v1alpha9")),
        "LocalQueue veo: apiVersion 'kueue.x-k8s.io/v1alpha9' has no kind 'LocalQueue' that is known here",
    ),
    "missing namespace": (
        break_("ServiceAccount", "veo-trainer", lambda item: item["metadata"].pop("namespace")),
        "ServiceAccount veo-trainer: metadata.namespace: missing",
    ),
    "undefined namespace": (
        break_("LimitRange", "veo", lambda item: item["metadata"].update(namespace="other")),
        "LimitRange veo: metadata.namespace: no Namespace other is defined",
    ),
    "dangling account": (
        break_("RoleBinding", "veo-trainjob", lambda item: item["subjects"][0].update(name="nobody")),
        "RoleBinding veo-trainjob: names ServiceAccount nobody, which is not defined",
    ),
    "dangling role": (
        break_("RoleBinding", "veo-trainjob", lambda item: item["roleRef"].update(name="gone")),
        "RoleBinding veo-trainjob: names Role gone, which is not defined",
    ),
    "dangling queue": (
        break_("LocalQueue", "veo", lambda item: item["spec"].update(clusterQueue="gone")),
        "LocalQueue veo: names ClusterQueue gone, which is not defined",
    ),
    "dangling flavour": (
        break_("ResourceFlavor", "veo-h100", lambda item: item["metadata"].update(name="veo-h101")),
        "ClusterQueue veo: names ResourceFlavor veo-h100, which is not defined",
    ),
    "quota of another resource": (
        break_(
            "ClusterQueue",
            "veo",
            lambda item: item["spec"]["resourceGroups"][0]["flavors"][0]["resources"].pop(),
        ),
        "ClusterQueue veo: flavor veo-cpu: has quotas for",
    ),
    "a right to everything": (
        break_("Role", "veo-trainjob", lambda item: item["rules"][0].update(verbs=["*"])),
        "Role veo-trainjob: rules: '*' gives more than anybody needs",
    ),
    "the same name twice": (
        lambda manifests: manifests.append(copy.deepcopy(find(manifests, "LimitRange", "veo"))),
        "LimitRange veo: defined 2 times in namespace veo",
    ),
    "a secret's value": (
        lambda manifests: manifests.append(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "key", "namespace": "veo"},
                "stringData": {"key": "abc"},
            }
        ),
        "Secret key: a secret's values belong in no file",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_bad_manifest_is_caught(name: str, s3: list[Manifest]) -> None:
    change, expected = BREAKS[name]
    manifests = copy.deepcopy(s3)
    change(manifests)
    found = problems(manifests)
    assert any(problem.startswith(expected) for problem in found), found


def test_overlay_that_does_not_build_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [gone.yaml]\n")
    with pytest.raises(UsageError, match=r"gone\.yaml"):
        build(tmp_path)
