"""From one source file to its prepared shots: the untrusted work of the prepare stage.

It runs in a child process, reads one file, and writes its results into a folder.
"""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.curate.hash_list import PictureHash, picture_hashes
from veo_core.errors import ItemError
from veo_core.media.decode import Decoded, Limits, decode, frames_at
from veo_core.media.encode import encode
from veo_core.media.hashes import hash_hex, phash
from veo_core.media.shots import find_cuts
from veo_core.media.signals import find_bars, luma_of, motion, overlay_text, sharpness
from veo_core.media.signature import signature_of
from veo_core.media.sound import clipped_share, loudness, onsets
from veo_core.media.sync import lag
from veo_core.media.visual_events import motion_events
from veo_core.records.base import Record
from veo_core.records.clip import MediaFacts, Signals

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


class Spec(Record):
    """What a prepared clip is, and how it is measured."""

    short_side: int = Field(default=64, ge=16, multiple_of=2, description="pixels of the shorter side")
    fps: float = Field(default=8.0, gt=0, description="frames per second")
    frames: int = Field(default=17, ge=2, description="frames of a clip; a shorter shot is dropped")
    audio_rate: int = Field(default=48_000, gt=0, description="samples of sound per second")
    crf: int = Field(default=18, ge=0, le=51, description="x264's constant rate factor")
    analysis_side: int = Field(default=128, ge=32, description="shorter side of the measured pictures")
    key_frames: int = Field(default=4, ge=1, description="JPEG pictures for the judges")
    hashed_frames: int = Field(default=5, ge=1, description="pictures with a perceptual hash")
    cut_threshold: float = Field(default=18.0, gt=0, description="least change of a cut, in levels of 255")
    max_bytes: int = Field(default=20_000_000, gt=0, description="larger files are not opened")
    max_shot_seconds: float = Field(default=60.0, gt=0, description="a longer shot is dropped")
    max_seconds: float = Field(default=120.0, gt=0, description="longer files are not decoded")
    max_pixels: int = Field(default=4096 * 2304, gt=0, description="larger pictures are not decoded")

    @property
    def seconds(self) -> float:
        """From the first frame to the last one of a clip."""
        return (self.frames - 1) / self.fps


class ShotReport(Record):
    """One shot: the files it became, or the rule that dropped it. File names are those in the folder."""

    shot: int
    start: float
    rule: str = ""
    value: float = 0.0
    threshold: float = 0.0
    media: str = ""
    key_frames: list[str] = Field(default_factory=list)
    facts: MediaFacts | None = None
    signals: Signals | None = None
    frame_hashes: list[str] = Field(default_factory=list)
    signature: str = ""


class FileReport(Record):
    """What became of one source file."""

    packet_hash: str
    shots: list[ShotReport]
    pictures: list[PictureHash] = Field(default_factory=list, description="to match with hash lists")


def produce(path: Path, folder: Path, spec: Spec, *, hash_pictures: bool = False) -> FileReport:
    """Decode a file once; write an MP4 and JPEG key frames for each shot that is long enough.

    With `hash_pictures` the report holds hashes of its pictures to match with hash lists.

    Raises:
        ItemError: the file cannot be decoded, exceeds a limit, or an output does not verify.
    """
    limits = Limits(
        max_bytes=spec.max_bytes,
        max_seconds=spec.max_seconds,
        max_pixels=spec.max_pixels,
        max_decoded_bytes=2 << 30,
    )
    decoded = decode(
        path,
        limits=limits,
        max_short_side=max(spec.analysis_side, spec.short_side),
        audio_rate=spec.audio_rate,
        mono=True,
    )
    first = [0, *find_cuts(decoded.frames, threshold=spec.cut_threshold), len(decoded.frames)]
    shots = [
        _shot(_Shot.cut(decoded, index, begin, end), folder, spec)
        for index, (begin, end) in enumerate(pairwise(first))
    ]
    pictures = picture_hashes(decoded.frames, decoded.pts) if hash_pictures else []
    return FileReport(packet_hash=decoded.packet_hash, shots=shots, pictures=pictures)


class _Shot:
    """A shot's frames [t, h, w, 3], their times from its start, and its mono sound [l]."""

    def __init__(self, index: int, start: float, decoded: Decoded) -> None:
        self.index = index
        self.start = start
        self.decoded = decoded
        self.samples = np.zeros(0, np.float32) if decoded.audio is None else decoded.audio[0]

    @classmethod
    def cut(cls, decoded: Decoded, index: int, begin: int, end: int) -> "_Shot":
        start = float(decoded.pts[begin])
        stop = float(decoded.pts[end]) if end < len(decoded.pts) else decoded.seconds
        audio = None
        if decoded.audio is not None:
            rate = decoded.audio_rate
            audio = decoded.audio[:, round(start * rate) : round(stop * rate)]
        piece = Decoded(
            decoded.frames[begin:end],
            decoded.pts[begin:end] - start,
            audio,
            decoded.audio_rate,
            (end - begin) / (stop - start),
        )
        return cls(index, start, piece)


