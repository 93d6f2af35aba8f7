"""The whole pipeline with its store in a bucket, where a share of all requests fails."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))

from buckets import fault_counts, gcs_bucket, s3_bucket

FAULTS = 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bucket", "variable"), [(s3_bucket, "AWS_ENDPOINT_URL"), (gcs_bucket, "STORAGE_EMULATOR_HOST")]
)
def test_run_in_a_faulty_bucket_equals_the_run_on_disk(bucket, variable, finished, new_place):
    place = new_place()
    with bucket(faults=FAULTS) as root:
        process = place.run("--root", f"{root}/store", timeout=1800)
        counts = fault_counts(variable)
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-4000:]
    assert counts["faults"] > 0.5 * FAULTS * counts["requests"] > 5
    expected = {name: task.output_parameters["digest"] for name, task in finished.tasks().items()}
    assert {name: task.output_parameters["digest"] for name, task in place.tasks().items()} == expected
