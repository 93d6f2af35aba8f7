"""Generated clips in the store of a server, and the way back to those that left."""

from dataclasses import dataclass

from veo_core.generate.finish import FinishedClip, Finisher
from veo_core.generate.pipeline import Film
from veo_core.generate.request import Request
from veo_core.records.files import FileRef
from veo_core.storage import Store


@dataclass(frozen=True)
class Published:
    """A clip in the store. uri: where it lies; of a local store, its path on this server."""

    uri: str
    ref: FileRef
    clip: FinishedClip


def publish(film: Film, request: Request, fps: float, finisher: Finisher, store: Store) -> Published:
    """Finish a clip as an MP4 file with sound and put it into the store.

    Raises:
        UsageError: the clip cannot be finished, or the store cannot be written.
    """
    stored = finisher.put(film, request, store, fps=fps)
    clip, ref = stored.clip, stored.file
    store.set_mark(_mark(ref.sha256), ref.to_bytes())
    uri = f"{store.root}/{ref.path}" if "://" in store.root else f"/clips/{ref.sha256}.mp4"
    return Published(uri, ref, clip)


def published(sha256: str, store: Store) -> bytes | None:
    """The bytes of a clip that a server published; None for anything else that the store may hold.

    Raises:
        UsageError: the clip is missing or was altered.
    """
    mark = store.get_mark(_mark(sha256))
    return None if mark is None else store.get_bytes(FileRef.model_validate_json(mark))


def _mark(sha256: str) -> str:
    return f"served/{sha256[:2]}/{sha256}"
