"""What can be wrong with footage: one function a flaw, from a clean take or file to a flawed one."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from veo_core.world.attributes import Direction, SceneAttributes
from veo_core.world.scene import Scene
from veo_core.world.take import Take, shoot
from veo_core.world.truth import Flaw, WorldSpec

SHORT, LONG = 0.3, 3.0  # of the spec's length
OVERSIZED_SIDE = 1024  # pixels of an over-sized picture's short side, or twice the spec's where that is more

_HORIZONTAL: dict[Direction, Direction] = {"left": "right", "right": "left", "up": "up", "down": "down"}
_VERTICAL: dict[Direction, Direction] = {"left": "left", "right": "right", "up": "down", "down": "up"}
_WORDS = ("BREAKING", "SUBSCRIBE", "LIVE NOW", "SALE 50%", "PREVIEW", "CHANNEL 7")

Alter = Callable[[Take, np.random.Generator], str]
"""Alters a take in place, drawing from the generator; returns the flaw's parameters in words."""


def mirrored(attributes: SceneAttributes, *, horizontal: bool) -> SceneAttributes:
    """What a scene shows when its picture is flipped, left with right or top with bottom."""
    turn = _HORIZONTAL if horizontal else _VERTICAL
    objects = tuple(o.model_copy(update={"direction": turn[o.direction]}) for o in attributes.objects)
    return attributes.model_copy(update={"objects": objects})


def _reencoded(take: Take, rng: np.random.Generator) -> str:
    crf = int(rng.integers(28, 35))
    take.encoding |= {"crf": crf, "preset": "ultrafast", "gop_seconds": 2.0}
    return f"crf {crf}"


def _cropped(take: Take, rng: np.random.Generator) -> str:
    """Cut 3 to 8 % off each side and scale back, as re-uploads do to hide borders."""
    height, width = take.frames.shape[1:3]
    share = rng.uniform(0.03, 0.08, 4)
    top, bottom, left, right = (
        max(1, round(s * n)) for s, n in zip(share, (height, height, width, width), strict=True)
    )
    inside = take.frames[:, top : height - bottom, left : width - right]
    take.frames = _resize(inside, height, width)
    take.encoding |= {"crf": 23}
    return f"cut {top}, {bottom}, {left}, {right} pixels off top, bottom, left, right"


def _letterboxed(take: Take, rng: np.random.Generator) -> str:
    """Put the picture between two black bars, at the sides or above and below, in a longer format."""
    share = rng.uniform(0.12, 0.18)
    axis = 2 if rng.random() < 0.5 else 1
    bar = max(1, round(share * take.frames.shape[axis]))
    padding = [(0, 0)] * 4
    padding[axis] = (bar, bar)
    take.frames = np.pad(take.frames, padding)
    take.encoding |= {"crf": 23}
    return f"bars of {bar} pixels {'at the sides' if axis == 2 else 'above and below'}"


def flip(take: Take, *, horizontal: bool) -> str:
    """Flip the picture, left with right or top with bottom, and what its shots say of directions."""
    take.frames = np.ascontiguousarray(take.frames[:, :, ::-1] if horizontal else take.frames[:, ::-1])
    take.shots = tuple(
        shot.model_copy(update={"attributes": mirrored(shot.attributes, horizontal=horizontal)})
        for shot in take.shots
    )
    take.encoding |= {"crf": 23}
    return "left with right" if horizontal else "top with bottom"


def _retimed(take: Take, rng: np.random.Generator) -> str:
    """Play everything at another speed; the tones change their pitch with it, too little to be renamed."""
    factor = (0.8, 1.2)[int(rng.integers(2))]
    assert take.audio is not None
    old = take.audio[0]
    positions = np.arange(int(len(old) / factor)) * factor
    take.audio = np.interp(positions, np.arange(len(old)), old).astype(np.float32)[None]
    take.fps *= factor
    take.shots = tuple(
        shot.model_copy(
            update={
                "start": shot.start / factor,
                "seconds": shot.seconds / factor,
                "contacts": tuple(t / factor for t in shot.contacts),
            }
        )
        for shot in take.shots
    )
    take.onsets = tuple(t / factor for t in take.onsets)
    take.encoding |= {"crf": 23}
    return f"{factor} times as fast"


def _logo(take: Take, rng: np.random.Generator) -> str:
    """A channel's mark in a corner: a light disc with a dark letter."""
    height, width = take.frames.shape[1:3]
    side = min(height, width)
    radius = round(0.09 * side)
    right, bottom = rng.random() < 0.5, rng.random() < 0.5
    centre = (
        width - radius - side // 32 - 1 if right else radius + side // 32,
        height - radius - side // 32 - 1 if bottom else radius + side // 32,
    )
    for frame in take.frames:
        cv2.circle(frame, centre, radius, (236, 236, 236), -1, cv2.LINE_AA)
        points = np.array([(-0.45, -0.5), (0.0, 0.5), (0.45, -0.5)]) * radius + centre
        cv2.polylines(
            frame, [points.round().astype(np.int32)], False, (40, 40, 40), max(1, side // 64), cv2.LINE_AA
        )
    take.encoding |= {"crf": 23}
    return f"{'bottom' if bottom else 'top'} {'right' if right else 'left'} corner"


def _blurred(take: Take, rng: np.random.Generator) -> str:
    sigma = rng.uniform(0.05, 0.07) * min(take.frames.shape[1:3])
    take.frames = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in take.frames])
    return f"sigma {sigma:.1f} pixels"


def _too_dark(take: Take, rng: np.random.Generator) -> str:
    gain = rng.uniform(0.06, 0.12)
    take.frames = (take.frames * gain).astype(np.uint8)
    return f"gain {gain:.2f}"


