"""Reading a file that lies outside a store, by its path or URI and the digest that it must have."""

from pathlib import Path

import fsspec

from veo_core.errors import UsageError
from veo_core.records.base import sha256_bytes
from veo_core.storage.access import access_to


def read_file(place: str | Path, *, where: str, most_bytes: int | None = None) -> bytes:
    """The bytes of a file.

    Args:
        place: a path, or a URI of any kind that fsspec knows.
        where: what the message of an error calls it.
        most_bytes: how large it may be, None for any size.

    Raises:
        UsageError: there is no such file, it cannot be read, or it is larger.
    """
    with access_to(where):
        try:
            with fsspec.open(str(place), "rb") as stream:
                data: bytes = stream.read() if most_bytes is None else stream.read(most_bytes + 1)
        except FileNotFoundError:
            raise UsageError(f"{where}: there is no such file") from None
        except (ImportError, ValueError, OSError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise UsageError(f"{where}: cannot be read: {reason}") from None
    if most_bytes is not None and len(data) > most_bytes:
        raise UsageError(f"{where}: larger than {most_bytes // 1_000_000} MB, which it must not be")
    return data


def read_pinned(place: str | Path, sha256: str, *, where: str) -> bytes:
    """The bytes of a file that must have this sha256.

    Raises:
        UsageError: it cannot be read, or it is another file.
    """
    data = read_file(place, where=where)
    check_sha256(data, sha256, where=where)
    return data


def check_sha256(data: bytes, expected: str, *, where: str) -> str:
    """The sha256 of `data`, which must begin with `expected`.

    Raises:
        UsageError: it does not.
    """
    found = sha256_bytes(data)
    if not found.startswith(expected):
        raise UsageError(
            f"{where}: its sha256 is {found}, expected {expected}: fetch the file again, or state the digest "
            "of the one that you mean"
        )
    return found
