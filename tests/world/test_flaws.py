"""Each flaw really has its property, as measured in the files."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from veo_core.errors import ItemError
from veo_core.media.decode import Decoded, decode
from veo_core.world.detect_sound import hear
from veo_core.world.judge import judge
from veo_core.world.plan import plan
from veo_core.world.studio import FilmedClip, film_clip
from veo_core.world.truth import FLAWS, Flaw, Truth, WorldSpec, expected_verdict

Pair = tuple[FilmedClip, FilmedClip]


def film_pair(flaw: Flaw, folder: Path, *, seed: int = 40, number: int = 0) -> Pair:
    """A clip with the flaw, and the clean clip of the same scene."""
    spec = WorldSpec(clips=80, seed=seed, flaws=0.5, flaw_weights={flaw: 1.0})
    index = [i for i in range(80) if plan(spec, i).flaw == flaw][number]
    flawed = film_clip(spec, index, folder)
    clean_folder = folder / "clean"
    clean_folder.mkdir(exist_ok=True)
    return flawed, film_clip(WorldSpec(clips=80, seed=seed), flawed.truth.scene, clean_folder)


def decoded_pair(flaw: Flaw, folder: Path, **options: int) -> tuple[Decoded, Decoded, Truth]:
    flawed, clean = film_pair(flaw, folder, **options)
    return decode(flawed.path), decode(clean.path), flawed.truth


def luma(frames: npt.NDArray[np.uint8]) -> float:
    return float(frames.mean())


def sharpness(frames: npt.NDArray[np.uint8]) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


def psnr(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other.astype(float)) ** 2)))


@pytest.mark.parametrize("flaw", FLAWS)
def test_truth_names_the_flaw_and_the_partner_of_copies(flaw: Flaw, tmp_path: Path) -> None:
    flawed, clean = film_pair(flaw, tmp_path)
    truth = flawed.truth
    assert (truth.flaw, truth.expected) == (flaw, expected_verdict(flaw))
    copies = ("exact_duplicate", "reencoded", "cropped", "letterboxed", "flipped", "retimed", "logo")
    assert truth.partner == (clean.truth.name if flaw in copies else "")
    assert clean.truth.flaw is None


def test_exact_duplicate_has_the_bytes_of_its_original(tmp_path: Path) -> None:
    flawed, clean = film_pair("exact_duplicate", tmp_path)
    assert flawed.path.read_bytes() == clean.path.read_bytes()
    assert flawed.path.name != clean.path.name


@pytest.mark.parametrize("flaw", ["reencoded", "cropped", "letterboxed", "flipped", "retimed", "logo"])
def test_near_duplicate_has_other_bytes_and_the_same_content(flaw: Flaw, tmp_path: Path) -> None:
    flawed, clean = film_pair(flaw, tmp_path)
    assert flawed.path.read_bytes() != clean.path.read_bytes()
    seen, original = judge(decode(flawed.path)), judge(decode(clean.path))
    assert [(o.shape, o.colour) for o in seen.objects] == [(o.shape, o.colour) for o in original.objects]
    wanted = {o.colour: o.direction for o in flawed.truth.shots[0].attributes.objects}
    assert {o.colour: o.direction for o in seen.objects} == wanted
    assert seen.pitch == original.pitch


def test_reencoded_looks_like_its_original(tmp_path: Path) -> None:
    flawed, clean, _ = decoded_pair("reencoded", tmp_path)
    assert 25 < psnr(flawed.frames, clean.frames) < 50


def test_letterboxed_has_black_bars_and_the_original_between_them(tmp_path: Path) -> None:
    flawed, clean, _ = decoded_pair("letterboxed", tmp_path)
    height, width = clean.frames.shape[1:3]
    rows, columns = (a - b for a, b in zip(flawed.frames.shape[1:3], (height, width), strict=True))
    assert (rows == 0) != (columns == 0)
    bar = flawed.frames[:, : rows // 2 - 1] if rows else flawed.frames[:, :, : columns // 2 - 1]
    assert bar.size > 0
    assert bar.max() < 20
    inside = flawed.frames[:, rows // 2 : rows // 2 + height, columns // 2 : columns // 2 + width]
    assert psnr(inside, clean.frames) > 28


def test_flipped_is_the_mirror_image(tmp_path: Path) -> None:
    flawed, clean, truth = decoded_pair("flipped", tmp_path)
    mirror = clean.frames[:, :, ::-1] if truth.detail == "left with right" else clean.frames[:, ::-1]
    assert psnr(flawed.frames, mirror) > 28 > psnr(flawed.frames, clean.frames)


def test_retimed_has_the_same_frames_at_another_speed(tmp_path: Path) -> None:
    flawed, clean, truth = decoded_pair("retimed", tmp_path)
    factor = clean.seconds / flawed.seconds
    assert factor == pytest.approx(float(truth.detail.split()[0]), rel=0.01)
    assert psnr(flawed.frames, clean.frames) > 28


def test_logo_covers_a_corner_only(tmp_path: Path) -> None:
    flawed, clean, _ = decoded_pair("logo", tmp_path)
    changed = (np.abs(flawed.frames.astype(int) - clean.frames).max(axis=3) > 60).mean(axis=0) > 0.8
    assert 0.01 < changed.mean() < 0.06
    assert judge(flawed).logo
    assert not judge(clean).logo


def test_two_shots_have_a_cut_where_the_truth_says(tmp_path: Path) -> None:
    flawed, _, truth = decoded_pair("two_shots", tmp_path)
    steps = np.abs(np.diff(flawed.frames.astype(int), axis=0)).mean(axis=(1, 2, 3))
    cut = int(np.argmax(steps)) + 1
    assert steps[cut - 1] > 2 * np.delete(steps, cut - 1).max()
    assert len(truth.shots) == 2
    assert flawed.pts[cut] == pytest.approx(truth.shots[1].start, abs=1e-3)


def test_blurred_has_no_sharp_edge(tmp_path: Path) -> None:
    flawed, clean, _ = decoded_pair("blurred", tmp_path)
    assert sharpness(flawed.frames) < 0.02 * sharpness(clean.frames)


def test_too_dark_and_too_bright_are_far_from_ordinary_footage(tmp_path: Path) -> None:
    dark, clean, _ = decoded_pair("too_dark", tmp_path)
    bright, _, _ = decoded_pair("too_bright", tmp_path)
    assert luma(dark.frames) < 8 < 20 < luma(clean.frames) < 110 < 220 < luma(bright.frames)


def test_static_does_not_move_and_still_sounds(tmp_path: Path) -> None:
    flawed, _, truth = decoded_pair("static", tmp_path)
    assert np.abs(np.diff(flawed.frames.astype(int), axis=0)).mean() < 0.5
    assert not truth.shots[0].contacts
    assert not judge(flawed).silent


def test_silent_is_silent_with_or_without_a_track(tmp_path: Path) -> None:
    pairs = [decoded_pair("silent", tmp_path, number=number) for number in range(8)]
    tracks = [flawed.audio is None for flawed, _, _ in pairs]
    assert set(tracks) == {True, False}
    for flawed, _, truth in pairs:
        assert flawed.audio is None or np.abs(flawed.audio).max() < 1e-4
        assert judge(flawed).silent
        assert not truth.onsets


def test_clipped_sound_sits_at_full_scale(tmp_path: Path) -> None:
    flawed, clean, _ = decoded_pair("clipped_sound", tmp_path)
    assert flawed.audio is not None
    assert clean.audio is not None
    assert (np.abs(flawed.audio) > 0.9).mean() > 0.02
    assert (np.abs(clean.audio) > 0.9).mean() == 0.0


def test_out_of_sync_sound_is_off_by_what_the_truth_says(tmp_path: Path) -> None:
    signs = set()
    for number in range(6):
        flawed, _, truth = decoded_pair("out_of_sync", tmp_path, number=number)
        lag = float(truth.detail.split()[1]) * (1 if truth.detail.endswith("late") else -1)
        signs.add(lag > 0)
        assert 0.3 <= abs(lag) <= 0.5
        shifted = np.array(truth.shots[0].contacts) + lag
        onsets = np.array(hear(flawed.audio, flawed.audio_rate).onsets)
        assert len(onsets) >= 1
        assert all(np.abs(shifted - onset).min() < 0.005 for onset in onsets)
    assert signs == {True, False}


def test_burnt_in_text_is_pale_wide_and_constant(tmp_path: Path) -> None:
    flawed, clean, _ = decoded_pair("burnt_in_text", tmp_path)
    pale = (flawed.frames.min(axis=3) > 180).mean(axis=0) > 0.9
    assert np.flatnonzero(pale.any(axis=0)).size > 0.4 * pale.shape[1]
    assert judge(flawed).text
    assert not judge(clean).text


def test_harmful_shows_the_hazard_sign(tmp_path: Path) -> None:
    flawed, clean, truth = decoded_pair("harmful", tmp_path)
    assert truth.shots[0].attributes.hazard
    assert judge(flawed).hazard
    assert not judge(clean).hazard


def test_rights_are_missing_or_denied(tmp_path: Path) -> None:
    missing, clean = film_pair("rights_missing", tmp_path)
    denied, _ = film_pair("rights_denied", tmp_path)
    assert set(missing.sidecar) == {"caption"}
    assert denied.sidecar["ml_training"] == "denied"
    assert clean.sidecar["ml_training"] == "allowed"
    assert set(denied.sidecar) == set(clean.sidecar)


def test_lengths_and_sizes_are_out_of_the_ordinary(tmp_path: Path) -> None:
    short, clean, _ = decoded_pair("too_short", tmp_path)
    long, _, _ = decoded_pair("too_long", tmp_path)
    large, _, _ = decoded_pair("oversized", tmp_path)
    assert short.seconds == pytest.approx(0.3 * clean.seconds, abs=0.01)
    assert long.seconds == pytest.approx(3 * clean.seconds, abs=0.01)
    assert large.frames.shape[1:3] == (1024, 1024)


def test_variable_frame_rate_has_uneven_times_and_truthful_pictures(tmp_path: Path) -> None:
    flawed, _, truth = decoded_pair("variable_frame_rate", tmp_path)
    steps = np.diff(flawed.pts)
    assert steps.max() > 1.8 * steps.min()
    seen = judge(flawed)
    assert len(seen.contacts) == len(truth.shots[0].contacts)
    assert np.allclose(seen.contacts, truth.shots[0].contacts, atol=0.02)


@pytest.mark.parametrize("flaw", ["corrupt", "truncated"])
def test_damaged_files_cannot_be_decoded(flaw: Flaw, tmp_path: Path) -> None:
    for number in range(8):
        flawed, clean = film_pair(flaw, tmp_path, number=number)
        assert flawed.path.read_bytes() != clean.path.read_bytes()
        with pytest.raises(ItemError):
            decode(flawed.path)
