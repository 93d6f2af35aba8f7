"""What is missing is said in one line before anything is sent."""

import pytest
from pipeline_service import PROJECT
from submit_profiles import DIGESTS, KEY

SECRET = f"projects/{PROJECT}/secrets/judge/versions/latest"


def _disable(rest):
    rest.services.remove("aiplatform")


def _no_bucket(rest):
    rest.buckets.clear()


def _bucket_elsewhere(rest):
    rest.buckets["veo-bucket"] = "EUROPE-WEST4"


def _no_account(rest):
    rest.accounts.clear()


def _no_image(rest):
    rest.images.remove(DIGESTS["curate"])


def _no_quota(rest):
    for metric in rest.quotas:
        rest.quotas[metric] = 8


def _no_key(rest):
    rest.key_state = None


def _disabled_key(rest):
    rest.key_state = "DISABLED"


def _deny(permission):
    return lambda rest: rest.denied.add(permission)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_disable, "API aiplatform.googleapis.com is off: run `gcloud services enable"),
        (_no_bucket, "bucket gs://veo-bucket does not exist"),
        (_bucket_elsewhere, "bucket gs://veo-bucket is in europe-west4, the jobs in us-central1"),
        (_deny("storage.buckets.get"), "permission storage.buckets.get on gs://veo-bucket"),
        (_deny("storage.objects.create"), "permission storage.objects.create on bucket gs://veo-bucket"),
        (_deny("aiplatform.pipelineJobs.create"), f"aiplatform.pipelineJobs.create on project {PROJECT}"),
        (_deny("iam.serviceAccounts.actAs"), "permission iam.serviceAccounts.actAs on service account"),
        (_no_account, f"service account veo-pipeline@{PROJECT}.iam.gserviceaccount.com does not exist"),
        (_no_image, f"veo-curate@{DIGESTS['curate']} is not in its registry: run `make push`"),
        (_no_quota, "custom_model_training_preemptible_tpu_v6e is 8 in us-central1, 16 are needed"),
        (_no_key, f"cmek_key {KEY} does not exist"),
        (_disabled_key, f"cmek_key {KEY} has no enabled version"),
    ],
)
def test_what_is_missing_is_named_in_one_line_and_nothing_is_sent(google, submit_vertex, spoil, expected):
    spoil(google.rest)
    outcome = submit_vertex()
    assert outcome.code == 2
    assert outcome.error.startswith("nothing was sent, 1 missing: ")
    assert expected in outcome.error
    assert google.vertex.requests == []


def _off(rest):
    rest.services.remove("secretmanager")


def _switched_off(rest):
    rest.disabled.add(SECRET)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_off, "API secretmanager.googleapis.com is off"),
        (lambda rest: rest.secrets.clear(), f"secret {SECRET} for OPENAI_API_KEY does not exist: create it"),
        (_switched_off, f"secret {SECRET} for OPENAI_API_KEY is DISABLED"),
    ],
)
def test_secrets_of_the_profile_must_be_there(google, submit_vertex, spoil, expected):
    google.rest.secrets[SECRET] = b"k"
    spoil(google.rest)
    outcome = submit_vertex(secrets={"OPENAI_API_KEY": "judge"})
    assert expected in outcome.error
    assert google.vertex.requests == []


def test_all_that_is_missing_is_named_at_once(google, submit_vertex):
    for spoil in (_disable, _no_bucket, _no_image):
        spoil(google.rest)
    outcome = submit_vertex()
    assert outcome.error.startswith("nothing was sent, 3 missing: ")


def test_a_choice_without_quota_is_passed_over(google, submit_vertex):
    google.rest.quotas["custom_model_training_preemptible_tpu_v6e"] = 8
    outcome = submit_vertex()
    assert outcome.code == 0
    assert "passed over, their quota is too small" in outcome.out
    assert "sent, for a3-highgpu-8g" in outcome.out


def test_what_may_not_be_looked_at_is_said_and_does_not_stop_the_job(google, submit_vertex):
    google.rest.denied |= {"serviceusage.quotas.get", "serviceusage.services.get"}
    outcome = submit_vertex()
    assert (outcome.code, len(google.vertex.requests)) == (0, 1), outcome
    assert "APIs: not checked: 403" in outcome.out


def test_without_credentials_one_line_says_what_to_set(google, submit_vertex, monkeypatch, tmp_path):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    outcome = submit_vertex()
    assert outcome.code == 2
    assert (
        "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS" in outcome.error
    )


def test_a_key_file_that_is_not_there_is_named(google, submit_vertex, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    outcome = submit_vertex()
    assert outcome.code == 2
    assert str(tmp_path / "none.json") in outcome.error


def test_a_key_that_was_revoked_is_told_in_one_line(google, submit_vertex):
    google.rest.revoked = True
    outcome = submit_vertex()
    assert outcome.code == 2
    assert "credentials are refused" in outcome.error
    assert "Invalid JWT Signature" in outcome.error


def test_images_of_another_registry_are_refused(google, submit_vertex, write_profile, tmp_path):
    lock = tmp_path / "other.lock.json"
    lock.write_text(
        "".join(
            [
                "{",
                ", ".join(
                    f'"{name}": "registry.example/{name}@{digest}"' for name, digest in DIGESTS.items()
                ),
                "}",
            ]
        )
    )
    outcome = submit_vertex(images=lock.name)
    assert "Vertex AI pulls from Artifact Registry" in outcome.error
