import numpy as np
import pytest

from veo_core.media.shots import LOOKAHEAD, CutFinder, thumbnails


def find_cuts(frames):
    """Indices of the first frame of each shot but the first."""
    finder = CutFinder()
    found = [finder.push(cells) for cells in thumbnails(frames, 16)] + finder.rest()
    return [index for index, is_first in enumerate(found[LOOKAHEAD:]) if is_first]


def shot(level, start=0, count=20, step=4):
    """A bright square that moves over a plain picture."""
    frames = np.full((count, 96, 96, 3), level, np.uint8)
    for index, frame in enumerate(frames):
        left = (start + step * index) % 70
        frame[30:56, left : left + 26] = (230, 60, 60)
    return frames


def test_hard_cuts_are_found_where_they_are():
    frames = np.concatenate([shot(30), shot(90, 20), shot(150, 40)])
    assert find_cuts(frames) == [20, 40]


def test_cut_to_a_like_picture_is_found():
    assert find_cuts(np.concatenate([shot(30), shot(36, 45)])) == [20]


def test_motion_alone_is_no_cut():
    assert find_cuts(shot(30, step=9)) == []


def test_flash_is_no_cut():
    frames = shot(30)
    frames[10] = 250
    assert find_cuts(frames) == []


def test_fade_is_no_cut():
    gains = np.linspace(1, 0, 20)[:, None, None, None]
    assert find_cuts((shot(120) * gains).astype(np.uint8)) == []


def test_picture_that_a_codec_refreshes_is_no_cut():
    frames = shot(30)
    frames[12:] += 2
    assert find_cuts(frames) == []


@pytest.mark.parametrize("count", [1, 2])
def test_shortest_files_have_no_cut(count):
    assert find_cuts(shot(30, count=count)) == []
