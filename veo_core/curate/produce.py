"""From one source file to its prepared shots: the untrusted work of the prepare stage.

It runs in a child process, reads one file, and writes its results into a folder.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

import av
import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, StringConstraints

from veo_core.curate.hash_list import PictureHash, picture_hashes
from veo_core.errors import ItemError
from veo_core.media.encode import CodecName, encode_frames
from veo_core.media.geometry import Scaler, UInt8, crop_upright, plane
from veo_core.media.hashes import hash_hex, phash
from veo_core.media.measure import SoundTrack, measure
from veo_core.media.opening import Limits, open_media, undecodable
from veo_core.media.passes import Pass, Sound, check_not_cut_off
from veo_core.media.remux import Copyable, can_copy, remux
from veo_core.media.signals import luma_of
from veo_core.media.signature import moments, signature_of
from veo_core.media.survey import Shot, Wanted, survey
from veo_core.media.verify import verify
from veo_core.media.views import View
from veo_core.records.base import Record
from veo_core.records.clip import MediaFacts, Signals

_GOP_SECONDS = 1.0
_MEASURED = 3  # pictures on which sharpness is measured
_CHANNELS = 2  # sound with more channels is mixed down


class Spec(Record):
    """What a prepared clip is, and how it is measured."""

    short_side: int = Field(default=512, ge=16, multiple_of=2, description="pixels of the shorter side")
    fps: float = Field(default=24.0, gt=0, description="frames per second")
    frames: int = Field(default=121, ge=2, description="frames of a clip; a shorter shot is dropped")
    audio_rate: int = Field(default=48_000, gt=0, description="samples of sound per second")
    codec: CodecName = Field(default="h264", description="what encodes the pictures: h264, av1 or vp9")
    crf: int | None = Field(
        default=None, ge=0, le=63, description="constant rate factor; 18 for h264, 28 for av1 and vp9 if null"
    )
    copy_packets: bool = Field(
        default=True, description="copy a shot that meets the specification already instead of a transcode"
    )
    analysis_side: int = Field(default=128, ge=32, description="shorter side of the measured pictures")
    key_frames: int = Field(default=4, ge=1, description="JPEG pictures for the judges")
    hashed_frames: int = Field(default=5, ge=1, description="pictures with a perceptual hash")
    cut_threshold: float = Field(default=18.0, gt=0, description="least change of a cut, in levels of 255")
    max_bytes: int = Field(default=20_000_000, gt=0, description="a larger prepared clip is dropped")
    max_source_bytes: int = Field(default=1 << 30, gt=0, description="larger files are not opened")
    max_shot_seconds: float = Field(default=60.0, gt=0, description="a longer shot is dropped")
    max_seconds: float = Field(default=120.0, gt=0, description="longer files are not decoded")
    max_pixels: int = Field(default=4096 * 2304, gt=0, description="larger pictures are not decoded")

    @property
    def seconds(self) -> float:
        """From the first frame to the last one of a clip."""
        return (self.frames - 1) / self.fps

    @property
    def picture_side(self) -> int:
        """Shorter side of the key frames."""
        return max(self.analysis_side, self.short_side)

    @property
    def limits(self) -> Limits:
        return Limits(
            max_bytes=self.max_source_bytes, max_seconds=self.max_seconds, max_pixels=self.max_pixels
        )


FileName = Annotated[str, StringConstraints(pattern=r"^[0-9a-z-]*(\.(mp4|jpg))?$")]


class ShotReport(Record):
    """One shot: the files it became, or the rule that dropped it. File names are those in the folder."""

    shot: int
    start: float
    rule: str = ""
    value: float = 0.0
    threshold: float = 0.0
    media: FileName = ""
    key_frames: list[FileName] = Field(default_factory=list)
    facts: MediaFacts | None = None
    signals: Signals | None = None
    frame_hashes: list[str] = Field(default_factory=list)
    signature: str = ""
    shot_seconds: float = 0.0

    def with_duration_gap(self, gap: float | None) -> Self:
        """With what is known only once the whole file is decoded."""
        if self.signals is None:
            return self
        return self.model_copy(update={"signals": self.signals.model_copy(update={"duration_gap": gap})})


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
    source = FilePass(path, spec, hash_pictures=hash_pictures)
    try:
        reports = [ClipMaker(shot, source, folder).report() for shot in source.shots()]
        reports = [report.with_duration_gap(source.duration_gap) for report in reports]
        return FileReport(packet_hash=source.packet_hash, shots=reports, pictures=source.picture_hashes())
    except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise undecodable(error) from None
    except cv2.error as error:
        if error.code != cv2.Error.StsNoMem:
            raise
        raise ItemError("memory", "OpenCV ran out of memory") from None


@dataclass
class FilePass:
    """One pass over a file: first its sound, which is small, then its pictures shot by shot.

    Attributes:
        path: the file.
        spec: what is wanted of it.
        hash_pictures: whether to keep what `picture_hashes` needs.
    """

    path: Path
    spec: Spec
    hash_pictures: bool = False
    _pictures: list[UInt8] = field(default_factory=list)
    _times: list[float] = field(default_factory=list)

    def shots(self) -> Iterator[Shot]:
        """The shots in their order, each as soon as it has been decoded."""
        spec = self.spec
        wanted = Wanted(
            fps=spec.fps,
            frames=spec.frames,
            short_side=spec.picture_side,
            analysis_side=spec.analysis_side,
            cut_threshold=spec.cut_threshold,
            max_shot_seconds=spec.max_shot_seconds,
        )
        with open_media(self.path, spec.limits) as container:
            heard = Pass(container, spec.limits, pictures=False)
            self._sound = (
                Sound(heard.audio, rate=spec.audio_rate, channels=_CHANNELS) if heard.audio else None
            )
            for frame in heard.frames():
                if self._sound is not None:
                    self._sound.add(frame)
        with open_media(self.path, spec.limits) as container:
            self.seen = Pass(container, spec.limits, sound=False)
            yield from survey(self.seen, wanted, look=self._look if self.hash_pictures else None)
            check_not_cut_off(container, heard, self.seen)
        self.packet_hash = hashlib.sha256(b"".join(self.seen.digests + heard.digests)).hexdigest()

    @cached_property
    def sound(self) -> SoundTrack:
        """The file's sound; known once its first picture is."""
        rate = self.spec.audio_rate
        samples = None if self._sound is None else self._sound.samples(self.seen.times[0])
        if samples is None:
            return SoundTrack(np.zeros((1, 0), np.float32), rate, is_there=False)
        return SoundTrack(samples, rate, is_there=True)

    @property
    def duration_gap(self) -> float | None:
        """Seconds by which the sound is longer than the picture, once all is decoded; None without sound."""
        if not self.sound.is_there:
            return None
        picture = self.seen.times[-1] - self.seen.times[0] + self.seen.seconds_between()
        return float(self.sound.samples.shape[1] / self.sound.rate - picture)

    def picture_hashes(self) -> list[PictureHash]:
        """Hashes of a picture of each second, none if none were asked for."""
        return picture_hashes(np.stack(self._pictures), np.array(self._times)) if self._pictures else []

    def _look(self, view: View) -> None:
        if view.time >= len(self._times):
            self._pictures.append(view.luma)
            self._times.append(view.time)