def _too_bright(take: Take, rng: np.random.Generator) -> str:
    gain = rng.uniform(0.06, 0.12)
    take.frames = (255 - (255 - take.frames) * gain).astype(np.uint8)
    return f"contrast {gain:.2f} below white"


def _static(take: Take, rng: np.random.Generator) -> str:
    take.frames = np.repeat(take.frames[:1], len(take.frames), axis=0)
    take.shots = tuple(shot.model_copy(update={"contacts": ()}) for shot in take.shots)
    return "the first frame throughout"


def _silent(take: Take, rng: np.random.Generator) -> str:
    take.onsets = ()
    if rng.random() < 0.5:
        take.audio = None
        return "no sound track"
    assert take.audio is not None
    take.audio = np.zeros_like(take.audio)
    return "a sound track of silence"


def _clipped_sound(take: Take, rng: np.random.Generator) -> str:
    gain = float(rng.uniform(30.0, 60.0))
    assert take.audio is not None
    take.audio = np.clip(take.audio * np.float32(gain), -1.0, 1.0)
    return f"gain {gain:.0f}"


def _burnt_in_text(take: Take, rng: np.random.Generator) -> str:
    text = _WORDS[int(rng.integers(len(_WORDS)))]
    height, width = take.frames.shape[1:3]
    (base_width, base_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 1.0, 1)
    scale = min(0.8 * width / base_width, 0.16 * height / base_height)
    thickness = max(1, round(1.6 * scale))
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, thickness)
    at_top = rng.random() < 0.3
    corner = (
        (width - text_width) // 2,
        round(0.06 * height) + text_height if at_top else round(0.92 * height),
    )
    edge = max(1, min(height, width) // 100)
    strokes = [((0, 0, 0), dx, dy) for dx in (-edge, edge) for dy in (-edge, edge)] + [
        ((255, 255, 255), 0, 0)
    ]
    for frame in take.frames:
        for colour, dx, dy in strokes:
            origin = (corner[0] + dx, corner[1] + dy)
            cv2.putText(frame, text, origin, cv2.FONT_HERSHEY_DUPLEX, scale, colour, thickness, cv2.LINE_AA)
    return f"{text!r} at the {'top' if at_top else 'bottom'}"


def _oversized(take: Take, rng: np.random.Generator) -> str:
    height, width = take.frames.shape[1:3]
    factor = max(2, -(-OVERSIZED_SIDE // min(height, width)))
    take.frames = _resize(take.frames, factor * height, factor * width)
    take.encoding |= {"preset": "ultrafast"}
    return f"{factor * width}x{factor * height} pixels"


# Flaws of a clean take; those of the duplicates apply to the take of another clip.
ALTER: dict[Flaw, Alter] = {
    "reencoded": _reencoded,
    "cropped": _cropped,
    "letterboxed": _letterboxed,
    "retimed": _retimed,
    "logo": _logo,
    "blurred": _blurred,
    "too_dark": _too_dark,
    "too_bright": _too_bright,
    "static": _static,
    "silent": _silent,
    "clipped_sound": _clipped_sound,
    "burnt_in_text": _burnt_in_text,
    "oversized": _oversized,
}


def two_shots(first: Take, second: Take) -> str:
    """Append a second take of the same format to the first, with a hard cut between them."""
    assert first.audio is not None
    assert second.audio is not None
    offset = len(first.frames) / first.fps
    first.frames = np.concatenate([first.frames, second.frames])
    first.audio = np.concatenate([first.audio, second.audio], axis=1)
    first.shots += tuple(shot.model_copy(update={"start": offset}) for shot in second.shots)
    first.onsets += tuple(offset + t for t in second.onsets)
    return f"cut at {offset:.4f} s"


def shoot_out_of_sync(scene: Scene, spec: WorldSpec, rng: np.random.Generator) -> tuple[Take, str]:
    """A take whose sound is 0.3 to 0.5 s late or early; at least one tone remains."""
    late = float(rng.uniform(0.3, 0.5))
    early = shoot(scene, spec, lag=-late) if rng.random() < 0.5 else None
    if early is not None and early.onsets:
        return early, f"sound {late:.3f} s early"
    return shoot(scene, spec, lag=late), f"sound {late:.3f} s late"


def shoot_variable_frame_rate(scene: Scene, spec: WorldSpec, rng: np.random.Generator) -> tuple[Take, str]:
    """A take with uneven frame times, as telephones record: a quarter of the frames lost, the rest late."""
    regular = np.arange(round(spec.seconds * spec.fps))
    kept = regular[(rng.random(len(regular)) >= 0.25) | (regular == 0) | (regular == regular[-1])]
    late = rng.uniform(0.0, 0.4, len(kept)) * (kept > 0)
    pts = (kept + late) / spec.fps
    return shoot(scene, spec, pts=pts), f"{len(kept)} of {len(regular)} frames"


def corrupt(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits in the file's index, so that its frames can no longer be found."""
    damaged = bytearray(data)
    start = data.index(b"moov") - 4
    size = int.from_bytes(data[start : start + 4], "big")
    for position in start + rng.integers(0, size, max(64, size // 16)):
        damaged[position] ^= 1 << int(rng.integers(8))
    damaged[start + 4 : start + 8] = bytes(byte ^ 0x20 for byte in b"moov")
    return bytes(damaged)


def truncate(data: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Cut the file off, as an upload that broke does."""
    share = float(rng.uniform(0.35, 0.75))
    return data[: int(share * len(data))], f"{share:.2f} of the bytes"


def _resize(frames: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.stack(
        [
            cv2.resize(np.ascontiguousarray(frame), (width, height), interpolation=cv2.INTER_LINEAR)
            for frame in frames
        ]
    )
