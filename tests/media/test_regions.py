import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_core.media.regions import CELLS, Box, boxes_over_time, pixelate

FRAMES = 41


def covers(boxes, x, y):
    return any(box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1 for box in boxes)


def square(x, y, side=0.1):
    return Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def test_thing_between_two_sightings_is_hidden_on_its_way():
    hidden = boxes_over_time([[square(0.2, 0.3)], [square(0.35, 0.4)]], [0, 40], FRAMES, padding=0.2)
    for frame, boxes in enumerate(hidden):
        share = frame / 40
        x, y = 0.2 + 0.15 * share, 0.3 + 0.1 * share
        for dx in (-0.05, 0.05):
            assert covers(boxes, x + dx, y - dx)
        assert len(boxes) == 1
        assert not covers(boxes, 0.8, 0.3)


def test_thing_seen_once_is_hidden_until_the_next_picture_on_either_side():
    hidden = boxes_over_time([[], [square(0.5, 0.5)], []], [0, 20, 40], FRAMES, padding=0.0)
    assert all(covers(boxes, 0.5, 0.5) for boxes in hidden)


def test_two_things_that_cross_over_keep_their_own_paths():
    left, right = square(0.3, 0.3, 0.1), square(0.6, 0.7, 0.25)
    hidden = boxes_over_time([[left, right], [right, left]], [0, 40], FRAMES, padding=0.0)
    assert all(covers(boxes, 0.3, 0.3) and covers(boxes, 0.6, 0.7) for boxes in hidden)


def test_things_too_far_apart_to_be_one_are_both_hidden_throughout():
    hidden = boxes_over_time([[square(0.1, 0.1)], [square(0.9, 0.9)]], [0, 40], FRAMES, padding=0.0)
    assert all(covers(boxes, 0.1, 0.1) and covers(boxes, 0.9, 0.9) for boxes in hidden)


def test_frames_before_the_first_picture_and_after_the_last_hide_what_those_show():
    hidden = boxes_over_time([[square(0.5, 0.5)]], [10], FRAMES, padding=0.0)
    assert all(covers(boxes, 0.5, 0.5) for boxes in hidden)


@given(
    st.tuples(*[st.floats(0.15, 0.65)] * 2),
    st.tuples(*[st.floats(0.05, 0.2)] * 2),
    st.tuples(*[st.floats(-0.15, 0.15)] * 2),
)
def test_box_is_hidden_in_the_pictures_that_show_it(corner, size, motion):
    one = Box(*corner, corner[0] + size[0], corner[1] + size[1])
    other = Box(one.x0 + motion[0], one.y0 + motion[1], one.x1 + motion[0], one.y1 + motion[1])
    hidden = boxes_over_time([[one], [other]], [0, FRAMES - 1], FRAMES, padding=0.1)
    for box, boxes in ((one, hidden[0]), (other, hidden[-1])):
        inside = [
            np.clip(edge, 0, 1) for edge in (box.x0 + 1e-9, box.y0 + 1e-9, box.x1 - 1e-9, box.y1 - 1e-9)
        ]
        assert covers(boxes, inside[0], inside[1])
        assert covers(boxes, inside[2], inside[3])


@pytest.mark.parametrize("shape", [(120, 200), (121, 199), (120, 200, 3)])
def test_box_becomes_a_few_cells_and_the_rest_stays(shape):
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, shape).astype(np.uint8)
    after = before.copy()
    pixelate(after, Box(0.25, 0.5, 0.5, 0.75))
    inside = after[60:90, 50:100]
    assert len(np.unique(inside.reshape(-1, inside.shape[2] if inside.ndim == 3 else 1), axis=0)) <= CELLS**2
    outside = np.ones(shape[:2], bool)
    outside[58:92, 48:102] = False
    assert (after[outside] == before[outside]).all()


def test_box_over_the_edge_and_empty_box_change_only_what_is_there():
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8)
    pixelate(picture, Box(0.9, 0.9, 1.4, 1.4))
    assert len(np.unique(picture[6:, 6:])) == 1
    before = picture.copy()
    pixelate(picture, Box(1.2, 1.2, 1.4, 1.4))
    assert (picture == before).all()
