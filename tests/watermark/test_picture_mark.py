"""The mark in the picture: what it costs, what it survives, and that nothing else looks like it."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from veo_core.errors import UsageError
from veo_core.media.decode import decode
from veo_core.media.encode import encode
from veo_core.watermark.payload import CODED_BITS, INDICES
from veo_core.watermark.picture_pattern import TILE, coefficients, index_of, patterns, spectrum_of, sync_of
from veo_core.watermark.picture_reading import PictureReading, read_picture, read_residual, residual_of
from veo_core.watermark.picture_residual import SMALLEST_SIDE
from veo_core.watermark.picture_writing import PSNR_DB, embed_picture
from veo_core.world.take import Take

UInt8 = npt.NDArray[np.uint8]

KEY, OTHER_KEY = b"a secret of the tests", b"another secret of the tests"
INDEX = 5
SIGNS = np.where(np.random.default_rng(3).random(CODED_BITS) < 0.5, -1, 1)


def agreement(reading: PictureReading) -> float:
    """Share of the signs that were read right."""
    return float(np.mean(np.sign(reading.soft) == SIGNS))


def psnr(first: UInt8, second: UInt8) -> float:
    error = np.mean(np.square(first.astype(np.float64) - second))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


@pytest.fixture(scope="module")
def marked(natural_frames: UInt8) -> UInt8:
    return embed_picture(natural_frames, SIGNS, KEY, INDEX)


def coded(frames: UInt8, crf: int) -> UInt8:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip.mp4")
        encode(path, frames, fps=24.0, crf=crf, preset="medium")
        return decode(path).frames


def test_patterns_of_a_key_are_orthonormal_and_those_of_another_have_nothing_in_common() -> None:
    rows = np.concatenate(patterns(KEY, 0))
    assert np.allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-4)
    others = [patterns(OTHER_KEY, 0).bits, patterns(KEY, 1).bits]
    for other in others:
        assert np.abs(patterns(KEY, 0).bits @ other.T).max() < 6 / np.sqrt(rows.shape[1])


def test_a_tile_of_given_coefficients_has_them() -> None:
    real = np.random.default_rng(1).normal(size=patterns(KEY, 0).bits.shape[1]).astype(np.float32)
    tile = np.fft.irfft2(spectrum_of(real), s=(TILE, TILE)).astype(np.float32)
    assert np.allclose(coefficients(tile), real / np.sqrt(np.mean(real**2)), atol=1e-3)


def test_every_key_index_has_a_sync_pattern_and_sign_of_its_own() -> None:
    assert [index_of(*sync_of(index)) for index in range(INDICES)] == list(range(INDICES))


def test_marked_pictures_keep_their_quality_and_every_sign_is_read(
    natural_frames: UInt8, marked: UInt8
) -> None:
    assert PSNR_DB <= psnr(natural_frames, marked) < PSNR_DB + 0.5
    reading = read_picture(marked, KEY)
    assert agreement(reading) == 1.0
    assert reading.index == INDEX
    assert reading.p_value < 1e-12


def test_marking_is_deterministic(natural_frames: UInt8, marked: UInt8) -> None:
    assert np.array_equal(embed_picture(natural_frames, SIGNS, KEY, INDEX), marked)


def scaled(frames: UInt8, width: int, height: int) -> UInt8:
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


ATTACKS: dict[str, Callable[[UInt8], UInt8]] = {
    "H.264 at CRF 23": lambda frames: coded(frames, 23),
    "scaled to 0.55": lambda frames: scaled(frames, 246, 141),
    "twice as large": lambda frames: scaled(frames, 896, 512),
    "squashed to a square": lambda frames: scaled(frames, 256, 256),
    "cropped to 0.71": lambda frames: frames[:, 61:243, 17:335],
    "cropped to a portrait": lambda frames: frames[:, :, 150:294],
    "padded to 4:3": lambda frames: np.pad(frames, ((0, 0), (40, 40), (0, 0), (0, 0))),
    "mirrored": lambda frames: frames[:, :, ::-1],
    "mirrored and cropped": lambda frames: frames[:, 30:230, ::-1][:, :, 40:390],
    "brightness 0.5": lambda frames: (frames * 0.5).astype(np.uint8),
    "contrast 1.5": lambda frames: np.clip(128 + 1.5 * (frames.astype(float) - 128), 0, 255).astype(np.uint8),
    "trimmed to half": lambda frames: frames[6:],
    "a quarter of the frames left out": lambda frames: frames[[0, 1, 3, 4, 5, 7, 8, 9, 11]],
    "one frame": lambda frames: frames[3:4],
    "backwards": lambda frames: frames[::-1],
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_mark_is_read_after(attack: Callable[[UInt8], UInt8], marked: UInt8) -> None:
    reading = read_picture(np.ascontiguousarray(attack(marked)), KEY)
    assert reading.p_value < 1e-6
    assert reading.index == INDEX
    assert agreement(reading) > 0.9


def test_place_of_a_crop_is_found(marked: UInt8) -> None:
    reading = read_picture(np.ascontiguousarray(marked[:, 61:243, 17:335]), KEY)
    assert reading.scale == pytest.approx(182 / 256, rel=0.01)
    assert not reading.mirrored
    # What is seen starts 61 rows and 17 columns into the tile, so the tile starts that much before it.
    assert (-reading.shift[0] % TILE, -reading.shift[1] % TILE) == pytest.approx((61 / 2, 17 / 2), abs=1.5)


def test_neither_unmarked_pictures_nor_another_key_give_a_mark(natural_frames: UInt8, marked: UInt8) -> None:
    assert read_picture(natural_frames, KEY).p_value > 1e-4
    assert read_picture(marked, OTHER_KEY).p_value > 1e-4


def test_p_values_of_unmarked_pictures_over_many_keys_are_those_of_chance(natural_frames: UInt8) -> None:
    """Bonferroni's bound holds for the search; what is read at the place found is a chi-square value."""
    seen = residual_of(natural_frames[:4])
    readings = [read_residual(seen, bytes([number])) for number in range(12)]
    assert min(reading.p_value for reading in readings) > 1e-4
    energies = [float(np.square(reading.soft).sum()) for reading in readings]
    assert stats.kstest(energies, stats.chi2(CODED_BITS).cdf).pvalue > 1e-3


