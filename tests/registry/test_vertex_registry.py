"""Registration in Vertex AI's Model Registry: the real SDK against a server that speaks the real protocol."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from model_evidence import Evidence
from model_service import NUMBER, PROJECT, REGION, RefusalError, VertexServer

from veo_core.errors import UsageError
from veo_core.registry.config import VertexConfig
from veo_core.registry.local import list_models, load
from veo_core.registry.register import RegisterConfig
from veo_core.registry.remote import Published, Registration, open_remote
from veo_core.safety.records import Policy
from veo_core.storage import Store

IMAGE = f"{REGION}-docker.pkg.dev/{PROJECT}/veo/veo-serve@sha256:{'5' * 64}"
CALLS_OF_A_NEW_VERSION = [
    "ListOperations",
    "GetModel",
    "ListModelVersions",
    "UploadModel",
    "ListModelEvaluations",
    "ImportModelEvaluation",
    "GetModel",
    "MergeVersionAliases",
]


@pytest.fixture(scope="module")
def models(gcs_root, tmp_path_factory) -> tuple[Registration, Registration]:
    """Two models of one name in a registry in a bucket."""
    store = Store(f"{gcs_root}/{tmp_path_factory.mktemp('models').name}-{os.getpid()}")
    for weights in (b"w", b"other"):
        Evidence(store, weights=weights).register()
    first, second = (Registration(store, load(store, f"veo-world@{n}")) for n in (1, 2))
    return first, second


@pytest.fixture
def evidence(gcs_root, tmp_path) -> Evidence:
    return Evidence(Store(f"{gcs_root}/{tmp_path.name}-{os.getpid()}"))


def registry(vertex: VertexServer, **changes: Any) -> dict[str, Any]:
    values = {
        "kind": "vertex",
        "project": PROJECT,
        "region": REGION,
        "serving_image": IMAGE,
        "endpoint": vertex.endpoint,
        "max_wait_seconds": 0,
    }
    return values | changes


def publish(vertex: VertexServer, model: Registration, **changes: Any) -> Published:
    remote = open_remote(VertexConfig.model_validate(registry(vertex, **changes)), model.store)
    published = remote.publish(model)
    remote.promote(published)
    return published


def test_model_becomes_a_version_that_says_what_it_is(vertex, models):
    first, _ = models
    published = publish(vertex, first, labels={"team": "film"})
    (version,) = vertex.versions()
    model, card = version.model, first.entry.card
    assert version.aliases == {"default", "v1"}
    assert model.labels["veo_content"] == first.content[:32]
    assert model.labels["veo_dataset"] == first.entry.description.manifests["dataset"][:32]
    assert (model.labels["veo_version"], model.labels["team"]) == ("1", "film")
    assert f"{first.store.root}/{card.path}, sha256 {card.sha256}" in model.version_description
    name = f"projects/{NUMBER}/locations/{REGION}/models/veo-world@1"
    assert published == Published(f"https://{REGION}-aiplatform.googleapis.com/v1/{name}", name)


def test_version_says_how_the_model_is_served(vertex, models):
    first, _ = models
    publish(vertex, first, serving_environment={"VEO_SERVE_PROMPT_FILTER": "world"}, cmek_key="keys/1")
    model = vertex.versions()[0].model
    container, root = model.container_spec, first.store.root
    assert container.image_uri == IMAGE
    assert (container.health_route, container.predict_route) == ("/health", "/predict")
    assert {variable.name: variable.value for variable in container.env} == {
        "VEO_SERVE_MODEL": "veo-world@1",
        "VEO_SERVE_ROOT": root,
        "VEO_SERVE_OUTPUT": f"{root}/served",
        "VEO_SERVE_PROMPT_FILTER": "world",
    }
    assert model.encryption_spec.kms_key_name == "keys/1"


def test_version_s_server_reads_its_secrets_by_name(vertex, models):
    first, _ = models
    plain = publish(vertex, first)
    secret = "projects/veo-project/secrets/judge/versions/latest"
    published = publish(vertex, first, serving_secrets={"OPENAI_API_KEY": secret})
    assert not vertex.versions()[0].model.container_spec.command
    command = list(vertex.versions()[1].model.container_spec.command)
    start = ["veo_core.serve", "--host", "0.0.0.0"]
    assert command == ["python", "-m", "veo_core.launch.secrets", f"--secret=OPENAI_API_KEY={secret}", *start]
    dockerfile = (Path(__file__).parents[2] / "images" / "serve" / "Dockerfile").read_text()
    assert f"CMD {json.dumps(['python', '-m', *start])}" in dockerfile
    assert published != plain


def test_files_of_the_version_are_the_entry_and_the_card(vertex, models):
    first, _ = models
    publish(vertex, first)
    store = first.store
    folder = vertex.versions()[0].model.artifact_uri.removeprefix(f"{store.root}/marks/")
    assert store.get_mark(f"{folder}/entry.json") == first.entry.to_bytes()
    assert store.get_mark(f"{folder}/card.md") == store.get_bytes(first.entry.card)


def test_evaluation_is_imported_with_every_figure_and_its_interval(vertex, models):
    first, _ = models
    publish(vertex, first)
    (evaluation,) = vertex.versions()[0].evaluations
    description = first.entry.description
    figures = [(row["metric"], row["value"], row["ci_low"]) for row in evaluation.metrics["quality"]]
    assert figures == [(row.metric, row.value, row.ci_low) for row in description.metrics]
    assert [figure["name"] for figure in evaluation.metrics["safety"]] == [
        figure.name for figure in description.safety
    ]
    assert evaluation.metadata["safety"] == description.manifests["safety"]


def test_next_model_is_a_version_of_the_same_name_and_takes_the_alias(vertex, models):
    for model in models:
        publish(vertex, model, alias="approved")
    first, second = vertex.versions()
    assert (first.aliases, second.aliases) == ({"default", "v1"}, {"v2", "approved"})


def test_alias_goes_to_what_is_promoted_and_leaves_out_what_is_not(vertex, evidence):
    settings = registry(vertex, alias="approved")
    for weights, follows in ((b"w", 0.5), (b"as good", 0.5), (b"better", 0.9)):
        Evidence(evidence.store, weights=weights, follows=follows).register(registry=settings)
    aliases = [version.aliases for version in vertex.versions()]
    assert aliases == [{"default", "v1"}, {"v2"}, {"v3", "approved"}]


def test_alias_moves_only_after_the_evaluation_is_there(vertex, models):
    publish(vertex, models[0])
    vertex.calls.clear()
    publish(vertex, models[1])
    assert vertex.calls == CALLS_OF_A_NEW_VERSION
    assert vertex.versions()[1].aliases == {"default", "v2"}


def test_publishing_an_older_model_again_leaves_the_alias_on_the_newer(vertex, models, capsys):
    first, second = models
    for model in (first, second, first):
        publish(vertex, model)
    assert [version.aliases for version in vertex.versions()] == [{"v1"}, {"default", "v2"}]
    assert "stays on version 2" in capsys.readouterr().out


def test_another_serving_image_makes_another_version_of_the_same_model(vertex, models):
    newer = IMAGE[:-64] + "6" * 64
    for image in (IMAGE, newer, IMAGE):
        publish(vertex, models[0], serving_image=image)
    assert [version.model.container_spec.image_uri for version in vertex.versions()] == [IMAGE, newer]
    assert vertex.versions()[1].aliases == {"default", "v1"}


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(1, len(CALLS_OF_A_NEW_VERSION) + 1))
def test_publication_stopped_at_any_call_ends_with_one_version_and_one_evaluation(vertex, models, call, late):
    publish(vertex, models[0])
    vertex.stop_at(call, late=late)
    with pytest.raises(UsageError, match="access is denied: stopped"):
        publish(vertex, models[1])
    published = publish(vertex, models[1])
    first, second = vertex.versions()
    assert [len(version.evaluations) for version in (first, second)] == [1, 1]
    assert (first.aliases, second.aliases) == ({"v1"}, {"default", "v2"})
    assert published.resource_name.endswith("models/veo-world@2")


def command(evidence: Evidence, folder: Path, config: dict[str, Any]) -> list[str]:
    arguments = ["--root", evidence.store.root, "--config", json.dumps({"registry": config})]
    for name, manifest in evidence.manifests().items():
        path = folder / f"{name}.json"
        path.write_bytes(manifest.to_bytes())
        arguments += [f"--{name.replace('_', '-')}", str(path)]
    arguments += ["--manifest", str(folder / "out.json"), "--executor-output", str(folder / "executor.json")]
    return [sys.executable, "-m", "veo_core.registry.register", *arguments]


@pytest.mark.thorough
def test_process_killed_during_an_upload_and_started_again_waits_for_that_upload(vertex, evidence, tmp_path):
    vertex.polls = 1000
    arguments = command(evidence, tmp_path, registry(vertex))
    with subprocess.Popen(arguments) as process:
        vertex.await_call("GetOperation")
        process.kill()
    assert vertex.versions() == []
    vertex.polls = 1
    subprocess.run(arguments, check=True)
    (version,) = vertex.versions()
    assert len(version.evaluations) == 1
    assert vertex.calls.count("UploadModel") == 1
    described = json.loads((tmp_path / "executor.json").read_text())["artifacts"]
    (artifact,) = described["vertex_model"]["artifacts"]
    assert artifact["metadata"]["resourceName"].endswith("/models/veo-world@1")
    assert artifact["uri"].endswith(artifact["metadata"]["resourceName"])
    assert described["manifest"]["artifacts"][0]["metadata"]["stage"] == "register"


@pytest.mark.parametrize("method", sorted(set(CALLS_OF_A_NEW_VERSION)))
@pytest.mark.parametrize(
    ("code", "late"),
    [(StatusCode.RESOURCE_EXHAUSTED, False), (StatusCode.UNAVAILABLE, True)],
    ids=["refused", "answer lost"],
)
def test_passing_trouble_leaves_no_trace(vertex, models, method, code, late):
    publish(vertex, models[0])
    vertex.fail(method, code, "try again", times=3, late=late)
    publish(vertex, models[1])
    assert [len(version.evaluations) for version in vertex.versions()] == [1, 1]
    assert vertex.versions()[1].aliases == {"default", "v2"}


def test_upload_that_ends_in_an_error_is_tried_again(vertex, models):
    vertex.upload_error = RefusalError(StatusCode.INTERNAL, "the image could not be copied")
    publish(vertex, models[0])
    assert len(vertex.versions()) == 1


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (StatusCode.UNAVAILABLE, "connection reset", "no answer: connection reset; register again later"),
        (StatusCode.RESOURCE_EXHAUSTED, "models per region", "the quota is used up: models per region"),
        (StatusCode.PERMISSION_DENIED, "aiplatform.models.upload", "aiplatform.models.upload .needed: "),
        (StatusCode.UNAUTHENTICATED, "token expired", "the credentials are refused: token expired"),
        (StatusCode.INVALID_ARGUMENT, "bad\nimage", "the request is refused: bad image"),
    ],
    ids=lambda value: value.name if isinstance(value, StatusCode) else "",
)
def test_lasting_trouble_is_one_line_that_names_the_place(vertex, models, code, message, words):
    vertex.fail("UploadModel", code, message, times=99)
    with pytest.raises(UsageError, match=words) as caught:
        publish(vertex, models[0], max_attempts=3)
    assert str(caught.value).startswith(f"Vertex AI projects/{PROJECT}/locations/{REGION}: ")
    assert "\n" not in str(caught.value)
    assert vertex.versions() == []


def test_project_of_someone_else_is_one_line(vertex, models):
    with pytest.raises(UsageError, match="access is denied: resource projects/other-project"):
        publish(vertex, models[0], project="other-project")


def test_account_that_vertex_does_not_know_is_one_line(vertex, models, monkeypatch, tmp_path):
    account = json.loads(vertex.credentials.read_text()) | {"client_email": "nobody@example.com"}
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    with pytest.raises(UsageError, match="credentials are refused: an unknown account"):
        publish(vertex, models[0])


def test_missing_credentials_are_one_line_and_nothing_is_registered(vertex, evidence, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(UsageError, match=r"no credentials: .*missing\.json"):
        evidence.register(registry=registry(vertex))
    assert list_models(evidence.store) == []


def test_local_entry_stands_where_vertex_refuses_the_model(vertex, evidence):
    vertex.fail("UploadModel", StatusCode.INVALID_ARGUMENT, "bad image")
    with pytest.raises(UsageError, match="bad image"):
        evidence.register(registry=registry(vertex))
    assert [line.reference for line in list_models(evidence.store)] == ["veo-world@1"]


def test_closed_gate_calls_nothing(vertex, evidence):
    evidence.policy = Policy(min_following_held_out=0.9)
    with pytest.raises(UsageError, match="safety gate is closed"):
        evidence.register(registry=registry(vertex))
    assert vertex.calls == []


def test_store_that_vertex_cannot_read_is_refused(vertex, tmp_path):
    evidence = Evidence(Store(str(tmp_path / "store")))
    with pytest.raises(UsageError, match="reads models from gs:// only"):
        evidence.register(registry=registry(vertex))
    assert list_models(evidence.store) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"serving_image": "veo-serve:latest"}, "serving_image: .* pin the image by its digest"),
        ({"serving_image": f"veo-serve:1@sha256:{'5' * 63}"}, "pin the image by its digest"),
        ({"alias": "v1.2"}, "alias"),
        ({"labels": {"Team": "film"}}, "labels.Team"),
        ({"labels": {"team": "Film"}}, "labels.team"),
        ({"labels": {"team": "f" * 64}}, "labels.team"),
        ({"labels": {"veo_content": "0"}}, "set by the stage itself"),
        ({"serving_environment": {"AIP_MODE": "x"}}, "serving_environment.AIP_MODE"),
        ({"serving_environment": {"OPENAI_API_KEY": "x"}}, "name it in serving_secrets"),
        ({"serving_secrets": {"OPENAI_API_KEY": "key-of-the-judge"}}, "serving_secrets.OPENAI_API_KEY"),
        ({"regoin": REGION}, "did you mean 'region'"),
        ({"kind": "vortex"}, "registry: .*'vertex'"),
    ],
)
def test_wrong_configuration_is_refused_in_one_line(changes, words):
    values = {"kind": "vertex", "project": PROJECT, "region": REGION, "serving_image": IMAGE} | changes
    with pytest.raises(UsageError, match=words):
        RegisterConfig.parse({"registry": values}, where="register")


def test_missing_client_library_names_the_extra_that_has_it(tmp_path):
    program = (
        "import sys; sys.modules['google.cloud.aiplatform_v1'] = None\n"
        "from veo_core.registry.config import VertexConfig\n"
        "from veo_core.registry.remote import open_remote\n"
        f"config = VertexConfig(kind='vertex', project='p', region='{REGION}', serving_image='{IMAGE}')\n"
        "open_remote(config, None)"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    last = process.stderr.strip().splitlines()[-1]
    assert last.endswith("pip install 'veo-from-scratch[vertex]'")
    assert "UsageError: registry.kind vertex: there is no module google.cloud.aiplatform_v1" in last
