import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from veo_core.errors import UsageError
from veo_core.records.base import sha256_bytes
from veo_core.records.files import FileRef
from veo_core.records.ledger import Decision
from veo_core.storage import Store


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    return Store(str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path.name}")


def test_put_bytes_gives_a_reference_that_reads_back(store):
    ref = store.put_bytes(b"content", ".bin")
    assert ref.sha256 == sha256_bytes(b"content")
    assert ref.path.endswith(".bin")
    assert store.get_bytes(ref) == b"content"


def test_local_store_that_is_only_read_is_left_as_it_is(tmp_path):
    ref = Store(str(tmp_path / "store")).put_bytes(b"content", ".bin")
    assert Store(str(tmp_path / "store"), written=False).get_bytes(ref) == b"content"
    with pytest.raises(UsageError, match=r"none: there is no such folder$"):
        Store(str(tmp_path / "none"), written=False)
    assert not (tmp_path / "none").exists()


def test_put_file_gives_the_reference_that_put_bytes_gives(store, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    assert store.put_file(path) == store.put_bytes(b"content", ".bin")


def test_local_path_holds_the_objects_bytes(store, tmp_path):
    ref = store.put_bytes(b"content", ".bin")
    folder = tmp_path / "downloads"
    folder.mkdir()
    assert store.local_path(ref, folder).read_bytes() == b"content"


def test_marks_are_absent_until_set_and_the_last_one_wins(store):
    assert store.get_mark("stage/shard") is None
    store.set_mark("stage/shard", b"1")
    store.set_mark("stage/shard", b"2")
    assert store.get_mark("stage/shard") == b"2"


def test_get_bytes_when_the_object_is_missing_says_so(store):
    with pytest.raises(UsageError, match="missing"):
        store.get_bytes(FileRef(path="objects/00/none", sha256="0" * 64, bytes=1))


def test_get_bytes_when_the_object_was_altered_refuses(tmp_path):
    store = Store(str(tmp_path))
    ref = store.put_bytes(b"content", ".bin")
    (tmp_path / ref.path).write_bytes(b"c0ntent")
    with pytest.raises(UsageError, match="altered"):
        store.get_bytes(ref)


def test_put_bytes_after_a_write_that_was_cut_short_mends_the_object(tmp_path):
    store = Store(str(tmp_path))
    ref = store.put_bytes(b"content", ".bin")
    (tmp_path / ref.path).write_bytes(b"con")
    assert store.get_bytes(store.put_bytes(b"content", ".bin")) == b"content"


@pytest.mark.parametrize("root", ["", " "])
def test_store_without_an_address_is_a_usage_error_and_writes_nothing(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="address is empty"):
        Store(root)
    assert not list(tmp_path.iterdir())


def test_store_at_a_place_that_cannot_be_written_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot be written"):
        Store(str(tmp_path / "file" / "store"))


def test_store_of_an_unknown_protocol_is_a_usage_error():
    with pytest.raises(UsageError, match="nowhere"):
        Store("nowhere://bucket")


@settings(max_examples=25, deadline=None)
@given(items=st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=8))
def test_tables_read_back_equal_from_a_remote_store(items):
    store = Store("memory://tables")
    rows = [Decision(item=a, source=b, stage="s", verdict="kept") for a, b in items]
    ref = store.put_table(rows, Decision)
    assert ref.rows == len(rows)
    assert store.get_table(ref, Decision) == rows
    assert store.put_table(rows, Decision) == ref


def test_columns_of_a_table_are_read_by_name_after_it_was_verified(store):
    rows = [
        Decision(item=str(n), source=f"s{n}", stage="dedup", verdict="kept", scores={"motion": n / 10})
        for n in range(3)
    ]
    ref = store.put_table(rows, Decision)
    assert list(store.stream_columns(ref, ["item", "verdict"])) == [
        {"item": str(n), "verdict": "kept"} for n in range(3)
    ]
    wrong = ref.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(UsageError, match="altered"):
        list(store.stream_columns(wrong, ["item"]))


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "objects/../../secret"])
def test_path_that_leads_out_of_the_store_is_refused(store, tmp_path, path):
    (tmp_path / "secret").write_bytes(b"secret")
    ref = FileRef(path=path, sha256=sha256_bytes(b"secret"), bytes=6)
    with pytest.raises(UsageError, match="leads out of the store"):
        store.get_bytes(ref)
    with pytest.raises(UsageError, match="leads out of the store"):
        store.local_path(ref, tmp_path)
