"""What the output judge sees and hears of a generated clip, stored so that a reviewer sees the same."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.errors import ItemError
from veo_core.judges.evidence import Evidence, Question
from veo_core.media.decode import decode
from veo_core.media.sound import wav_bytes
from veo_core.records.base import Record
from veo_core.records.files import FileRef
from veo_core.storage import Store

_JPEG_QUALITY = 95


class ClipView(Record):
    """JPEG frames in time order and the sound of a clip, or why there are none."""

    clip_id: str = Field(description="sha256 of the media file")
    frames: list[FileRef] = Field(default_factory=list)
    sound: FileRef | None = None
    problem: str = ""

    def question(self, prompt: str, store: Store) -> Question:
        """A question about this view."""
        refs = [*self.frames, *([self.sound] if self.sound else [])]
        return Question(
            prompt=prompt,
            content=tuple(ref.sha256 for ref in refs),
            load=lambda: Evidence(
                images=tuple(store.get_bytes(frame) for frame in self.frames),
                audio=store.get_bytes(self.sound) if self.sound else None,
            ),
        )


def view_clips(media: Sequence[FileRef], *, root: str, frames: int, side: int) -> list[ClipView]:
    """The views of generated files.

    Args:
        media: MP4 files in the store.
        root: the store's root.
        frames: how many frames to show, evenly spread from the first to the last.
        side: frames with a longer side are scaled down to it, in pixels.
    """
    store = Store(root)
    with tempfile.TemporaryDirectory() as folder:
        return [_view(ref, store, Path(folder), frames, side) for ref in media]


def _view(ref: FileRef, store: Store, folder: Path, count: int, side: int) -> ClipView:
    try:
        decoded = decode(store.local_path(ref, folder), mono=True)
    except ItemError as error:
        return ClipView(clip_id=ref.sha256, problem=f"{error.rule}: {error}")
    chosen = np.unique(np.linspace(0, len(decoded.frames) - 1, count).round().astype(int))
    sound = None
    if decoded.audio is not None:
        sound = store.put_bytes(wav_bytes(decoded.audio[0], decoded.audio_rate), ".wav")
    pictures = [store.put_bytes(_jpeg(decoded.frames[index], side), ".jpg") for index in chosen]
    return ClipView(clip_id=ref.sha256, frames=pictures, sound=sound)


def _jpeg(picture: npt.NDArray[np.uint8], side: int) -> bytes:
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    written, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert written
    return bytes(data)
