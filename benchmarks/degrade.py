"""Clips with known truth, made worse step by step: what every metric is tested on.

Each ladder has six rungs, the first of them untouched. It names the metrics that must move on every rung, the
way in which each must move, and those that must not care.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from veo_core.evaluate.fidelity import ssim, stft_distance
from veo_core.evaluate.measure import measure_all
from veo_core.evaluate.networks import NetworksConfig
from veo_core.evaluate.psnr import psnr
from veo_core.evaluate.records import ClipScore, Measured
from veo_core.evaluate.summary import summarise
from veo_core.media.encode import encode
from veo_core.storage import Store
from veo_core.world.film import record, render
from veo_core.world.grammar import phrasings
from veo_core.world.scene import sample_scene

FPS, SECONDS, RATE = 8.0, 2.125, 48_000
RUNGS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
Way = Literal["up", "down"]


@dataclass(frozen=True)
class Footage:
    """A clip in memory: RGB uint8 [t, h, w, 3], frames a second, sound float32 [l], its rate, its prompt."""

    frames: npt.NDArray[np.uint8]
    fps: float
    sound: npt.NDArray[np.float32]
    rate: int
    prompt: str


@dataclass(frozen=True)
class Ladder:
    """A degradation.

    Attributes:
        name: of the degradation.
        degrade: the clips at a strength from 0 to 1.
        moves: metrics that must move, and which way.
        stays: metrics that must stay within `slack` of the first rung.
        slack: the largest change of those, relative to the first rung's value (or absolute below 1).
        footage: "world" for scenes of the world, "impacts" for pictures that jerk when it clicks.
    """

    name: str
    degrade: Callable[[Sequence[Footage], float], list[Footage]]
    moves: dict[str, Way]
    stays: tuple[str, ...] = ()
    slack: float = 0.02
    footage: Literal["world", "impacts"] = "world"
    pairs: dict[str, Way] = field(default_factory=dict)


def world_footage(count: int, seed: int, *, side: int = 64, fps: float = FPS) -> list[Footage]:
    """Scenes of the world, filmed as the generator's clips are."""
    clips = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        scene = sample_scene(rng, aspect=1.0, seconds=SECONDS, excerpt=2.0)
        frames = render(scene, np.arange(1 + round(2.0 * fps)) / fps, side, side)
        sound = record(scene, [t for t in scene.contacts(SECONDS) if t < SECONDS], SECONDS, RATE)
        clips.append(
            Footage(frames, fps, np.ascontiguousarray(sound[0]), RATE, phrasings(scene.attributes)[0])
        )
    return clips


def impact_footage(count: int, seed: int) -> list[Footage]:
    """A textured square that jumps at random times, each jump with a click: no shape of the world's."""
    clips, fps = [], 24.0
    for index in range(count):
        rng = np.random.default_rng([seed, index, 7])
        ground = cv2.GaussianBlur(rng.uniform(40, 160, (96, 96, 3)).astype(np.float32), (0, 0), 3)
        patch = rng.uniform(60, 255, (28, 28, 3)).astype(np.float32)
        times = np.cumsum(rng.uniform(0.45, 0.7, 4))
        frames = np.repeat(ground[None], round(2.5 * fps), axis=0)
        x, y = 30, 34
        for t in range(len(frames)):
            if np.any(np.round(times * fps) == t):
                x, y = 34 - (x - 34) + int(rng.choice([-3, 3])), y + int(rng.choice([-4, 4]))
            frames[t, y : y + 28, x : x + 28] = patch
        sound = np.zeros(round(2.5 * RATE), np.float32)
        decay = np.exp(-np.arange(round(0.05 * RATE)) / (0.01 * RATE))
        for time in times:
            start = min(round(float(np.round(time * fps) / fps) * RATE), len(sound))
            click = (0.5 * rng.standard_normal(len(decay)) * decay).astype(np.float32)
            sound[start : start + len(click)] += click[: len(sound) - start]
        clips.append(
            Footage(np.rint(frames).astype(np.uint8), fps, np.clip(sound, -1, 1), RATE, f"clip {index}")
        )
    return clips


def measured(
    clips: Sequence[Footage],
    store: Store,
    *,
    group: Literal["generated", "real"] = "generated",
    networks: NetworksConfig | None = None,
) -> list[Measured]:
    """The clips after the codec, measured."""
    scores = []
    for index, clip in enumerate(clips):
        sink = io.BytesIO()
        encode(sink, clip.frames, fps=clip.fps, audio=clip.sound[None], audio_rate=clip.rate, crf=12)
        media = store.put_bytes(sink.getvalue(), ".mp4")
        split, mode = ("seen", "t2v") if group == "generated" else ("real", "")
        scores.append(
            ClipScore(
                clip_id=media.sha256,
                group=group,
                prompt=clip.prompt,
                split=split,
                mode=mode,
                seed=index,
                media=media,
            )
        )
    return measure_all(scores, root=store.root, networks=networks or NetworksConfig())