class ClipMaker:
    """Makes the clip that a shot becomes.

    Args:
        shot: the shot, ended.
        source: the pass that gave it.
        folder: where files go.
    """

    def __init__(self, shot: Shot, source: FilePass, folder: Path) -> None:
        self._shot = shot
        self._source = source
        self._folder = folder
        self._spec = source.spec
        self._scaler = Scaler()

    def report(self) -> ShotReport:
        """Write the clip and its key frames and measure the shot, unless a rule drops it.

        Raises:
            ItemError: the clip does not verify.
        """
        shot, spec = self._shot, self._spec
        for rule, limit, broken in (
            ("too_short", spec.seconds, shot.seconds < spec.seconds),
            ("too_long", spec.max_shot_seconds, shot.seconds > spec.max_shot_seconds),
        ):
            if broken:
                return self._dropped(rule, shot.seconds, limit)
        media = self._folder / f"{shot.index}.mp4"
        facts = self._write(media)
        size = media.stat().st_size
        if size > spec.max_bytes:
            media.unlink()
            return self._dropped("too_large", size, spec.max_bytes)
        return self.findings().model_copy(update={"media": media.name, "facts": facts})

    def findings(self) -> ShotReport:
        """Everything but the clip's file: key frames, signals, hashes, signature."""
        shot = self._shot
        return ShotReport(
            shot=shot.index,
            start=shot.start,
            key_frames=self._write_key_frames(),
            signals=measure(shot, self._source.sound, self._sound, self._measured()),
            frame_hashes=self._hashes(),
            signature=signature_of(shot.pictures_at(moments(shot.seconds))).to_text(),
            shot_seconds=shot.seconds,
        )

    def _dropped(self, rule: str, value: float, limit: float) -> ShotReport:
        return ShotReport(
            shot=self._shot.index, start=self._shot.start, rule=rule, value=value, threshold=limit
        )

    @property
    def _sound(self) -> npt.NDArray[np.float32]:
        """The clip's sound, float32 [c, l]."""
        spec = self._spec
        length = round(spec.frames / spec.fps * spec.audio_rate)
        return self._source.sound.exactly(self._shot.start, length)

    def _write(self, media: Path) -> MediaFacts:
        """The clip's file: the source's packets where they are what is wanted, else a transcode."""
        spec, shot = self._spec, self._shot
        if spec.copy_packets and self._can_copy():
            try:
                remux(self._source.path, media, shot.first_pts, frames=spec.frames, fps=spec.fps)
                return verify(media, fps=spec.fps, frames=spec.frames, made_by="remux")
            except (ItemError, av.error.FFmpegError, ValueError):
                pass  # the container holds something that cannot be copied; its pictures did decode
        frames = self._frames(spec.short_side, range(spec.frames))
        height, width = self._size(spec.short_side)
        encode_frames(
            media,
            frames,
            height=height,
            width=width,
            fps=spec.fps,
            audio=self._sound,
            audio_rate=spec.audio_rate,
            codec=spec.codec,
            crf=spec.crf,
            gop_seconds=_GOP_SECONDS,
        )
        return verify(media, fps=spec.fps, frames=spec.frames, made_by="transcode")

    def _can_copy(self) -> bool:
        spec, shot = self._spec, self._shot
        wanted = Copyable(
            codec=spec.codec,
            short_side=spec.short_side,
            fps=spec.fps,
            frames=spec.frames,
            gop_seconds=_GOP_SECONDS,
            audio_rate=spec.audio_rate,
        )
        is_plain = shot.geometry.is_plain and not any(shot.bars) and shot.first_pts is not None
        seen = self._source.seen
        return is_plain and can_copy(seen.container, seen.packets, shot.first_pts, wanted)

    def _size(self, short_side: int) -> tuple[int, int]:
        """(height, width) of the picture without bars at a short side, even."""
        top, bottom, left, right = self._shot.bar_shares
        height, width = self._shot.geometry.shown
        height, width = height * (1 - top - bottom), width * (1 - left - right)
        scale = short_side / min(height, width)
        return 2 * round(height * scale / 2), 2 * round(width * scale / 2)

    def _frames(
        self, short_side: int, indices: range | list[int], pixels: str = "yuv420p"
    ) -> Iterator[av.VideoFrame]:
        """Pictures of the excerpt, upright, without bars, at a short side."""
        shot, size = self._shot, self._size(short_side)
        last: av.VideoFrame | None = None
        for index in indices:
            picture = shot.excerpt[index]
            if picture is not last:
                last = picture
                shown = self._scaler(crop_upright(picture, shot.geometry, shot.bar_shares), *size, pixels)
            yield shown

    def _measured(self) -> UInt8:
        """Luma of pictures spread over the clip, uint8 [t, h, w]."""
        chosen = _spread(self._spec.frames, _MEASURED)
        frames = self._frames(self._spec.picture_side, chosen, "gray")
        return np.stack([plane(frame).copy() for frame in frames])

    def _write_key_frames(self) -> list[str]:
        """JPEG files of pictures spread over the clip."""
        names = []
        chosen = _spread(self._spec.frames, self._spec.key_frames)
        for number, frame in enumerate(self._frames(self._spec.picture_side, chosen, "bgr24")):
            name = f"{self._shot.index}-{number}.jpg"
            _, data = cv2.imencode(".jpg", frame.to_ndarray(), [cv2.IMWRITE_JPEG_QUALITY, 92])
            (self._folder / name).write_bytes(data.tobytes())
            names.append(name)
        return names

    def _hashes(self) -> list[str]:
        """Perceptual hashes of pictures at regular times of the shot."""
        ticks = np.linspace(0.0, self._shot.last, self._spec.hashed_frames)
        return [hash_hex(phash(luma)) for luma in luma_of(self._shot.pictures_at(ticks))]


def _spread(length: int, count: int) -> list[int]:
    """At most `count` different indices spread over `length`, the first and the last among them."""
    return sorted({round(index) for index in np.linspace(0, length - 1, min(count, length))})
