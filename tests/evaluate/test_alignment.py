"""AV-Align on pictures that jerk and sounds that click at known times."""

import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.degrade import impact_footage
from veo_core.evaluate.alignment import flow_magnitudes, motion_peaks, overlap
from veo_core.media.decode import decode
from veo_core.media.encode import encode
from veo_core.media.signals import luma_of
from veo_core.media.sound import onsets


def test_jerks_are_found_where_they_are_and_nothing_else():
    for clip in impact_footage(4, 0):
        flow = flow_magnitudes(luma_of(clip.frames))
        jerks = (
            np.flatnonzero(np.abs(np.diff(clip.frames.astype(int), axis=0)).sum((1, 2, 3))) + 1
        ) / clip.fps
        found = motion_peaks(luma_of(clip.frames), np.arange(len(clip.frames)) / clip.fps)
        assert found == pytest.approx(jerks.tolist())
        assert len(flow) == len(clip.frames) - 1


def test_a_still_picture_and_steady_motion_have_no_peak():
    still = np.full((20, 64, 64), 90, np.uint8)
    pts = np.arange(20) / 10
    assert motion_peaks(still, pts) == []
    rng = np.random.default_rng(0)
    wide = np.kron(rng.integers(0, 256, (16, 40)), np.ones((4, 4))).astype(np.uint8)
    steady = np.stack([wide[:, 2 * t : 2 * t + 64] for t in range(20)])
    assert len(motion_peaks(steady, pts)) <= 2


def test_overlap_counts_each_onset_once_and_never_exceeds_one():
    assert overlap([1.0, 1.02], [1.01], 0.05) == (1, 2)
    assert overlap([1.0], [1.0], 0.05) == (1, 1)
    assert overlap([1.0], [2.0], 0.05) == (0, 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 3), max_size=8), st.lists(st.floats(0, 3), max_size=8), st.floats(0.001, 0.5))
def test_overlap_is_a_share_and_symmetric(peaks, sounds, tolerance):
    matched, union = overlap(peaks, sounds, tolerance)
    assert 0 <= matched <= union == len(peaks) + len(sounds) - matched
    assert overlap(sounds, peaks, tolerance) == (matched, union)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_an_onset_stays_in_place_through_the_codec(rate):
    """The priming of AAC, 1024 samples, is 64 ms at 16 kHz: it must not shift what is measured."""
    sound = np.zeros(2 * rate, np.float32)
    start = round(0.9 * rate)
    sound[start : start + rate // 5] = 0.5 * np.sin(np.arange(rate // 5) * 0.2)
    frames = np.zeros((16, 32, 32, 3), np.uint8)
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        encode(file.name, frames, fps=8.0, audio=sound[None], audio_rate=rate)
        decoded = decode(file.name, mono=True)
    assert decoded.audio is not None
    (found,) = onsets(decoded.audio[0], rate).tolist()
    (true,) = onsets(sound, rate).tolist()
    assert found == pytest.approx(true, abs=0.010)
