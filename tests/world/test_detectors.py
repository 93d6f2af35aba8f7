"""The detectors against the truth, at every size that they are used at, and on odd input."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veo_core.media.decode import Decoded, decode, frames_at
from veo_core.media.encode import encode
from veo_core.world.detect_picture import see
from veo_core.world.detect_sound import hear
from veo_core.world.film import alarm, record, render, synthesise
from veo_core.world.judge import judge
from veo_core.world.plan import scene_of
from veo_core.world.sighting import SeenPicture, Sighting
from veo_core.world.studio import FilmedClip, film_clip
from veo_core.world.track import follow
from veo_core.world.truth import Shot, WorldSpec

TOLERANCE = 0.020  # seconds
View = Callable[[Decoded, Path], Decoded]


def as_filmed(decoded: Decoded, folder: Path) -> Decoded:
    return decoded


def prepared(side: int) -> View:
    """As a clip that is prepared for training: 17 frames at 8 frames per second, encoded again."""

    def view(decoded: Decoded, folder: Path) -> Decoded:
        frames = decoded.frames[frames_at(decoded, 8.0, 17)]
        small = np.stack([cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in frames])
        assert decoded.audio is not None
        sound = decoded.audio[:, : 2 * decoded.audio_rate]
        encode(folder / "prepared.mp4", small, fps=8.0, audio=sound, audio_rate=decoded.audio_rate)
        return decode(folder / "prepared.mp4")

    return view


def blurred_and_noisy(decoded: Decoded, folder: Path) -> Decoded:
    """As a small model might draw a clip: 32 x 32, soft edges, noise."""
    small = prepared(32)(decoded, folder)
    rng = np.random.default_rng(0)
    soft = np.stack([cv2.GaussianBlur(frame, (0, 0), 0.8) for frame in small.frames])
    noisy = np.clip(soft + rng.normal(0.0, 8.0, soft.shape), 0, 255).astype(np.uint8)
    return Decoded(noisy, small.pts, small.audio, small.audio_rate, small.fps)


def mistakes(seen: Sighting, shot: Shot, seconds: float) -> list[str]:
    """The names of the attributes that the detectors got wrong."""
    wrong = [
        name
        for name, right in (
            ("count", len(seen.objects) == len(shot.attributes.objects)),
            ("pitch", seen.pitch == shot.attributes.pitch),
            ("hazard", seen.hazard == shot.attributes.hazard),
            ("overlay", not (seen.text or seen.logo)),
            ("contacts", agree(seen.contacts, [t for t in shot.contacts if t < seconds])),
            ("onsets", agree(seen.onsets, [t for t in shot.contacts if t < seconds])),
        )
        if not right
    ]
    by_colour = {item.colour: item for item in seen.objects}
    for item in shot.attributes.objects:
        found = by_colour.get(item.colour)
        if found is None:
            wrong.append("colour")
            continue
        names = ("shape", "direction", "size", "speed")
        wrong += [name for name in names if getattr(found, name) != getattr(item, name)]
    return wrong


def agree(found: tuple[float, ...], true: list[float]) -> bool:
    return len(found) == len(true) and np.allclose(found, true, atol=TOLERANCE)


VIEWS = pytest.mark.parametrize(
    ("view", "seconds"),
    [(as_filmed, 2.5), (prepared(64), 2.0), (prepared(32), 2.0), (blurred_and_noisy, 2.0)],
    ids=["128px", "64px", "32px", "32px-noisy"],
)


def film(clips: int, seed: int, folder: Path) -> list[FilmedClip]:
    spec = WorldSpec(clips=clips, seed=seed)
    return [film_clip(spec, index, folder) for index in range(clips)]


def tally(clips: list[FilmedClip], view: View, seconds: float, folder: Path) -> Counter[str]:
    wrong: Counter[str] = Counter()
    for clip in clips:
        seen = judge(view(decode(clip.path), folder))
        wrong.update(set(mistakes(seen, clip.truth.shots[0], seconds)))
    return wrong


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> list[FilmedClip]:
    return film(100, 20_261_124, tmp_path_factory.mktemp("hundred"))


@VIEWS
def test_detectors_agree_with_the_truth_on_unflawed_clips(
    hundred: list[FilmedClip], view: View, seconds: float, tmp_path: Path
) -> None:
    wrong = tally(hundred, view, seconds, tmp_path)
    assert all(count <= 1 for count in wrong.values()), wrong


@pytest.mark.slow
@VIEWS
@pytest.mark.parametrize("seed", [77_001, 77_002])
def test_detectors_agree_with_the_truth_on_500_unflawed_clips(
    view: View, seconds: float, seed: int, tmp_path: Path
) -> None:
    wrong = tally(film(500, seed, tmp_path), view, seconds, tmp_path)
    assert all(count <= 5 for count in wrong.values()), wrong


def stills_of(seed: int, index: int) -> tuple[npt.NDArray[np.uint8], Shot]:
    """Four JPEG key frames of a clip, the first one first."""
    scene = scene_of(WorldSpec(seed=seed), index)
    frames = render(scene, np.array([0.0, 0.6, 1.3, 1.9]), 64, 64)
    read = [cv2.imdecode(cv2.imencode(".jpg", f, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], 1) for f in frames]
    shot = Shot(start=0.0, seconds=2.0, attributes=scene.attributes, contacts=())
    return np.stack(read), shot


def test_stills_tell_everything_but_speed_and_contacts() -> None:
    wrong: Counter[str] = Counter()
    for index in range(100):
        frames, shot = stills_of(31, index)
        seen = see(frames, None)
        found = {(o.shape, o.colour, o.direction, o.size) for o in seen.objects}
        true = {(o.shape, o.colour, o.direction, o.size) for o in shot.attributes.objects}
        wrong["objects"] += found != true
        wrong["times"] += any(o.speed or o.contacts for o in seen.objects)
    assert wrong["objects"] <= 1
    assert wrong["times"] == 0


@pytest.mark.parametrize("side", [32, 64, 128])
def test_hazard_sign_is_seen_in_clips_and_stills_and_hides_no_object(side: int) -> None:
    times = np.arange(17) / 8
    for index in range(25):
        scene = scene_of(WorldSpec(seed=32), index, hazard=True)
        frames = render(scene, times, side, side)
        clip, stills = see(frames, times), see(frames[::5], None)
        assert clip.hazard
        assert stills.hazard
        assert [o.colour for o in clip.objects] == [scene.bodies[0].colour]
        assert agree(clip.contacts, scene.contacts(2.0))


def test_one_still_tells_no_direction() -> None:
    frames, shot = stills_of(31, 0)
    seen = see(frames[:1], None)
    assert [o.direction for o in seen.objects] == [None] * len(shot.attributes.objects)
    assert {o.colour for o in seen.objects} == {o.colour for o in shot.attributes.objects}


def test_two_objects_of_one_colour_are_counted_as_two() -> None:
    spec = WorldSpec(seed=5, two_objects=1.0)
    times = np.arange(17) / 8
    for index in range(12):
        scene = scene_of(spec, index)
        first, second = scene.bodies
        same = scene.model_copy(
            update={"bodies": (first, second.model_copy(update={"colour": first.colour}))}
        )
        seen = see(render(same, times, 64, 64), times)
        assert [o.colour for o in seen.objects] == [first.colour] * 2
        assert agree(seen.contacts, scene.contacts(2.0))


def test_missing_frames_do_not_hide_an_object_or_its_contacts() -> None:
    scene = scene_of(WorldSpec(seed=6, two_objects=0.0), 3)
    times = np.arange(40) / 16
    frames = render(scene, times, 64, 64)
    frames[[5, 12, 13, 30]] = 20
    seen = see(frames, times)
    assert len(seen.objects) == 1
    assert agree(seen.contacts, scene.contacts(2.5))


@pytest.mark.parametrize("level", [0, 20, 128, 255])
def test_empty_pictures_show_nothing(level: int) -> None:
    seen = see(np.full((17, 32, 32, 3), level, np.uint8), np.arange(17) / 8)
    assert seen == SeenPicture(
        objects=(), hazard=False, text=False, logo=False, background=(float(level),) * 3
    )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 20),
    height=st.integers(2, 80),
    width=st.integers(2, 80),
    contrast=st.sampled_from([5, 60, 255]),
)
def test_noise_gives_a_sighting_and_no_error(
    seed: int, count: int, height: int, width: int, contrast: int
) -> None:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, contrast + 1, (count, height, width, 3)).astype(np.uint8)
    sound = rng.normal(0.0, 0.1, (1, 16_000)).astype(np.float32)
    seen = judge(Decoded(frames, np.arange(count) / 8, sound, 16_000, 8.0))
    assert Sighting.model_validate_json(seen.to_bytes()) == seen
    assert seen.pitch is None


def test_follow_finds_turns_between_samples_of_a_noisy_motion() -> None:
    times = np.arange(17) / 8
    scene = scene_of(WorldSpec(seed=8, two_objects=0.0), 1)
    (body,) = scene.bodies
    noisy = body.positions(times) + np.random.default_rng(0).normal(0.0, 0.003, 17)
    motion = follow(times, noisy)
    assert np.sign(motion.velocity) == np.sign(body.velocity)
    assert motion.speed == pytest.approx(abs(body.velocity), rel=0.05)
    assert agree(motion.turns, body.contacts(2.0))


def test_follow_of_rest_has_no_velocity_and_no_turns() -> None:
    motion = follow(np.arange(17) / 8, 0.5 + np.random.default_rng(0).normal(0.0, 0.004, 17))
    assert motion == (0.0, 0.0, ())


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("hertz", [300.0, 900.0, 2500.0])
def test_hear_places_onsets_within_two_milliseconds(rate: int, hertz: float) -> None:
    onsets = [0.2512, 0.3601, 0.9337, 1.7003]
    heard = hear(synthesise(onsets, hertz, 2.0, rate), rate)
    assert len(heard.onsets) == len(onsets)
    assert np.allclose(heard.onsets, onsets, atol=0.002)
    assert heard.pitch == {300.0: "low", 900.0: "middle", 2500.0: "high"}[hertz]


def test_hear_in_noise_still_finds_the_tones() -> None:
    scene = scene_of(WorldSpec(seed=8), 4)
    onsets = scene.contacts(2.0)
    sound = record(scene, onsets, 2.0, 16_000)
    noisy = sound + np.random.default_rng(1).normal(0.0, 0.01, sound.shape).astype(np.float32)
    heard = hear(noisy, 16_000)
    assert heard.pitch == scene.pitch
    assert len(heard.onsets) == len(onsets)
    assert np.allclose(heard.onsets, onsets, atol=0.005)


@pytest.mark.parametrize(
    "audio",
    [
        None,
        np.zeros((1, 0), np.float32),
        np.zeros((2, 1000), np.float32),
        np.full((1, 1000), np.nan, np.float32),
    ],
)
def test_hear_of_nothing_is_silence(audio: npt.NDArray[np.float32] | None) -> None:
    heard = hear(audio, 16_000)
    assert (heard.silent, heard.pitch, heard.onsets) == (True, None, ())


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_the_alarm_is_heard_through_aac_and_at_any_level(tmp_path: Path, gain: float) -> None:
    path = tmp_path / "alarm.mp4"
    sound = gain * alarm(2.0, 48_000)
    encode(path, np.zeros((16, 16, 16, 3), np.uint8), fps=8.0, audio=sound.astype(np.float32))
    decoded = decode(path)
    assert hear(decoded.audio, decoded.audio_rate).alarm


def test_neither_the_sounds_of_scenes_nor_noise_pass_for_the_alarm() -> None:
    for index in range(60):
        scene = scene_of(WorldSpec(seed=41), index)
        assert not hear(record(scene, scene.contacts(4.0), 4.0, 16_000), 16_000).alarm
    noise = np.random.default_rng(0).normal(0.0, 0.3, (20, 1, 32_000)).astype(np.float32)
    assert not any(hear(np.clip(sound, -1.0, 1.0), 16_000).alarm for sound in noise)
