"""What a source of footage lists and gives."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from veo_core.errors import ItemError
from veo_core.records.base import sha256_bytes
from veo_core.sources.provenance import Provenance

MAX_MANIFEST_BYTES = 32 << 20
MEDIA_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm"})


@dataclass(frozen=True, slots=True)
class Item:
    """One file that a source lists; small, because a source may list millions.

    Attributes:
        name: what people call it: a path below the source's place, or a URL without its query.
        revision: text that changes when the file does or what is said of it.
        size: bytes, 0 where the source does not say.
        details: the source's own knowledge of the item as JSON.
    """

    name: str
    revision: str
    size: int = 0
    details: bytes = b""

    @property
    def identity(self) -> str:
        """What tells this item at this revision from all others of its source."""
        return f"{self.name}\n{self.revision}"


@dataclass(frozen=True)
class Media:
    """An item's file on this machine.

    Attributes:
        path: the file; a temporary one unless the source is a local folder.
        suffix: what its name ends in, such as ".mp4".
        retrieved_at: when it was downloaded, ISO 8601; "" where nothing was.
        mark: name of the mark that is to say where the file is stored; "" for none.
        manifest: the C2PA manifest store that lies beside the file as `NAME.c2pa`, None where none does.
    """

    path: Path
    suffix: str
    retrieved_at: str = ""
    mark: str = ""
    manifest: bytes | None = None


class OversizedError(ItemError):
    """A file is larger than the limit; `size` is as many bytes as it is known to have."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__("over_sized", f"{size} bytes, at most {limit} are allowed")
        self.size = size
        self.limit = limit


class Origin(Protocol):
    """What gives the items of a source. It is small and picklable: other processes take in its items."""

    @property
    def kind(self) -> str:
        """What `Source.origin` says."""

    @property
    def parallel(self) -> int:
        """How many items one process fetches at a time."""

    @property
    def untrusted(self) -> bool:
        """Whether files are checked to be media before they are stored."""

    def source_id(self, item: Item) -> str:
        """The item's id where it is known before its bytes are; "" where they are at hand and decide it."""

    def provenance(self, item: Item, scratch: Path) -> Provenance:
        """What is said of the item, learnt without fetching its bytes.

        Args:
            item: one that the source lists.
            scratch: a folder of this item's own.

        Raises:
            ItemError: rule "sidecar": what is said cannot be read.
        """

    def fetch(self, item: Item, scratch: Path) -> Media:
        """The item's bytes as a local file, in `scratch` where they have to be brought.

        Raises:
            OversizedError: they are more than the limit allows.
            ItemError: they cannot be had.
        """


def source_id_of(name: str, content: str) -> str:
    """The id of a source file: of its name with its content, because two names may hold the same bytes.

    Args:
        name: what the source calls the file.
        content: sha256 of the bytes, or what stands for it before they are here.
    """
    return sha256_bytes(f"{name}\n{content}".encode())


def is_media_name(name: str) -> bool:
    """Whether a file's name says that it is a video."""
    base = name.rsplit("/", 1)[-1]
    return not base.startswith(".") and suffix_of(base) in MEDIA_SUFFIXES


def suffix_of(name: str) -> str:
    """The ending of a file name in lower case, "" where there is none."""
    return Path(name).suffix.lower()
