"""Registration in Kubeflow's Model Registry, over HTTP against a server that speaks its API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubeflow_server import TOKEN, KubeflowServer
from model_evidence import Evidence

from veo_core.errors import UsageError
from veo_core.registry.config import KubeflowConfig
from veo_core.registry.local import load
from veo_core.registry.register import RegisterConfig
from veo_core.registry.remote import Published, Registration, open_remote
from veo_core.storage import Store

CALLS_OF_A_NEW_VERSION = [
    "GET registered_model",
    "GET model_version",
    "POST model_versions",
    "GET model_artifact",
    "POST model_versions/ID/artifacts",
    "GET model_versions/ID",
    "GET registered_models/ID",
    "PATCH registered_models/ID",
]


@pytest.fixture(scope="module")
def service() -> Iterator[KubeflowServer]:
    server = KubeflowServer()
    yield server
    server.close()


@pytest.fixture
def kubeflow(service) -> KubeflowServer:
    """A registry without any model."""
    service.reset()
    return service


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[Registration, Registration]:
    """Two models of one name."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    for weights in (b"w", b"other"):
        Evidence(store, weights=weights).register()
    first, second = (Registration(store, load(store, f"veo-world@{n}")) for n in (1, 2))
    return first, second


def registry(kubeflow: KubeflowServer, **changes: Any) -> dict[str, Any]:
    return {"kind": "kubeflow", "endpoint": kubeflow.url, "max_wait_seconds": 0} | changes


def publish(kubeflow: KubeflowServer, model: Registration, **changes: Any) -> Published:
    remote = open_remote(KubeflowConfig.model_validate(registry(kubeflow, **changes)), model.store)
    published = remote.publish(model)
    remote.promote(published)
    return published


def holder(kubeflow: KubeflowServer, alias: str = "default") -> str:
    """Name of the version that has an alias."""
    (parent,) = kubeflow.all("registered_models")
    identity = parent["customProperties"][f"alias.{alias}"]["string_value"]
    return str(kubeflow.entities["model_versions"][identity]["name"])


def test_stage_registers_here_and_there(kubeflow, tmp_path):
    evidence = Evidence(Store(str(tmp_path / "store")))
    result = evidence.register(registry=registry(kubeflow))
    assert result.outputs == {"model": "veo-world@1"}
    assert holder(kubeflow) == "1"


def test_alias_goes_to_what_is_promoted_and_leaves_out_what_is_not(kubeflow, tmp_path):
    store = Store(str(tmp_path / "store"))
    for weights, follows, holds in ((b"w", 0.5, "1"), (b"as good", 0.5, "1"), (b"better", 0.9, "3")):
        Evidence(store, weights=weights, follows=follows).register(registry=registry(kubeflow))
        assert holder(kubeflow) == holds
    assert [version["name"] for version in kubeflow.all("model_versions")] == ["1", "2", "3"]


def test_registration_that_was_stopped_before_the_alias_moves_it_when_it_is_done_again(kubeflow, tmp_path):
    store = Store(str(tmp_path / "store"))
    Evidence(store).register(registry=registry(kubeflow))
    better = Evidence(store, weights=b"better", follows=0.9)
    kubeflow.stop_at(len(CALLS_OF_A_NEW_VERSION), late=False)
    with pytest.raises(UsageError, match="403: stopped"):
        better.register(registry=registry(kubeflow))
    assert (holder(kubeflow), load(store, "veo-world@default").reference) == ("1", "veo-world@2")
    assert better.register(registry=registry(kubeflow)).outputs == {"model": "veo-world@2"}
    assert holder(kubeflow) == "2"


def test_model_becomes_a_version_with_digests_figures_and_card(kubeflow, models):
    first, _ = models
    published = publish(kubeflow, first)
    (version,) = kubeflow.all("model_versions")
    properties = version["customProperties"]
    row = first.entry.description.metrics[0]
    name = f"{row.metric}.{row.split}.{row.mode}"
    assert version["externalId"] == first.content
    assert properties["sha256.dataset"]["string_value"] == first.entry.description.manifests["dataset"]
    assert properties["card_uri"]["string_value"].endswith(first.entry.card.path)
    assert properties[f"{name}.value"]["double_value"] == row.value
    assert properties[f"{name}.ci_low"]["double_value"] == row.ci_low
    assert properties["unsafe_outputs.ci_high"]["double_value"] == first.entry.description.safety[0].ci_high
    assert published.uri == f"{kubeflow.url}/api/model_registry/v1alpha3/model_versions/{version['id']}"


