"""Work in shards: the same rows whoever does the work, and nothing done twice."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.sharding import shards_of, share_of
from veo_core.stage import Context, Part, PartFinished
from veo_core.storage import Store

ITEMS = [f"item-{number}" for number in range(50)]


class Row(Record):
    item: str
    length: int = 0


def measure(shard):
    return [Row(item=item, length=len(item)) for item in shard]


def parents(shard):
    """The process that forked this one, in place of a length."""
    return [Row(item=item, length=os.getppid()) for item in shard]


def measure_noting(folder):
    """Like `measure`, with a file a call, which says what was done."""
    return Noting(str(folder))


class Noting:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self, shard):
        for item in shard:
            with (Path(self.folder) / item).open("a") as stream:
                stream.write("done\n")
        return measure(shard)


def context(store, **changes):
    fields = {"stage": "measure", "store": store, "seed": 0, "key": "key", "workers": 1} | changes
    return Context(**fields)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def rows(context, work=measure, items=ITEMS):
    return context.map_shards(items, work, identity=str, result=Row, shard_size=4)


def test_rows_are_the_same_whoever_does_the_work(tmp_path):
    alone = list(rows(context(Store(str(tmp_path / "alone")))))
    assert list(rows(context(Store(str(tmp_path / "other")), workers=2))) == alone
    assert {row.item for row in alone} == set(ITEMS)


def test_a_busy_machine_gets_more_than_one_try_to_start_ray_and_other_errors_are_told_at_once(
    store, monkeypatch
):
    ray = pytest.importorskip("ray")
    late = [
        Exception("The current node timed out during startup."),
        ray.exceptions.RaySystemError("Failed to connect to GCS."),
    ]
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for before in (late, late[1:], []):
        answers = [*before, ValueError("what no further try mends"), AssertionError("tried again in vain")]
        monkeypatch.setattr(ray, "init", lambda answers=answers, **options: fail(answers.pop(0)))
        with pytest.raises(ValueError, match="no further try"):
            list(rows(context(store, executor="ray", workers=2)))


def fail(error):
    raise error


def test_a_process_with_threads_uses_workers_that_it_did_not_fork(store):
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        found = list(rows(context(store, workers=2), work=parents))
    finally:
        stop.set()
        thread.join()
    assert {row.item for row in found} == set(ITEMS)
    assert all(row.length != os.getpid() for row in found)


def test_parts_do_all_the_work_between_them_and_the_whole_run_does_none(store, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    work = measure_noting(notes)
    for index in range(3):
        with pytest.raises(PartFinished):
            rows(context(store, part=Part(index, 3)), work)
    assert {row.item for row in rows(context(store), work)} == set(ITEMS)
    assert {path.name: path.read_text() for path in notes.iterdir()} == dict.fromkeys(ITEMS, "done\n")


def test_rows_can_be_read_again_and_sorted(store):
    found = rows(context(store))
    assert list(found) == list(found)
    assert [row.item for row in found.sorted_by("item")] == sorted(ITEMS)
    assert {row.length for row in found.sorted_by("item", without=["length"])} == {0}
    assert list(rows(context(store, key="none"), items=[]).sorted_by("item")) == []


@settings(deadline=None)
@given(items=st.sets(st.text(min_size=1, max_size=5), max_size=60), size=st.integers(1, 9))
def test_shards_hold_every_item_once_whatever_their_order(items, size):
    shards = list(shards_of(sorted(items), str, size))
    assert sorted(item for shard in shards for item in shard) == sorted(items)
    assert list(shards_of(sorted(items, reverse=True), str, size)) == shards


@given(identity=st.text(), count=st.integers(1, 64))
def test_every_item_is_in_exactly_one_part(identity, count):
    assert [index for index in range(count) if Part(index, count).has_item(identity)] == [
        share_of(identity, count)
    ]


@pytest.mark.parametrize("text", ["3", "3/3", "a/4", "1/0", "-1/4"])
def test_a_part_that_is_none_is_told_in_one_line(text):
    with pytest.raises(UsageError, match="INDEX/COUNT"):
        Part.parse(text)