def _shot(shot: _Shot, folder: Path, spec: Spec) -> ShotReport:
    decoded = shot.decoded
    for rule, limit, broken in (
        ("too_short", spec.seconds, decoded.seconds < spec.seconds),
        ("too_long", spec.max_shot_seconds, decoded.seconds > spec.max_shot_seconds),
    ):
        if broken:
            return ShotReport(
                shot=shot.index, start=shot.start, rule=rule, value=decoded.seconds, threshold=limit
            )
    luma = luma_of(decoded.frames)
    top, bottom, left, right = find_bars(luma)
    height, width = luma.shape[1:]
    inside = (slice(None), slice(top, height - bottom), slice(left, width - right))
    bars = 1.0 - (height - top - bottom) * (width - left - right) / (height * width)
    frames, luma = decoded.frames[inside], luma[inside]

    chosen = frames_at(decoded, spec.fps, spec.frames)
    sound = _fit(shot.samples, round(spec.frames / spec.fps * spec.audio_rate))
    media = folder / f"{shot.index}.mp4"
    encode(
        media,
        _resized(frames[chosen], spec.short_side),
        fps=spec.fps,
        audio=sound[None],
        crf=spec.crf,
        audio_rate=spec.audio_rate,
    )
    kept = luma[: int(chosen[-1]) + 1]
    return ShotReport(
        shot=shot.index,
        start=shot.start,
        media=media.name,
        facts=_verify(media, spec),
        key_frames=_key_frames(frames[chosen], folder, shot.index, spec),
        signals=Signals(
            motion=motion(kept),
            sharpness=sharpness(kept),
            luma=float(kept.mean()),
            contrast=float(kept.std(axis=(1, 2)).mean()),
            text=overlay_text(kept),
            bars=bars,
            loudness=loudness(sound),
            clipped=clipped_share(sound),
            sync=lag(
                onsets(shot.samples, spec.audio_rate),
                motion_events(luma, decoded.pts),
                tolerance=0.07,
                furthest=1.0,
            ),
        ),
        frame_hashes=_hashes(luma, spec.hashed_frames),
        signature=signature_of(frames, decoded.pts, decoded.seconds).to_text(),
    )


def _fit(samples: Float32, length: int) -> Float32:
    """Exactly `length` samples: cut, or filled with silence."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def _resized(frames: UInt8, short_side: int) -> UInt8:
    height, width = frames.shape[1:3]
    scale = short_side / min(height, width)
    size = (2 * round(width * scale / 2), 2 * round(height * scale / 2))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, size, interpolation=method) for frame in frames]).astype(np.uint8)


def _key_frames(frames: UInt8, folder: Path, shot: int, spec: Spec) -> list[str]:
    """JPEG files of pictures spread over the clip."""
    names = []
    for number, index in enumerate(_spread(len(frames), spec.key_frames)):
        name = f"{shot}-{number}.jpg"
        _, data = cv2.imencode(
            ".jpg", cv2.cvtColor(frames[index], cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92]
        )
        (folder / name).write_bytes(data.tobytes())
        names.append(name)
    return names


def _hashes(luma: UInt8, count: int) -> list[str]:
    return [hash_hex(phash(luma[index])) for index in _spread(len(luma), count)]


def _spread(length: int, count: int) -> list[int]:
    """`count` indices from the first to the last of `length`."""
    return [int(index) for index in np.linspace(0, length - 1, count).round()]


def _verify(media: Path, spec: Spec) -> MediaFacts:
    """Read a prepared file back.

    Raises:
        ItemError: rule "unverified": it is not what the specification asks for.
    """
    back = decode(media)
    assert back.audio is not None
    audio_seconds = back.audio.shape[1] / back.audio_rate
    problems = {
        "frames": len(back.frames) != spec.frames,
        "first time": abs(back.start) > 1e-6,
        "frame rate": bool(np.abs(np.diff(back.pts) - 1 / spec.fps).max() > 1e-3),
        "length of sound": abs(audio_seconds - back.seconds) > 1 / spec.fps,
    }
    wrong = [name for name, bad in problems.items() if bad]
    if wrong:
        raise ItemError("unverified", f"the prepared file has another {wrong[0]} than asked for")
    height, width = back.frames.shape[1:3]
    return MediaFacts(
        width=width,
        height=height,
        fps=spec.fps,
        frames=len(back.frames),
        seconds=back.seconds,
        audio_rate=back.audio_rate,
        audio_seconds=audio_seconds,
    )
