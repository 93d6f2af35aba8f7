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
    """The signed file of a content, which may be gone; None where it was not signed in this store."""
    mark = store.get_mark(_mark(content_sha256))
    return None if mark is None else SignedCopy.model_validate_json(mark)


def as_it_leaves(store: Store, media: FileRef) -> FileRef:
    """A clip's signed file, or the clip itself where it was not signed.

    A signed file that is gone is named all the same: the clip without its manifest does not stand in for it.
    """
    copy = find_copy(store, media.sha256)
    return media if copy is None else copy.file


def _mark(content_sha256: str) -> str:
    return f"signed/{content_sha256[:2]}/{content_sha256}"
