"""Filming: determinism, folders, and what is never filmed."""

import json
from pathlib import Path

import numpy as np
import pytest

from veo_core.errors import UsageError
from veo_core.media.decode import decode
from veo_core.world.grammar import held_out, parse
from veo_core.world.plan import plan, scene_of
from veo_core.world.studio import film_clip, make, read_truth
from veo_core.world.truth import FLAWS, WorldSpec


def test_make_when_repeated_with_other_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    spec = WorldSpec(clips=12, seed=5, flaws=0.5, width=64, height=64)
    make(tmp_path / "one", spec, workers=1)
    make(tmp_path / "two", spec, workers=2)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) == 2 * 12 + 1
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_make_keeps_truth_apart_from_footage(tmp_path: Path) -> None:
    truths = make(tmp_path, WorldSpec(clips=3, seed=1, width=64, height=64))
    names = {path.name for path in (tmp_path / "footage").iterdir()}
    assert names == {f"clip-{i:06d}.{kind}" for i in range(3) for kind in ("mp4", "json")}
    assert read_truth(tmp_path / "truth.jsonl") == truths
    sidecar = json.loads((tmp_path / "footage" / "clip-000000.json").read_text())
    assert "flaw" not in sidecar
    assert "contacts" not in sidecar


def test_film_clip_of_another_seed_or_index_shows_another_scene(tmp_path: Path) -> None:
    spec = WorldSpec(clips=10, seed=1)
    assert scene_of(spec, 0) == scene_of(spec, 0)
    others = [scene_of(spec, 1), scene_of(WorldSpec(clips=10, seed=2), 0)]
    assert all(scene_of(spec, 0).background != other.background for other in others)


def test_film_clip_writes_what_the_spec_asks_for(tmp_path: Path) -> None:
    spec = WorldSpec(clips=1, seed=2, width=96, height=64, fps=12, seconds=3.0, audio_rate=44_100)
    decoded = decode(film_clip(spec, 0, tmp_path).path)
    assert decoded.frames.shape == (36, 64, 96, 3)
    assert decoded.fps == pytest.approx(12.0)
    assert decoded.audio is not None
    assert (decoded.audio.shape[0], decoded.audio_rate) == (1, 44_100)
    assert decoded.audio.shape[1] / decoded.audio_rate == pytest.approx(3.0, abs=0.05)


def test_film_clip_puts_sound_on_the_pictures_clock_within_a_millisecond(tmp_path: Path) -> None:
    clip = film_clip(WorldSpec(clips=1, seed=8), 0, tmp_path)
    decoded = decode(clip.path)
    assert decoded.audio is not None
    loud = np.abs(decoded.audio[0]) > 0.1
    first = np.argmax(loud) / decoded.audio_rate
    assert first == pytest.approx(clip.truth.onsets[0], abs=0.001)


def test_captions_say_what_the_truth_says(tmp_path: Path) -> None:
    spec = WorldSpec(clips=20, seed=3, width=32, height=32, two_objects=0.5)
    for index in range(20):
        clip = film_clip(spec, index, tmp_path)
        said = parse(clip.sidecar["caption"])
        assert said is not None
        (shot,) = clip.truth.shots
        assert said.pitch == shot.attributes.pitch
        assert [o.direction for o in said.objects] == [o.direction for o in shot.attributes.objects]


def test_held_out_combinations_are_never_filmed_and_all_others_are() -> None:
    spec = WorldSpec(clips=1500, seed=11, two_objects=0.0)
    scenes = [scene_of(spec, index).attributes for index in range(spec.clips)]
    assert not any(held_out(scene) for scene in scenes)
    shown = {(s.objects[0].shape, s.objects[0].colour, s.objects[0].direction, s.pitch) for s in scenes}
    assert len(shown) == 128


def test_flipped_copies_never_show_a_held_out_combination(tmp_path: Path) -> None:
    spec = WorldSpec(clips=60, seed=4, flaws=0.5, flaw_weights={"flipped": 1.0}, width=32, height=32)
    flipped = [index for index in range(60) if plan(spec, index).flaw == "flipped"]
    assert len(flipped) > 15
    for index in flipped:
        (shot,) = film_clip(spec, index, tmp_path).truth.shots
        assert not held_out(shot.attributes)


def test_flaws_come_at_the_given_rate_in_equal_shares() -> None:
    spec = WorldSpec(clips=5000, seed=6, flaws=0.5)
    flaws = [plan(spec, index).flaw for index in range(spec.clips)]
    assert sum(flaw is not None for flaw in flaws) == pytest.approx(2500, abs=150)
    for flaw in FLAWS:
        assert flaws.count(flaw) == pytest.approx(100, abs=45)


def test_flaw_weights_choose_the_flaws() -> None:
    spec = WorldSpec(clips=300, seed=6, flaws=1.0, flaw_weights={"silent": 3.0, "static": 1.0})
    flaws = [plan(spec, index).flaw for index in range(spec.clips)]
    assert set(flaws) == {"silent", "static"}
    assert flaws.count("silent") > 2 * flaws.count("static")


def test_duplicates_without_a_flawless_original_become_another_flaw() -> None:
    everything = WorldSpec(clips=50, seed=6, flaws=1.0)
    assert all(plan(everything, index).partner is None for index in range(50))
    only = WorldSpec(clips=50, seed=6, flaws=1.0, flaw_weights={"logo": 1.0})
    assert all(plan(only, index).flaw is None for index in range(50))


def test_make_into_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        make(tmp_path, WorldSpec(clips=1))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_make_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        make(tmp_path / "file" / "out", WorldSpec(clips=1))


def test_read_truth_of_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "truth.jsonl").write_text('{"name": "clip"}\n')
    with pytest.raises(UsageError, match=r"truth\.jsonl:1"):
        read_truth(tmp_path / "truth.jsonl")
    with pytest.raises(UsageError, match="cannot be read"):
        read_truth(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    "spec",
    [
        {"clips": 0},
        {"flaws": 1.5},
        {"seconds": 1.0},
        {"width": 63},
        {"excerpt": 3.0},
        {"flaw_weights": {"silent": 0.0}},
        {"flaw_weights": {"silent": -1.0}},
        {"flaw_weights": {"sepia": 1.0}},
    ],
)
def test_spec_out_of_range_is_refused(spec: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="world"):
        WorldSpec.parse(spec, where="world")