def climb(
    ladder: Ladder,
    clips: Sequence[Footage],
    reference: Sequence[Measured],
    store: Store,
    *,
    seed: int,
    networks: NetworksConfig | None = None,
) -> dict[str, list[float]]:
    """Each figure of a ladder on every rung, by name; `pairs` are of clips and their originals."""
    found: dict[str, list[float]] = {}
    for rung in RUNGS:
        worse = ladder.degrade(clips, rung)
        everything = [*measured(worse, store, networks=networks), *reference]
        rows = summarise(
            [row.score for row in everything],
            seed=seed,
            features=[features for row in everything for features in row.features],
        )
        figures = {
            row.metric: row.value for row in rows if row.mode == "t2v" and row.value is not None
        } | _pair_figures(clips, worse)
        for name in (*ladder.moves, *ladder.pairs, *ladder.stays):
            found.setdefault(name, []).append(figures[name])
    return found


def failures(ladder: Ladder, figures: dict[str, list[float]]) -> list[str]:
    """Which metrics do not move as they must, in words; empty where all do."""
    wrong = []
    for name, way in (ladder.moves | ladder.pairs).items():
        steps = np.diff(figures[name]) * (1 if way == "up" else -1)
        if steps.min() <= 0:
            wrong.append(f"{ladder.name}: {name} must go {way}: {_brief(figures[name])}")
    for name in ladder.stays:
        first = figures[name][0]
        if max(abs(value - first) for value in figures[name]) > ladder.slack * max(1.0, abs(first)):
            wrong.append(f"{ladder.name}: {name} must stay: {_brief(figures[name])}")
    return wrong


