"""The signed file of a clip in a store.

A clip's identity is its file before signing, which equal inputs make equal everywhere: a signature holds
random bytes and names its operator. The signed file lies beside it, and is what leaves.
"""

from veo_core.records.base import Record
from veo_core.records.files import FileRef
from veo_core.storage import Store


class SignedCopy(Record):
    """A signed file, and a digest of what its manifest says and who signed it."""

    statement: str
    file: FileRef


def put_copy(store: Store, content_sha256: str, copy: SignedCopy) -> None:
    """Make it the signed file of the content."""
    store.set_mark(_mark(content_sha256), copy.to_bytes())


def find_copy(store: Store, content_sha256: str) -> SignedCopy | None:
    """The signed file of a content; None where it was not signed in this store, or the file is gone."""
    mark = store.get_mark(_mark(content_sha256))
    copy = None if mark is None else SignedCopy.model_validate_json(mark)
    return copy if copy is not None and store.has(copy.file) else None


def as_it_leaves(store: Store, media: FileRef) -> FileRef:
    """A clip's signed file, or the clip itself where it has none."""
    copy = find_copy(store, media.sha256)
    return media if copy is None else copy.file


def _mark(content_sha256: str) -> str:
    return f"signed/{content_sha256[:2]}/{content_sha256}"