def test_artifact_of_the_version_is_a_folder_with_the_entry_and_the_card(kubeflow, models):
    first, _ = models
    publish(kubeflow, first)
    (artifact,) = kubeflow.all("artifacts")
    folder = Path(artifact["uri"])
    assert (folder / "entry.json").read_bytes() == first.entry.to_bytes()
    assert (folder / "card.md").read_bytes() == first.store.get_bytes(first.entry.card)


def test_alias_moves_to_the_next_version_and_not_back(kubeflow, models, capsys):
    first, second = models
    publish(kubeflow, first, alias="approved")
    assert holder(kubeflow, "approved") == "1"
    for model in (second, first):
        publish(kubeflow, model, alias="approved")
        assert holder(kubeflow, "approved") == "2"
    assert "stays on version" in capsys.readouterr().out


def test_alias_leaves_other_properties_alone(kubeflow, models):
    publish(kubeflow, models[0])
    (parent,) = kubeflow.all("registered_models")
    parent["customProperties"]["team"] = {"metadataType": "MetadataStringValue", "string_value": "film"}
    publish(kubeflow, models[1])
    assert parent["customProperties"]["team"]["string_value"] == "film"
    assert holder(kubeflow) == "2"


def test_alias_moves_only_after_the_artifact_is_there(kubeflow, models):
    publish(kubeflow, models[0])
    kubeflow.calls.clear()
    publish(kubeflow, models[1])
    assert kubeflow.calls == CALLS_OF_A_NEW_VERSION


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(1, len(CALLS_OF_A_NEW_VERSION) + 1))
def test_publication_stopped_at_any_call_ends_with_one_version_and_one_artifact(kubeflow, models, call, late):
    publish(kubeflow, models[0])
    kubeflow.stop_at(call, late=late)
    with pytest.raises(UsageError, match="403: stopped"):
        publish(kubeflow, models[1])
    publish(kubeflow, models[1])
    assert [version["name"] for version in kubeflow.all("model_versions")] == ["1", "2"]
    assert len(kubeflow.all("artifacts")) == 2
    assert holder(kubeflow) == "2"


@pytest.mark.parametrize(("status", "late"), [(429, False), (503, True)], ids=["refused", "answer lost"])
@pytest.mark.parametrize("call", CALLS_OF_A_NEW_VERSION)
def test_passing_trouble_leaves_no_trace(kubeflow, models, call, status, late):
    publish(kubeflow, models[0])
    kubeflow.fail(call, status, times=3, late=late)
    publish(kubeflow, models[1])
    assert [version["name"] for version in kubeflow.all("model_versions")] == ["1", "2"]
    assert holder(kubeflow) == "2"


def refused(kubeflow: KubeflowServer, model: Registration, words: str, **changes: Any) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        publish(kubeflow, model, max_attempts=2, **changes)
    assert "\n" not in str(caught.value)


def test_lasting_trouble_is_one_line(kubeflow, models):
    kubeflow.fail("POST model_versions", 503, times=99)
    refused(kubeflow, models[0], f"model registry {kubeflow.url}: 503: try again")


def test_version_of_another_store_under_the_same_name_is_not_touched(kubeflow, models, tmp_path):
    publish(kubeflow, models[0])
    store = Store(str(tmp_path / "store"))
    Evidence(store, weights=b"others").register()
    refused(kubeflow, Registration(store, load(store, "veo-world@1")), "409: model_versions 1 exists")
    assert len(kubeflow.all("model_versions")) == 1


def test_server_that_does_not_answer_is_one_line(kubeflow, models):
    refused(kubeflow, models[0], "no answer: ", endpoint="http://127.0.0.1:1")


def test_token_is_read_from_its_file_and_shown(kubeflow, models, tmp_path):
    kubeflow.guarded = True
    refused(kubeflow, models[0], "401: no valid token")
    token = tmp_path / "token"
    refused(kubeflow, models[0], "token_file .*: cannot be read: No such file", token_file=str(token))
    token.write_text(f"{TOKEN}\n")
    publish(kubeflow, models[0], token_file=str(token))
    assert holder(kubeflow) == "1"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoint": "registry:8080"}, "registry.kubeflow.endpoint"),
        ({"endpoint": "http://registry:8080/api"}, "registry.kubeflow.endpoint"),
        ({"alias": "v1.2"}, "registry.kubeflow.alias"),
        ({"token": "secret"}, "did you mean 'token_file'"),
    ],
)
def test_wrong_configuration_is_refused_in_one_line(changes, words):
    values = {"kind": "kubeflow", "endpoint": "http://registry:8080"} | changes
    with pytest.raises(UsageError, match=words):
        RegisterConfig.parse({"registry": values}, where="register")
