"""Errors of Vertex AI's API end in one line each, after as much patience as they deserve."""

import grpc
import pytest
from pipeline_service import Refusal, Snapshot

DENIED = (
    "Permission 'aiplatform.pipelineJobs.create' denied on resource '//aiplatform.googleapis.com/projects/p'"
)
RATE = "Quota exceeded for quota metric 'Job or LRO submission requests' and limit 'per minute per region'"
QUOTA = (
    "The following quota metrics exceed quota limits: "
    "aiplatform.googleapis.com/custom_model_training_preemptible_tpu_v6e"
)


@pytest.mark.parametrize(
    ("code", "message", "attempts", "exit_code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.", 6, 1, "503 The service"),
        (grpc.StatusCode.INTERNAL, "Internal error encountered.", 6, 1, "not available: 500"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, RATE, 6, 1, "too many requests"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, QUOTA, 1, 2, "quota aiplatform.googleapis.com/custom_model_tr"),
        (
            grpc.StatusCode.PERMISSION_DENIED,
            DENIED,
            1,
            2,
            "permission aiplatform.pipelineJobs.create is denied",
        ),
        (
            grpc.StatusCode.UNAUTHENTICATED,
            "Request had invalid credentials.",
            1,
            2,
            "credentials are refused",
        ),
        (
            grpc.StatusCode.INVALID_ARGUMENT,
            "List of found errors:\n 1.Field: x",
            1,
            2,
            "refuses the job: List",
        ),
    ],
)
def test_an_error_at_creation_ends_in_one_line(
    google, submit_vertex, code, message, attempts, exit_code, expected
):
    google.vertex.refusals = [Refusal(code, message) for _ in range(10)]
    outcome = submit_vertex("--pipeline=curation")
    assert outcome.code == exit_code
    assert expected in outcome.error
    assert (10 - len(google.vertex.refusals), google.vertex.requests) == (attempts, [])


def test_an_illness_that_passes_is_waited_for(google, submit_vertex):
    google.vertex.refusals = [
        Refusal(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable."),
        Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, RATE),
    ]
    google.vertex.polls = [Refusal(grpc.StatusCode.INTERNAL, "Internal error encountered.")] * 2
    outcome = submit_vertex("--pipeline=curation")
    assert (outcome.code, len(google.vertex.requests)) == (0, 1), outcome


def test_a_permission_lost_while_following_ends_in_one_line(google, submit_vertex):
    google.vertex.stories = [[Snapshot("RUNNING")]]
    google.vertex.polls = [Refusal(grpc.StatusCode.PERMISSION_DENIED, DENIED.replace("create", "get"))]
    outcome = submit_vertex("--pipeline=curation", experiment=None)
    assert outcome.code == 2
    assert "permission aiplatform.pipelineJobs.get is denied" in outcome.error
