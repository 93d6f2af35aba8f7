"""The operator's list of content that must go no further.

A text file with one hash a line: 64 hexadecimal digits are the sha256 of a file, 16 are the perceptual
hash of a picture (`veo_core.media.hashes`). Lines that start with `#` are comments.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from veo_core.errors import UsageError
from veo_core.media.hashes import hamming
from veo_core.records.base import sha256_bytes

_FILE, _PICTURE = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class HashList:
    """Hashes of files, and of pictures within `distance` bits."""

    files: frozenset[str]
    pictures: tuple[int, ...]
    distance: int

    @classmethod
    def load(cls, path: str, digest: str, distance: int) -> "HashList":
        """Read a list; without a path it is empty.

        Args:
            path: the list's file.
            digest: its sha256: a changed list must change the configuration, so that the stage runs anew.
            distance: bits in which a picture's hash may differ from a listed one.

        Raises:
            UsageError: the file is missing, holds something else, or has another digest.
        """
        if not path:
            return cls(frozenset(), (), distance)
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise UsageError(f"hash list {path}: {error.strerror}") from None
        if sha256_bytes(data) != digest:
            raise UsageError(f"hash list {path}: set hash_list_sha256 to its digest, {sha256_bytes(data)}")
        files, pictures = set(), []
        for number, line in enumerate(data.decode(errors="replace").lower().splitlines(), 1):
            entry = line.strip()
            if _FILE.fullmatch(entry):
                files.add(entry)
            elif _PICTURE.fullmatch(entry):
                pictures.append(int(entry, 16))
            elif entry and not entry.startswith("#"):
                raise UsageError(f"hash list {path}, line {number}: neither 64 nor 16 hexadecimal digits")
        return cls(frozenset(files), tuple(pictures), distance)

    def lists_file(self, sha256: str) -> bool:
        return sha256 in self.files

    def lists_any_picture(self, hashes: Sequence[str]) -> bool:
        """Whether one of the perceptual hashes (hexadecimal) is near a listed one."""
        return any(
            hamming(int(text, 16), listed) <= self.distance for text in hashes for listed in self.pictures
        )
