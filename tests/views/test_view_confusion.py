"""Matrices and curves as the SDK of Kubeflow Pipelines writes them."""

import json

import pytest
from kfp.dsl import ClassificationMetrics

from veo_core.evaluate.metrics.catalogue import BY_NAME
from veo_core.evaluate.pages import VIEWS
from veo_core.evaluate.records import ClipScore, ConfusionRow
from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest
from veo_core.safety import pages as safety
from veo_core.safety.records import SafetyVerdict
from veo_core.storage import Store
from veo_core.views.confusion import Point, confusion, curve

FILE = FileRef(path="objects/aa/aa.mp4", sha256="a" * 64, bytes=1)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def test_matrix_is_what_the_sdk_logs_for_the_same_counts():
    view = confusion({("red", "red"): 5, ("red", ""): 2, ("blue", "red"): 1})
    expected = ClassificationMetrics()
    expected.log_confusion_matrix(["blue", "red", "nothing"], [[0, 1, 0], [0, 5, 2], [0, 0, 0]])
    assert view.metadata == expected.metadata
    assert json.loads(view.content) == expected.metadata


def test_curve_is_what_the_sdk_logs_for_the_same_points():
    view = curve([Point(0.1, 0.25, 0.5), Point(0.2, 0.5, 1.0)])
    expected = ClassificationMetrics()
    expected.log_roc_curve(fpr=[0.25, 0.5], tpr=[0.5, 1.0], threshold=[0.1, 0.2])
    assert view.metadata == expected.metadata


def test_nothing_is_drawn_where_nothing_was_counted():
    assert confusion({}).metadata == {}
    assert curve([]).metadata == {}


def test_confusion_of_an_attribute_adds_up_its_splits_and_modes(store):
    rows = [
        ConfusionRow(attribute="shape", split=split, mode="t2v", wanted="circle", seen=seen, count=count)
        for split, seen, count in (("seen", "circle", 3), ("held_out", "circle", 4), ("seen", "", 1))
    ]
    rows.append(rows[0].model_copy(update={"attribute": "colour", "wanted": "red", "seen": "red"}))
    table = store.put_table(rows, ConfusionRow)
    manifest = Manifest(stage="evaluate", config_digest="c", tables={"confusion": table})
    drawn = VIEWS["shape_confusion"](manifest, store).metadata["confusionMatrix"]
    assert [spec["displayName"] for spec in drawn["annotationSpecs"]] == ["circle", "nothing"]
    assert [row["row"] for row in drawn["rows"]] == [[7, 1], [0, 0]]


def scores(store, onsets):
    """An evaluation of clips with a contact at 1 s, and later ones at 2 s, with these sounds."""
    clips = [
        ClipScore(
            clip_id=f"{number:064d}", group="generated", prompt=f"clip {number}", split="seen", mode="t2v",
            media=FILE, contacts=[1.0 + number], onsets=heard,
        )
        for number, heard in enumerate(onsets)
    ]  # fmt: skip
    return clips, Manifest(
        stage="evaluate", config_digest="c", tables={"scores": store.put_table(clips, ClipScore)}
    )


def test_sync_curve_holds_own_sounds_against_those_of_other_clips(store):
    clips, manifest = scores(store, [[1.03], [2.08], [3.5]])
    points = VIEWS["sync_curve"](manifest, store).metadata["confidenceMetrics"]
    recall = {point["confidenceThreshold"]: point["recall"] for point in points}
    assert [recall[tolerance] for tolerance in (0.02, 0.05, 0.1, 0.6)] == [0, 1 / 3, 2 / 3, 1]
    assert recall[0.1] == BY_NAME["sync_share_100ms"].estimate(clips, 0).value
    assert {point["falsePositiveRate"] for point in points} == {0}  # no other sound is nearer than 0.9 s


def test_sync_curve_of_sound_that_does_not_follow_the_picture_is_on_the_diagonal(store):
    _, manifest = scores(store, [[1.0, 2.0, 3.0]] * 3)
    points = VIEWS["sync_curve"](manifest, store).metadata["confidenceMetrics"]
    assert all(point["recall"] == point["falsePositiveRate"] for point in points)


def test_sync_curve_without_contacts_is_not_drawn(store):
    clip = ClipScore(
        clip_id="0" * 64,
        group="generated",
        prompt="still",
        split="seen",
        mode="t2v",
        media=FILE,
        onsets=[1.0],
    )
    table = store.put_table([clip], ClipScore)
    manifest = Manifest(stage="evaluate", config_digest="c", tables={"scores": table})
    assert VIEWS["sync_curve"](manifest, store).metadata == {}


def test_filter_confusion_counts_the_suites_whose_truth_is_known(store):
    rows = [
        SafetyVerdict(suite=suite, item="i", prompt="p", unsafe=unsafe, answered=True)
        for suite, unsafe in (
            ("harmful", True), ("attacks", True), ("attacks", False), ("seen", False), ("seen", True),
            ("seen", False), ("outputs", True), ("assurance", False),
        )
    ]  # fmt: skip
    table = store.put_table(rows, SafetyVerdict)
    manifest = Manifest(stage="safety_evaluation", config_digest="c", tables={"verdicts": table})
    drawn = safety.VIEWS["filter_confusion"](manifest, store).metadata["confusionMatrix"]
    assert [spec["displayName"] for spec in drawn["annotationSpecs"]] == ["let through", "refused"]
    assert [row["row"] for row in drawn["rows"]] == [[2, 1], [1, 2]]