@pytest.mark.parametrize("crf", [18, 23])
def test_embedded_worlds_small_clips_carry_the_mark(world_take: Take, crf: int) -> None:
    frames = world_take.frames[:17]
    marked = embed_picture(frames, SIGNS, KEY, INDEX)
    assert psnr(frames, marked) >= PSNR_DB
    reading = read_picture(coded(marked, crf), KEY)
    assert reading.p_value < 1e-6
    assert agreement(reading) > 0.9


@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(SMALLEST_SIDE, 90),
    width=st.integers(SMALLEST_SIDE, 200),
    level=st.sampled_from([0, 1, 128, 255]),
    noise=st.sampled_from([0.0, 30.0]),
)
def test_quality_holds_whatever_the_size_and_content(
    height: int, width: int, level: int, noise: float
) -> None:
    grain = noise * np.random.default_rng(0).normal(size=(2, height, width, 3))
    frames = np.clip(level + grain, 0, 255).astype(np.uint8)
    marked = embed_picture(frames, SIGNS, KEY, INDEX)
    assert marked.shape == frames.shape
    assert psnr(frames, marked) >= PSNR_DB


def test_pictures_that_are_too_small_cannot_be_marked_and_hold_no_mark() -> None:
    small = np.zeros((2, 12, 40, 3), np.uint8)
    with pytest.raises(UsageError, match="too small"):
        embed_picture(small, SIGNS, KEY, INDEX)
    assert read_picture(small, KEY).p_value == 1.0


def test_flat_pictures_hold_no_mark() -> None:
    assert read_picture(np.full((3, 64, 64, 3), 90, np.uint8), KEY).p_value > 0.99
