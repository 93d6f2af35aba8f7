"""What reaches Vertex AI, and how a run is followed: the real SDK, under Google's own host names."""

import json

import vertex_rules
from google.cloud.aiplatform_v1.types import pipeline_service
from google.protobuf import json_format
from pipeline_service import NUMBER, PROJECT, REGION, Snapshot
from submit_profiles import KEY, SECRETS

STOCK_OUT = "Resources are insufficient in region: us-central1. Please try a different region."


def test_a_job_carries_the_profile_the_recipe_and_where_it_comes_from(google, submit_vertex):
    outcome = submit_vertex("--seed", "7")
    assert (outcome.code, outcome.err) == (0, ""), outcome
    [request] = google.vertex.requests
    job = request.pipeline_job
    assert request.parent == f"projects/{PROJECT}/locations/{REGION}"
    assert job.service_account == f"veo-pipeline@{PROJECT}.iam.gserviceaccount.com"
    assert (job.network, job.encryption_spec.kms_key_name) == (f"projects/{NUMBER}/global/networks/veo", KEY)
    assert job.runtime_config.gcs_output_directory == "gs://veo-bucket/runs/pipelines"
    assert job.labels["team"] == "video"
    assert len(job.labels["ir-digest"]) == 63
    values = json_format.MessageToDict(type(request).pb(request))["pipelineJob"]["runtimeConfig"]
    assert (values["parameterValues"]["seed"], values["parameterValues"]["root"]) == (
        7,
        "gs://veo-bucket/runs/store",
    )
    assert values["parameterValues"]["train_base_config"]["steps"] == 20
    assert google.vertex.experiments == {"veo": [request.pipeline_job_id]}
    assert request.pipeline_job_id in outcome.out


def test_no_secret_is_in_the_output(google, submit_vertex):
    outcome = submit_vertex("--pipeline=curation")
    assert outcome.code == 0, outcome
    assert not [secret for secret in google.vertex.secrets if secret in outcome.out + outcome.err]
    assert set(SECRETS.values()) < set(google.vertex.secrets)


def test_stages_of_equal_results_are_cached_unless_told_not_to(google, submit_vertex):
    for arguments in ([], ["--no-cache"]):
        assert submit_vertex("--no-follow", "--pipeline=curation", *arguments).code == 0
    cached, anew = (_cached_tasks(request) for request in google.vertex.requests)
    assert {"prepare", "dedup"} <= cached
    assert not anew


def test_a_followed_run_says_each_change_once(google, submit_vertex):
    google.vertex.stories = [
        [
            Snapshot("RUNNING", {"collect": ("RUNNING", "")}),
            Snapshot("RUNNING", {"collect": ("RUNNING", "")}),
            Snapshot("SUCCEEDED", {"collect": ("SUCCEEDED", ""), "prepare": ("SKIPPED", "")}),
        ]
    ]
    outcome = submit_vertex("--pipeline=curation", experiment=None)
    lines = [line.partition(" ")[2] for line in outcome.out.splitlines()]
    assert outcome.code == 0
    assert lines[1:] == [
        "run: running",
        "collect: running",
        "run: succeeded",
        "collect: succeeded",
        "prepare: from the cache",
        "the pipeline succeeded",
    ]


def test_a_failed_run_names_the_task_and_the_reason(google, submit_vertex):
    failed = Snapshot(
        "FAILED", {"collect": ("SUCCEEDED", ""), "dedup": ("FAILED", "exit code 2")}, "dedup failed"
    )
    google.vertex.stories = [[failed]]
    outcome = submit_vertex("--pipeline=curation")
    assert outcome.code == 1
    assert outcome.out.splitlines()[-1].endswith("the pipeline failed in dedup: dedup failed")
    assert "dedup: failed: exit code 2" in outcome.out


