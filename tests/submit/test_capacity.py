"""Which failures mean that machines were not to be had."""

import pytest

from pipelines.submit.progress import Look, Task
from pipelines.submit.vertex_errors import lacks_capacity


@pytest.mark.parametrize(
    "message",
    [
        "Resources are insufficient in region: us-central1. Please try a different region.",
        "The zone 'projects/p/zones/us-central1-a' does not have enough resources available",
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        "There is no more capacity in the zone",
    ],
)
def test_a_task_that_got_no_machine_lacks_capacity(message):
    assert lacks_capacity(Look("failed", {"train-base": Task("failed", message)}, "failed", "DAG failed"))


@pytest.mark.parametrize("message", ["exit code 1", "CUDA out of memory", "Permission denied", ""])
def test_another_failure_does_not(message):
    assert not lacks_capacity(Look("failed", {"train-base": Task("failed", message)}, "failed", message))


def test_a_run_that_goes_on_does_not_lack_capacity_yet():
    waiting = Task("pending", "Resources are insufficient in region: us-central1")
    assert not lacks_capacity(Look("running", {"train-base": waiting}))
