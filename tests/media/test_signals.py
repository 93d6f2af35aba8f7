import cv2
import numpy as np
import pytest

from veo_core.media.signals import find_bars, luma_of, motion, overlay_text, sharpness
from veo_core.media.sound import SILENCE_DB, clipped_share, loudness, onsets, wav_bytes
from veo_core.media.sync import lag
from veo_core.media.visual_events import events_of, reduced
from veo_core.world.film import render
from veo_core.world.plan import scene_of
from veo_core.world.truth import WorldSpec

RATE = 48_000


def motion_events(luma, times):
    return events_of(np.stack([reduced(picture) for picture in luma]), times)


def moving(count=40, level=40, turn=1.25):
    """Luma of a bright square that moves right and turns round at `turn` seconds, at 16 frames a second."""
    times = np.arange(count) / 16
    luma = np.full((count, 128, 128), level, np.uint8)
    for frame, time in zip(luma, times, strict=True):
        left = 10 + round(60 * (turn - abs(turn - time)))
        frame[40:70, left : left + 24] = 200
    return luma, times


def test_motion_is_zero_in_a_still_and_grows_with_speed():
    still, _ = moving()
    assert motion(np.repeat(still[:1], 9, axis=0)) == 0
    assert motion(still[::2]) > motion(still) > 0


def test_blur_takes_sharpness_away_whatever_the_contrast():
    sharp, _ = moving()
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 7) for frame in sharp])
    faint = (sharp * 0.15).astype(np.uint8)
    assert sharpness(blurred) < 0.5
    assert sharpness(sharp) > 0.6
    assert sharpness(faint) > 0.6


@pytest.mark.parametrize("bars", [(16, 16, 0, 0), (0, 0, 20, 20), (10, 24, 0, 0), (0, 0, 0, 0)])
def test_bars_are_measured_on_each_side(bars):
    luma, _ = moving()
    top, bottom, left, right = bars
    luma[:, :top] = luma[:, 128 - bottom :] = luma[:, :, :left] = luma[:, :, 128 - right :] = 3
    assert find_bars(luma) == bars


def test_picture_that_is_black_as_a_whole_has_no_bars():
    assert find_bars(np.zeros((5, 64, 64), np.uint8)) == (0, 0, 0, 0)


def test_luma_has_the_weights_of_rec_601():
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    frames[0, ..., 0] = frames[1, ..., 1] = frames[2, ..., 2] = 255
    assert luma_of(frames)[:, 0, 0].tolist() == [76, 150, 29]


def test_text_that_stays_is_found_and_what_moves_is_not():
    luma, _ = moving()
    assert overlay_text(luma) == 0
    for frame in luma:
        cv2.putText(frame, "BREAKING", (14, 115), cv2.FONT_HERSHEY_DUPLEX, 0.6, 0, 3, cv2.LINE_AA)
        cv2.putText(frame, "BREAKING", (14, 115), cv2.FONT_HERSHEY_DUPLEX, 0.6, 255, 1, cv2.LINE_AA)
    assert overlay_text(luma) > 0.02


def test_turn_of_a_moving_thing_is_timed_finer_than_a_frame():
    for turn in (1.0, 1.22, 1.25, 1.281):
        luma, times = moving(turn=turn)
        assert motion_events(luma, times) == pytest.approx([turn], abs=0.02)


def test_thing_with_slanted_edges_turns_along_the_axis_of_its_motion():
    scene = scene_of(WorldSpec(seed=9140318), 384)
    times = np.arange(40) / 16
    luma = luma_of(render(scene, times, 128, 128))
    assert scene.bodies[0].shape == "triangle"
    assert motion_events(luma, times) == pytest.approx(scene.contacts(2.5), abs=0.02)


def test_steady_motion_and_stills_have_no_events():
    luma, times = moving(turn=9.0)
    assert len(motion_events(luma[:20], times[:20])) == 0
    assert len(motion_events(np.repeat(luma[:1], 40, axis=0), times)) == 0


def tone(starts, seconds=2.5, level=0.5):
    samples = np.zeros(round(seconds * RATE), np.float32)
    time = np.arange(9600) / RATE
    for start in starts:
        first = round(start * RATE)
        piece = samples[first : first + 9600]
        piece += (level * np.exp(-time / 0.05) * np.sin(2 * np.pi * 900 * time))[: len(piece)]
    return samples


def test_onsets_are_where_tones_start():
    assert onsets(tone([0.4, 1.1, 1.9]), RATE) == pytest.approx([0.4, 1.1, 1.9], abs=0.01)
    assert len(onsets(np.zeros(RATE, np.float32), RATE)) == 0


def test_loudness_is_in_decibels_below_full_scale():
    sine = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    assert loudness(sine) == pytest.approx(-3.01, abs=0.01)
    assert loudness(sine / 10) == pytest.approx(-23.01, abs=0.01)
    assert loudness(np.zeros(99, np.float32)) == loudness(np.zeros(0, np.float32)) == SILENCE_DB


def test_clipped_share_counts_samples_at_full_scale():
    sine = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    assert clipped_share(0.6 * sine) == 0
    assert clipped_share(np.clip(20 * sine, -1, 1)) > 0.9


@pytest.mark.parametrize("late", [0.0, 0.3, -0.4])
def test_lag_is_the_shift_that_matches_most_events(late):
    picture = np.array([0.5, 1.1, 1.9])
    assert lag(picture + late, picture, tolerance=0.05, furthest=1.0) == pytest.approx(late, abs=1e-6)


def test_lag_of_repeated_events_is_the_smallest_that_matches():
    picture = np.arange(0.5, 2.5, 0.5)
    assert lag(picture, picture, tolerance=0.05, furthest=1.0) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("late", [0.47, -0.47])
def test_lag_of_repeated_events_leaves_none_unheard_inside_the_shot(late):
    """Four contacts, three tones: the one that is missing would be heard before or after the shot."""
    picture = np.array([0.46, 1.02, 1.58, 2.13])
    sound = (picture + late)[(picture + late > 0) & (picture + late < 2.5)]
    assert lag(sound, picture, tolerance=0.07, furthest=1.0, seconds=2.5) == pytest.approx(late, abs=0.01)


def test_lag_without_events_is_unknown():
    assert lag(np.zeros(0), np.array([1.0]), tolerance=0.05, furthest=1.0) is None
    assert lag(np.array([9.0]), np.array([1.0]), tolerance=0.05, furthest=1.0) is None


def test_wav_bytes_read_back():
    import io
    import wave

    with wave.open(io.BytesIO(wav_bytes(np.array([0.0, 0.5, -1.0, 2.0], np.float32), 16_000))) as stream:
        assert (stream.getframerate(), stream.getnchannels()) == (16_000, 1)
        assert np.frombuffer(stream.readframes(4), "<i2").tolist() == [0, 16383, -32767, 32767]


def test_lag_is_not_moved_by_a_whole_period_because_one_event_is_placed_badly():
    onsets = np.array([0.385, 0.970, 1.555, 2.140])
    events = np.array([0.470, 0.970, 1.555, 2.140])
    assert abs(lag(onsets, events, tolerance=0.07, furthest=1.0, seconds=2.5)) < 0.03