def test_without_capacity_the_next_choice_of_accelerators_is_sent(google, submit_vertex):
    google.vertex.stories = [[Snapshot("FAILED", {"train-base": ("FAILED", STOCK_OUT)}, "DAG failed")]]
    outcome = submit_vertex()
    assert outcome.code == 0, outcome
    machines = [
        dict(vertex_rules.custom_jobs(_spec(request)))["train-base"]["worker_pool_specs"][0]["machine_spec"]
        for request in google.vertex.requests
    ]
    assert [machine["machine_type"] for machine in machines] == ["ct6e-standard-4t", "a3-highgpu-8g"]
    assert "ct6e-standard-4t is not to be had in us-central1 now" in outcome.out


def test_a_run_without_capacity_on_the_last_choice_fails(google, submit_vertex):
    google.vertex.stories = [[Snapshot("FAILED", {"train-base": ("FAILED", STOCK_OUT)}, "DAG failed")]]
    outcome = submit_vertex("--choice", "1")
    assert (outcome.code, len(google.vertex.requests)) == (1, 1)


def test_a_lost_answer_makes_no_second_job(google, submit_vertex):
    google.vertex.lose_answers = 1
    outcome = submit_vertex("--pipeline=curation")
    assert (outcome.code, len(google.vertex.requests)) == (0, 1), outcome
    assert "could not be put into the experiment veo" in outcome.out


def test_the_server_refuses_every_spoiled_request(google, submit_vertex):
    assert submit_vertex("--no-follow").code == 0
    [request] = google.vertex.requests
    message = json.dumps(json_format.MessageToDict(type(request).pb(request)))
    assert vertex_rules.problems(_request(message), ()) == []
    accepted = [name for name, spoil in _SPOILS.items() if not _refused(message, *spoil)]
    assert accepted == []


_SPOILS = {
    "a tag": ("veo-curate@sha256:", "veo-curate:latest-"),
    "a tag in a custom job": ("veo-train-tpu@sha256:", "veo-train-tpu:latest-"),
    "an unknown parameter": ('"parameterValues": {', '"parameterValues": {"extra": 1, '),
    "a parameter of another type": ('"seed": 0.0', '"seed": "0"'),
    "a fraction for a whole number": ('"seed": 0.0', '"seed": 0.5'),
    "a label in capitals": ('"team": "video"', '"team": "Video"'),
    "a label that starts with a digit": ('"team": "video"', '"1team": "video"'),
    "a label too long": ('"team": "video"', f'"team": "{"v" * 64}"'),
    "another topology": ('"tpu_topology": "4x4"', '"tpu_topology": "4x8"'),
    "another number of hosts": ('"replica_count": 3.0', '"replica_count": 2.0'),
    "a network by name": (f"projects/{NUMBER}/global", f"projects/{PROJECT}/global"),
    "a key of another region": (f"{REGION}/keyRings", "europe-west4/keyRings"),
    "a bucket that is none": ('"gcsOutputDirectory": "gs://', '"gcsOutputDirectory": "s3://'),
    "a field of no schema": ('"sdkVersion"', '"sdkVersions"'),
    "a private key": ('"team": "video"', '"team": "-----BEGIN PRIVATE KEY-----"'),
    "a strategy that is none": ('"defaultValue": "SPOT"', '"defaultValue": "CHEAP"'),
    "a job's name in capitals": ('"pipelineJobId": "veo', '"pipelineJobId": "Veo'),
}


def _refused(message: str, right: str, wrong: str) -> bool:
    assert right in message, right
    return bool(vertex_rules.problems(_request(message.replace(right, wrong)), ()))


def _request(message: str) -> pipeline_service.CreatePipelineJobRequest:
    request = pipeline_service.CreatePipelineJobRequest()
    json_format.Parse(message, type(request).pb(request))
    return request


def _spec(request: pipeline_service.CreatePipelineJobRequest) -> dict:
    return json_format.MessageToDict(type(request).pb(request))["pipelineJob"]["pipelineSpec"]


def _cached_tasks(request: pipeline_service.CreatePipelineJobRequest) -> set[str]:
    tasks = _spec(request)["root"]["dag"]["tasks"]
    return {name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
