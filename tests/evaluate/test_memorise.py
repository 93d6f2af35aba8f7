"""Copies of training clips are found, new clips are not."""

import numpy as np
import pytest

from benchmarks.degrade import Footage, world_footage
from benchmarks.stored import file_of
from veo_core.evaluate.memorise import (
    Neighbour,
    TrainingClip,
    calibrate,
    marked,
    memorised_share,
    nearest,
    view_of,
    view_training_clips,
)
from veo_core.evaluate.records import CopyView
from veo_core.media.decode import decode
from veo_core.storage import Store


def view(clip: Footage, name: str, tmp_path, crf: int = 18) -> CopyView:
    path = tmp_path / "clip.mp4"
    path.write_bytes(file_of(clip, crf))
    return view_of(name, decode(path))


@pytest.fixture(scope="module")
def training() -> list[Footage]:
    return world_footage(24, 11)


def test_planted_copies_are_found_with_their_origin_and_new_clips_are_not_flagged(training, tmp_path):
    store = Store(str(tmp_path / "store"))
    known = [
        TrainingClip(clip_id=f"train{index}", media=store.put_bytes(file_of(clip), ".mp4"))
        for index, clip in enumerate(training)
    ]
    views = view_training_clips(known, root=store.root)
    held_out = [(view(clip, "h", tmp_path), "", "real") for clip in world_footage(16, 12)]
    planted = [(view(clip, str(n), tmp_path, crf=30), "", "generated") for n, clip in enumerate(training[:8])]
    thresholds = calibrate(nearest(held_out, views))
    found = marked(nearest(planted, views), thresholds)
    assert [n.training_clip for n in found] == [f"train{n}" for n in range(8)]
    assert all(n.memorised for n in found)
    fresh = marked(
        nearest([(view(c, "f", tmp_path), "", "generated") for c in world_footage(6, 13)], views), thresholds
    )
    assert sum(n.memorised for n in fresh) <= 1
    assert memorised_share(found).value == 1.0


def test_a_mirrored_copy_is_found(training, tmp_path):
    clip = training[3]
    mirrored = Footage(np.ascontiguousarray(clip.frames[:, :, ::-1]), clip.fps, clip.sound, clip.rate, "")
    views = [view(other, str(n), tmp_path) for n, other in enumerate(training[:8])]
    (found,) = nearest([(view(mirrored, "m", tmp_path), "", "generated")], views)
    assert found.training_clip == "3"
    assert found.likeness > 0.9


def test_a_training_clip_that_cannot_be_decoded_is_left_out(training, tmp_path):
    store = Store(str(tmp_path))
    clips = [
        TrainingClip(clip_id="broken", media=store.put_bytes(b"no film", ".mp4")),
        TrainingClip(clip_id="whole", media=store.put_bytes(file_of(training[0]), ".mp4")),
    ]
    assert [found.clip_id for found in view_training_clips(clips, root=store.root)] == ["whole"]


def neighbour(likeness: float, bits: int) -> Neighbour:
    return Neighbour(
        clip_id=f"{likeness}-{bits}",
        prompt="",
        group="real",
        training_clip="t",
        likeness=likeness,
        motion=likeness,
        colour=0.0,
        hash_distance=bits,
    )


def test_thresholds_let_one_of_a_hundred_further_real_clips_pass_for_copies():
    rng = np.random.default_rng(0)

    def draw(count: int) -> list[Neighbour]:
        return [neighbour(float(rng.normal(0.4, 0.1)), int(rng.integers(40, 200))) for _ in range(count)]

    thresholds = calibrate(draw(2000))
    flagged = np.mean([n.memorised for n in marked(draw(8000), thresholds)])
    assert 0.001 <= flagged <= 0.01


def test_hashes_count_only_within_the_reference_advice():
    thresholds = calibrate([neighbour(0.5, 120)] * 10)
    assert thresholds.bits == 31
    assert marked([neighbour(0.1, 30)], thresholds)[0].memorised
    assert not marked([neighbour(0.1, 31)], thresholds)[0].memorised


def test_without_held_out_clips_nothing_is_called_a_copy():
    assert not marked([neighbour(1.0, 0)], calibrate([]))[0].memorised
