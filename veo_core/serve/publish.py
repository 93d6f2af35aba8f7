"""The one way out for generated clips, and the way back to those that left."""

import io
from dataclasses import dataclass

from veo_core.generate.pipeline import Film
from veo_core.media.encode import encode
from veo_core.records.files import FileRef
from veo_core.storage import Store


@dataclass(frozen=True)
class Published:
    """A clip in the store, and its bytes. uri: where it lies; of a local store, its path on this server."""

    uri: str
    ref: FileRef
    data: bytes


def publish(film: Film, fps: float, store: Store) -> Published:
    """Encode a clip as an MP4 file with sound and put it into the store.

    Every clip that a server gives away passes here: what all of them must carry is added here.

    Raises:
        UsageError: the store cannot be written.
    """
    buffer = io.BytesIO()
    encode(buffer, film.frames, fps=fps, audio=film.audio[None], audio_rate=film.audio_rate)
    data = buffer.getvalue()
    ref = store.put_bytes(data, ".mp4")
    store.set_mark(_mark(ref.sha256), ref.to_bytes())
    uri = f"{store.root}/{ref.path}" if "://" in store.root else f"/clips/{ref.sha256}.mp4"
    return Published(uri, ref, data)


def published(sha256: str, store: Store) -> bytes | None:
    """The bytes of a clip that a server published; None for anything else that the store may hold.

    Raises:
        UsageError: the clip is missing or was altered.
    """
    mark = store.get_mark(_mark(sha256))
    return None if mark is None else store.get_bytes(FileRef.model_validate_json(mark))


def _mark(sha256: str) -> str:
    return f"served/{sha256[:2]}/{sha256}"
