"""Whether objects stay what they are, on scenes of the world."""

import numpy as np
import pytest

from benchmarks.degrade import world_footage
from veo_core.evaluate.identity import identity_kept


@pytest.fixture(scope="module")
def scenes():
    return world_footage(12, 3)


def test_filmed_scenes_keep_their_objects(scenes):
    kept = [identity_kept(clip.frames) for clip in scenes]
    assert np.mean(kept) > 0.97


@pytest.mark.parametrize("changed", [1, 3, 6])
def test_frames_in_which_colours_change_are_counted(scenes, changed):
    frames = scenes[0].frames.copy()
    before = identity_kept(frames)
    frames[2 : 2 + changed] = frames[2 : 2 + changed][..., [1, 2, 0]]
    assert identity_kept(frames) == pytest.approx(before - changed / len(frames))


def test_an_object_that_vanishes_is_not_kept(scenes):
    frames = scenes[1].frames.copy()
    frames[-5:] = frames[0, 0, 0]
    assert identity_kept(frames) <= 1 - 5 / len(frames) + 1e-9


def test_an_empty_picture_has_no_identity():
    assert identity_kept(np.full((5, 32, 32, 3), 20, np.uint8)) is None
