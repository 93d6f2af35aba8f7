"""Blurring what a policy demands in a prepared clip: its pictures, its key frames, its hashes."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.errors import ItemError
from veo_core.media.geometry import Scaler, plane
from veo_core.media.hashes import hash_hex, phash
from veo_core.media.redraw import Planes, redraw
from veo_core.media.regions import Box, boxes_over_time, pixelate
from veo_core.media.verify import verify
from veo_core.records.base import Record
from veo_core.records.clip import Clip, Flag, MediaFacts, Region
from veo_core.records.files import FileRef
from veo_core.storage import Store

_JPEG_QUALITY = 92
_HASHED_SIDE = 128


class Redaction(Record):
    """A clip to blur, and where."""

    clip_id: str
    media: FileRef
    fps: float
    frames: int
    key_frames: list[FileRef]
    hashes: int = Field(description="how many frames have a perceptual hash")
    regions: list[Region]
    padding: float = Field(description="margin around a box, as a share of its size")
    crf: int | None = None

    @classmethod
    def of(cls, clip: Clip, flags: Sequence[Flag], padding: float, crf: int | None) -> "Redaction":
        return cls(
            clip_id=clip.clip_id,
            media=clip.media,
            fps=clip.facts.fps,
            frames=clip.facts.frames,
            key_frames=clip.key_frames,
            hashes=len(clip.frame_hashes),
            regions=[region for flag in flags for region in flag.regions],
            padding=padding,
            crf=crf,
        )


class Redacted(Record):
    """What a blurred clip became; `rule` and `evidence` say why where it became nothing."""

    clip_id: str
    media: FileRef | None = None
    facts: MediaFacts | None = None
    key_frames: list[FileRef] = Field(default_factory=list)
    frame_hashes: list[str] = Field(default_factory=list)
    rule: str = ""
    evidence: str = ""

    def applied_to(self, clip: Clip) -> Clip:
        """The clip with the blurred files. Its signals stay: they are about the source's shot."""
        return clip.model_copy(
            update={
                "media": self.media,
                "facts": self.facts,
                "key_frames": self.key_frames,
                "frame_hashes": self.frame_hashes,
            }
        )


def redact_all(items: Sequence[bytes], *, store: Store) -> list[Redacted]:
    """Blur clips, given as the bytes of `Redaction` records; one that cannot be read back is of no use."""
    results = []
    for item in items:
        wanted = Redaction.model_validate_json(item)
        try:
            results.append(redact(wanted, store))
        except ItemError as error:
            results.append(Redacted(clip_id=wanted.clip_id, rule=error.rule, evidence=str(error)))
    return results


def redact(wanted: Redaction, store: Store) -> Redacted:
    """Pixelate the regions through the whole clip, and in its key frames.

    Raises:
        ItemError: rule "unverified": the new file is not what the old one was.
    """
    seen_at = spread(wanted.frames, len(wanted.key_frames))
    seen = [
        [
            Box(region.x0, region.y0, region.x1, region.y1)
            for region in wanted.regions
            if region.frame == number
        ]
        for number in range(len(wanted.key_frames))
    ]
    hidden = boxes_over_time(seen, seen_at, wanted.frames, padding=wanted.padding)
    hashed = set(spread(wanted.frames, wanted.hashes))
    hashes = []

    def hide(number: int, planes: Planes) -> None:
        for box in hidden[number]:
            for samples in planes:
                pixelate(samples, box)
        if number in hashed:
            hashes.append(hash_hex(phash(_small(planes[0]))))

    with tempfile.TemporaryDirectory(prefix="veo-redact-") as name:
        folder = Path(name)
        target = folder / "clip.mp4"
        redraw(store.local_path(wanted.media, folder), target, hide, fps=wanted.fps, crf=wanted.crf)
        facts = verify(target, fps=wanted.fps, frames=wanted.frames, made_by="transcode")
        media = store.put_file(target)
    key_frames = [
        _blurred(ref, hidden[frame], store) for ref, frame in zip(wanted.key_frames, seen_at, strict=True)
    ]
    return Redacted(
        clip_id=wanted.clip_id, media=media, facts=facts, key_frames=key_frames, frame_hashes=hashes
    )


def spread(length: int, count: int) -> list[int]:
    """`count` indices from the first to the last of `length`, as prepare takes its key frames."""
    return [int(index) for index in np.linspace(0, length - 1, count).round()]


def _small(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The picture at the size at which hashes are measured, scaled without OpenCV's threads."""
    height, width = luma.shape
    scale = min(1.0, _HASHED_SIDE / min(height, width))
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(luma), format="gray")
    return plane(Scaler()(frame, round(height * scale), round(width * scale), "gray")).copy()


def _blurred(ref: FileRef, boxes: Sequence[Box], store: Store) -> FileRef:
    if not boxes:
        return ref
    picture = cv2.imdecode(np.frombuffer(store.get_bytes(ref), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    for box in boxes:
        pixelate(picture, box)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return store.put_bytes(data.tobytes(), ".jpg")