def _brief(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _pair_figures(clips: Sequence[Footage], worse: Sequence[Footage]) -> dict[str, float]:
    """Fidelity of the degraded clips to their originals, without a codec."""
    pairs = list(zip(worse, clips, strict=True))
    return {
        "psnr": float(np.mean([psnr(a.frames, b.frames) for a, b in pairs])),
        "ssim": float(np.mean([ssim(a.frames[::4], b.frames[::4]) for a, b in pairs])),
        "stft": float(np.mean([stft_distance(a.sound, b.sound) for a, b in pairs])),
    }


def _blur(clips: Sequence[Footage], strength: float) -> list[Footage]:
    if not strength:
        return list(clips)
    return [
        replace(clip, frames=np.stack([cv2.GaussianBlur(f, (0, 0), 3.0 * strength) for f in clip.frames]))
        for clip in clips
    ]


def _picture_noise(clips: Sequence[Footage], strength: float) -> list[Footage]:
    rng = np.random.default_rng(1)
    return [
        replace(clip, frames=_levels(clip.frames + 12.0 * strength * rng.standard_normal(clip.frames.shape)))
        for clip in clips
    ]


def _sound_noise(clips: Sequence[Footage], strength: float) -> list[Footage]:
    rng = np.random.default_rng(2)
    return [
        replace(
            clip,
            sound=np.clip(clip.sound + 0.08 * strength * rng.standard_normal(clip.sound.shape), -1, 1).astype(
                np.float32
            ),
        )
        for clip in clips
    ]


def _shuffle(clips: Sequence[Footage], strength: float) -> list[Footage]:
    """Up to three of five frames of each clip in another order; beyond that hardly a pair is left to part."""
    shuffled = []
    for index, clip in enumerate(clips):
        order = np.arange(len(clip.frames))
        moved = np.random.default_rng([3, index]).permutation(len(order))[
            : round(0.6 * strength * len(order))
        ]
        order[moved] = np.roll(moved, 1)
        shuffled.append(replace(clip, frames=clip.frames[order]))
    return shuffled


def _shift(clips: Sequence[Footage], strength: float) -> list[Footage]:
    """Sound late by up to half a second."""
    return [replace(clip, sound=_later(clip.sound, round(0.5 * strength * clip.rate))) for clip in clips]


def _later(sound: npt.NDArray[np.float32], samples: int) -> npt.NDArray[np.float32]:
    return np.concatenate([np.zeros(samples, np.float32), sound])[: len(sound)]


def _some_late(clips: Sequence[Footage], strength: float) -> list[Footage]:
    """A share of the clips with sound late by a quarter of a second."""
    late = np.random.default_rng(6).permutation(len(clips))[: round(strength * len(clips))]
    return [
        replace(clip, sound=_later(clip.sound, clip.rate // 4)) if index in late else clip
        for index, clip in enumerate(clips)
    ]


def _slightly_late(clips: Sequence[Footage], strength: float) -> list[Footage]:
    """Sound late by up to 90 ms, within what counts as in sync."""
    return [replace(clip, sound=_later(clip.sound, round(0.09 * strength * clip.rate))) for clip in clips]


def _wrong_prompts(clips: Sequence[Footage], strength: float) -> list[Footage]:
    """A share of the clips with each other's prompts."""
    return [
        replace(clip, prompt=clips[other].prompt)
        for clip, other in zip(clips, _exchanged(len(clips), strength), strict=True)
    ]


def _wrong_sounds(clips: Sequence[Footage], strength: float) -> list[Footage]:
    """A share of the clips with each other's sounds."""
    return [
        replace(clip, sound=clips[other].sound)
        for clip, other in zip(clips, _exchanged(len(clips), strength), strict=True)
    ]


def _exchanged(count: int, strength: float) -> npt.NDArray[np.int64]:
    """For each place whose it gets: its own, or that of another in a share of them."""
    taken = np.arange(count)
    moved = np.random.default_rng(4).permutation(count)[: round(strength * count)]
    taken[moved] = np.roll(moved, 1)
    return taken


def _recolour(clips: Sequence[Footage], strength: float) -> list[Footage]:
    """In up to two of five frames red and green change places, which turns objects into others."""
    changed = []
    for index, clip in enumerate(clips):
        frames = clip.frames.copy()
        count = round(0.4 * strength * len(frames))
        places = np.random.default_rng([5, index]).permutation(len(frames))[:count]
        frames[places] = frames[places][..., [1, 2, 0]]
        changed.append(replace(clip, frames=frames))
    return changed


def _louder(clips: Sequence[Footage], strength: float) -> list[Footage]:
    """Sound amplified into the limits."""
    return [
        replace(clip, sound=np.clip(clip.sound * np.float32(10.0 ** (1.5 * strength)), -1, 1))
        for clip in clips
    ]


def _levels(pictures: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8)


_SOUND = ("loudness", "clipped", "mel_frechet", "false_onsets")
_PICTURE = ("motion", "flicker", "identity", "following_colour", "following_shape", "following_direction")
LADDERS = (
    Ladder("blur", _blur, {}, (*_SOUND, "following_colour"), pairs={"psnr": "down", "ssim": "down"}),
    Ladder(
        "noise in the picture",
        _picture_noise,
        {"flicker": "up", "motion": "up"},
        (*_SOUND, "following_colour"),
        pairs={"psnr": "down", "ssim": "down"},
    ),
    Ladder(
        "noise in the sound",
        _sound_noise,
        {"mel_frechet": "up", "mel_mmd": "up"},
        _PICTURE,
        pairs={"stft": "up"},
    ),
    Ladder(
        "frames shuffled",
        _shuffle,
        {"motion": "up", "flicker": "up"},
        (*_SOUND[:3], "identity", "following_colour"),
    ),
    Ladder("sound late by 0 to 500 ms", _shift, {"sync_lag": "up"}, _PICTURE),
    Ladder(  # AV-Align is all or nothing in the lateness of one clip: it matches within a frame
        "sound late in some clips", _some_late, {"av_align": "down"}, ("motion", "flicker"), footage="impacts"
    ),
    Ladder("sound late by 0 to 90 ms", _slightly_late, {"sync_error": "up", "sync_lag": "up"}, _PICTURE),
    Ladder(
        "wrong sounds",
        _wrong_sounds,
        {"sync_share_50ms": "down", "sync_share_100ms": "down", "false_onsets": "up"},
        ("loudness", "clipped", "mel_frechet", *_PICTURE),
    ),
    Ladder(
        "wrong prompts",
        _wrong_prompts,
        {
            "following_all": "down",
            "following_colour": "down",
            "following_shape": "down",
            "following_direction": "down",
            "following_pitch": "down",
        },
        ("sync_share_100ms", "motion", *_SOUND),
    ),
    Ladder("objects change", _recolour, {"identity": "down"}, _SOUND[:3]),
    Ladder("too loud", _louder, {"loudness": "up", "clipped": "up"}, _PICTURE, pairs={"stft": "up"}),
)
