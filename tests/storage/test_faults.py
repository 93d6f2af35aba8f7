"""The store where a share of all requests fails."""

import random

import pytest
from buckets import fault_counts, gcs_bucket, s3_bucket

from veo_core.storage import Store


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("bucket", "variable"), [(s3_bucket, "AWS_ENDPOINT_URL"), (gcs_bucket, "STORAGE_EMULATOR_HOST")]
)
def test_nothing_is_lost_where_requests_fail(bucket, variable, tmp_path):
    contents = [random.Random(number).randbytes(1 + number * 997) for number in range(12)]
    (tmp_path / "large.mp4").write_bytes(random.Random(1).randbytes(7 << 20))
    with bucket(faults=0.2) as root:
        store = Store(f"{root}/store")
        refs = [store.put_bytes(content, ".bin") for content in contents]
        large = store.put_file(tmp_path / "large.mp4")
        for number, ref in enumerate(refs):
            store.set_mark(f"done/{number}", ref.sha256.encode())
        assert [store.get_bytes(ref) for ref in refs] == contents
        assert store.get_mark("done/never") is None
        assert sorted(store.objects()) == sorted(ref.path for ref in (*refs, large))
        assert len(store.marks()) == len(refs)
        (tmp_path / "there").mkdir()
        counts = fault_counts(variable)
        fetched = store.local_path(large, tmp_path / "there").read_bytes()
    assert counts["faults"] > 0.1 * counts["requests"] > 3
    assert fetched == (tmp_path / "large.mp4").read_bytes()
