"""Prompt following on hand-made sightings."""

import pytest

from veo_core.evaluate.following import all_right, score_attributes
from veo_core.evaluate.records import SeenObject
from veo_core.world.grammar import parse

RED_LEFT = SeenObject(shape="circle", colour="red", direction="left", size="small", speed="fast")
BLUE_RIGHT = SeenObject(shape="cross", colour="blue", direction="right", size="large", speed="slow")


def right(scores):
    return {score.name: score.right for score in scores}


def test_attributes_of_a_clip_that_follows_its_prompt_are_all_right():
    wanted = parse("a small red circle moving left quickly with a low tone")
    scores = score_attributes(wanted, [RED_LEFT], "low")
    assert [score.name for score in scores] == [
        "count",
        "shape",
        "colour",
        "direction",
        "size",
        "speed",
        "pitch",
    ]
    assert all(score.right for score in scores)
    assert all_right(scores)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"shape": "cross"}, "shape"),
        ({"colour": "blue"}, "colour"),
        ({"direction": "up"}, "direction"),
        ({"direction": ""}, "direction"),
    ],
)
def test_one_wrong_attribute_is_the_only_wrong_one(change, wrong):
    wanted = parse("a red circle moving left with a low tone")
    scores = score_attributes(wanted, [RED_LEFT.model_copy(update=change)], "low")
    assert [name for name, mark in right(scores).items() if not mark] == [wrong]
    assert not all_right(scores)


def test_attributes_that_the_prompt_does_not_mention_are_not_scored():
    scores = score_attributes(parse("a red circle moving left"), [RED_LEFT], "high")
    assert [score.name for score in scores] == ["count", "shape", "colour", "direction"]


def test_manner_is_scored_and_does_not_decide_whether_all_is_right():
    wanted = parse("a large red circle moving left with a low tone")
    scores = score_attributes(wanted, [RED_LEFT], "low")
    assert right(scores)["size"] is False
    assert all_right(scores)


def test_two_objects_are_matched_in_any_order():
    wanted = parse("a red circle moving left and a blue cross moving right with a low tone")
    assert all_right(score_attributes(wanted, [BLUE_RIGHT, RED_LEFT], "low"))
    mixed = [BLUE_RIGHT.model_copy(update={"colour": "red"}), RED_LEFT.model_copy(update={"colour": "blue"})]
    scores = score_attributes(wanted, mixed, "low")
    assert not all_right(scores)


def test_a_missing_object_is_wrong_in_count_and_attributes():
    wanted = parse("a red circle moving left and a blue cross moving right with a low tone")
    scores = right(score_attributes(wanted, [RED_LEFT], "low"))
    assert scores == {"count": False, "shape": False, "colour": False, "direction": False, "pitch": True}


def test_an_extra_object_is_wrong_in_count_alone():
    scores = right(score_attributes(parse("a red circle moving left"), [BLUE_RIGHT, RED_LEFT], ""))
    assert scores == {"count": False, "shape": True, "colour": True, "direction": True}


def test_nothing_seen_is_wrong_in_everything():
    scores = score_attributes(parse("a red circle moving left with a low tone"), [], "")
    assert not any(score.right for score in scores)
