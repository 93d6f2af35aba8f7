"""Files that the pages show: only those that the run refers to, as they leave the store."""

import re
import threading
from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow.compute as pc

from veo_core.errors import UsageError
from veo_core.explorer.clip_index import ClipIndex, open_index
from veo_core.explorer.findings import find_entry, find_generated, find_scores
from veo_core.explorer.library import Run
from veo_core.explorer.model import model_files
from veo_core.explorer.training import sample_media
from veo_core.provenance.copies import as_it_leaves
from veo_core.records.files import FileRef

TYPES = {
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".wav": "audio/wav",
}
"""Media types by suffix; all else is bytes to download."""

_SHA = re.compile(r"[0-9a-f]{64}")
_OBJECT = re.compile(r"objects/[0-9a-f]{2}/([0-9a-f]{64})(\.[A-Za-z0-9]+)*")
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_THUMB_SIDE, _THUMB_QUALITY = 224, 80
_SMALL, _LARGE, _LARGEST = 12_000, 200_000, 8_000_000
"""Bytes of pictures that are handed out as they are, decoded at a quarter of their size, and not decoded."""


@dataclass(frozen=True)
class Served:
    """A file to hand out: an object of the store, or bytes that lie inside of one."""

    ref: FileRef | None
    data: bytes | None
    type: str
    name: str


class Media:
    """The files of one run.

    Args:
        run: the run, as it was when it was opened.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._index: ClipIndex | None = None
        self._indexing = threading.Lock()
        self._made = _made(run)
        self._samples: dict[str, tuple[bytes, str]] | None = None
        made = {clip.media.sha256 for clip in find_generated(run.evidence)}
        scores = find_scores(run.evidence)
        self._generated = made | {score.media.sha256 for score in scores if score.group == "generated"}

    @property
    def index(self) -> ClipIndex:
        """The index of its clips."""
        with self._indexing:
            if self._index is None:
                self._index = open_index(self._run)
            return self._index

    def find(self, sha256: str) -> Served:
        """The file of this digest; of a generated clip, its signed copy where there is one.

        Raises:
            UsageError: the run refers to no such file.
        """
        if _SHA.fullmatch(sha256):
            ref = self._made.get(sha256) or self._of_clips(sha256)
            if ref is not None:
                leaving = as_it_leaves(self._run.store, ref) if sha256 in self._generated else ref
                return _served(leaving)
            data = self._of_training(sha256)
            if data is not None:
                return Served(None, *data, name=sha256[:12])
        raise UsageError(f"run {self._run.folder.name} refers to no file {sha256[:64]!r}")

    def generated(self, clip: str) -> FileRef:
        """A generated clip's file before signing.

        Raises:
            UsageError: the run has no such clip.
        """
        if clip not in self._made or not self._made[clip].path.endswith(".mp4"):
            raise UsageError(f"run {self._run.folder.name} has no generated clip {clip[:64]!r}")
        return self._made[clip]

    def thumbnail(self, clip: str) -> bytes:
        """A small JPEG of a clip's first key frame.

        Raises:
            UsageError: the run has no such clip, or its picture is missing.
        """
        found = self.index.find(clip) if _SHA.fullmatch(clip) else []
        row = self.index.rows.slice(found[0], 1).to_pylist()[0] if found else {}
        frame = row["frames"][0] if row.get("frames") else ""
        if not _SHA.fullmatch(frame):
            raise UsageError(f"run {self._run.folder.name} has no picture of clip {clip[:64]!r}")
        return small_jpeg(self._run.store.get_bytes(_object(frame, row["frame_suffix"])))

    def _of_clips(self, sha256: str) -> FileRef | None:
        """A prepared clip or a key frame."""
        rows = self.index.rows
        at = pc.index(rows.column("media"), sha256).as_py()
        if at >= 0:
            row = rows.slice(at, 1).to_pylist()[0]
            return _object(sha256, row["suffix"], int(row["media_bytes"]))
        frames = rows.column("frames")
        at = pc.index(frames.flatten(), sha256).as_py()
        if at < 0:
            return None
        parent = pc.list_parent_indices(frames)[at].as_py()
        return _object(sha256, rows.column("frame_suffix")[parent].as_py())

    def _of_training(self, sha256: str) -> tuple[bytes, str] | None:
        if self._samples is None:
            self._samples = sample_media(self._run.evidence)
        return self._samples.get(sha256)


def _made(run: Run) -> dict[str, FileRef]:
    """What the run generated and registered, by sha256."""
    refs: list[FileRef | None] = []
    for clip in find_generated(run.evidence):
        refs += [clip.media, clip.first_frame, clip.first_frame_rebuilt]
    for score in find_scores(run.evidence):
        refs += [score.media, score.poster, score.first_frame, score.first_frame_rebuilt]
    entry = find_entry(run.evidence)
    refs += model_files(entry).values() if entry else []
    return {ref.sha256: ref for ref in refs if ref is not None and _is_object(ref)}


def _is_object(ref: FileRef) -> bool:
    """Whether the path is that of the object of this digest, whatever a table says."""
    found = _OBJECT.fullmatch(ref.path)
    return found is not None and found[1] == ref.sha256


def _object(sha256: str, suffix: str, size: int = 0) -> FileRef:
    """An object of the store as the index knows it; 0 bytes where it does not know the size."""
    return FileRef(path=f"objects/{sha256[:2]}/{sha256}{suffix}", sha256=sha256, bytes=size)


def _served(ref: FileRef) -> Served:
    if not _is_object(ref):
        raise UsageError(f"{ref.path!r} is no object of the store")
    name = ref.path.rsplit("/", 1)[-1]
    suffix = name.rsplit(".", 1)[-1].lower()
    return Served(ref, None, TYPES.get(f".{suffix}", "application/octet-stream"), name)


def small_jpeg(data: bytes) -> bytes:
    """A picture of at most `_THUMB_SIDE` pixels; one that is small already as it is.

    Args:
        data: a JPEG or PNG file.

    Raises:
        UsageError: it is none, or has more than `_LARGEST` bytes.
    """
    is_jpeg = data.startswith(_JPEG)
    if (not is_jpeg and not data.startswith(_PNG)) or len(data) > _LARGEST:
        raise UsageError("a key frame is no picture, or too large")
    flag = cv2.IMREAD_COLOR if len(data) <= _LARGE else cv2.IMREAD_REDUCED_COLOR_4
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if picture is None:
        raise UsageError("a key frame is no picture: it cannot be decoded")
    height, width = picture.shape[:2]
    scale = _THUMB_SIDE / max(height, width)
    if scale >= 1 and is_jpeg and len(data) <= _SMALL:
        return data
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _THUMB_QUALITY])
    return bytes(encoded)
