"""The store over the protocols of S3 and Google Cloud Storage."""

import concurrent.futures
import multiprocessing
import os
import random

import fsspec
import pytest

from veo_core.errors import UsageError
from veo_core.records.files import FileRef
from veo_core.records.ledger import Decision
from veo_core.storage import Store


@pytest.fixture
def store(bucket) -> Store:
    return Store(bucket)


def decisions(count: int) -> list[Decision]:
    return [Decision(item=f"{i:06d}", source="s", stage="t", verdict="kept") for i in range(count)]


def overwrite(store: Store, path: str, data: bytes) -> None:
    """What someone else does to a bucket."""
    fs, base = fsspec.core.url_to_fs(store.root)
    fs.pipe_file(f"{base}/{path}", data)


def test_objects_read_back_by_their_digest(store, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"content")
    ref = store.put_file(tmp_path / "a.bin")
    assert ref == store.put_bytes(b"content", ".bin")
    assert store.get_bytes(ref) == b"content"
    assert store.local_path(ref, tmp_path).read_bytes() == b"content"


def test_large_files_are_brought_and_fetched_in_pieces(store, tmp_path):
    data = random.Random(1).randbytes(7 << 20)
    (tmp_path / "large.mp4").write_bytes(data)
    ref = store.put_file(tmp_path / "large.mp4")
    (tmp_path / "there").mkdir()
    assert store.local_path(ref, tmp_path / "there").read_bytes() == data


def test_tables_stream_in_both_directions(store):
    rows = decisions(1000)
    ref = store.put_table(iter(rows), Decision)
    assert ref.rows == 1000
    assert list(store.stream_table(ref, Decision)) == rows
    assert store.get_table(ref, Decision) == rows
    assert store.put_table(rows, Decision) == ref


def rows_that_stop():
    yield from decisions(1)
    raise RuntimeError("stopped")


def test_table_whose_writing_fails_leaves_nothing(store):
    with pytest.raises(RuntimeError, match="stopped"):
        store.put_table(rows_that_stop(), Decision)
    assert store.objects() == []


def test_marks_are_absent_until_set_and_the_last_one_wins(store):
    assert store.get_mark("stage/shard") is None
    store.set_mark("stage/shard", b"1")
    assert store.get_mark("stage/shard") == b"1"
    store.set_mark("stage/shard", b"2")
    assert store.get_mark("stage/shard") == b"2"
    assert store.marks() == ["stage/shard"]
    store.remove_mark("stage/shard")
    store.remove_mark("stage/shard")
    assert store.get_mark("stage/shard") is None


def test_what_another_process_writes_is_seen_at_once(store, bucket):
    assert store.marks() == store.objects() == []
    assert store.get_mark("shard") is None
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        ref = pool.submit(Store(bucket).put_bytes, b"content", ".bin").result()
        pool.submit(Store(bucket).set_mark, "shard", b"done").result()
    assert store.get_mark("shard") == b"done"
    assert (store.marks(), store.objects()) == (["shard"], [ref.path])
    assert store.get_bytes(ref) == b"content"


def _put(store: Store, number: int) -> FileRef:
    return store.put_bytes(f"content {number}".encode(), ".bin")


def test_store_that_was_used_works_in_forked_processes(store):
    store.set_mark("before", b"1")
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        refs = list(pool.map(_put, [store] * 6, range(6)))
    assert [store.get_bytes(ref) for ref in refs] == [f"content {i}".encode() for i in range(6)]


def test_store_that_was_used_works_after_a_bare_fork(store):
    """As in an isolated child, which inherits its parent's memory and pickles nothing."""
    store.set_mark("before", b"1")
    child = multiprocessing.get_context("fork").Process(target=store.set_mark, args=("child", b"2"))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert store.get_mark("child") == b"2"


def test_object_that_is_missing_is_named(store, tmp_path):
    ref = FileRef(path="objects/00/none.bin", sha256="0" * 64, bytes=1)
    for read in (store.get_bytes, lambda it: store.local_path(it, tmp_path)):
        with pytest.raises(UsageError, match=r"objects/00/none\.bin is missing"):
            read(ref)
    assert [path for path in tmp_path.iterdir() if path.suffix == ".bin"] == []


def test_object_that_was_altered_is_refused_by_every_reader(store, tmp_path):
    ref = store.put_table(decisions(3), Decision)
    overwrite(store, ref.path, b"other content")
    for read in (
        store.get_bytes,
        lambda it: store.local_path(it, tmp_path),
        lambda it: list(store.stream_table(it, Decision)),
    ):
        with pytest.raises(UsageError, match="altered"):
            read(ref)


def test_object_that_was_cut_short_is_mended_by_the_next_write(store):
    ref = store.put_bytes(b"content", ".bin")
    overwrite(store, ref.path, b"con")
    assert store.put_bytes(b"content", ".bin") == ref
    assert store.get_bytes(ref) == b"content"


def test_objects_are_listed_and_removed(store):
    refs = [_put(store, number) for number in range(3)]
    assert store.objects() == sorted(ref.path for ref in refs)
    store.remove_object(refs[0].path)
    store.remove_object(refs[0].path)
    assert store.objects() == sorted(ref.path for ref in refs[1:])


def test_bucket_that_does_not_exist_is_a_usage_error_that_names_it(bucket):
    protocol = bucket.partition("://")[0]
    store = Store(f"{protocol}://no-such-bucket-{os.getpid()}/prefix")
    assert store.get_mark("shard") is None
    with pytest.raises(UsageError, match="no-such-bucket"):
        store.set_mark("shard", b"1")


def test_missing_credentials_are_a_usage_error(s3_root, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    try:
        with pytest.raises(UsageError, match="credentials"):
            Store(f"{s3_root}/nobody").get_mark("shard")
    finally:
        fsspec.get_filesystem_class("s3").clear_instance_cache()
