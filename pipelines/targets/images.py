"""The images of the remote targets, by digest."""

import re
from collections.abc import Mapping
from pathlib import Path

from veo_core.errors import UsageError
from veo_core.records.base import read_yaml

DIGEST = re.compile(r"^[^@\s]+@sha256:[0-9a-f]{64}$")


class Images:
    """The content of an images.lock.json: an image's name, such as "curate" -> REPOSITORY@sha256:DIGEST."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            UsageError: the file cannot be read, or one of its images is named by a tag.
        """
        images = read_yaml(path)
        if not isinstance(images, Mapping):
            raise UsageError(f"{path}: expected image names with their digests; run `make push`")
        for name, image in images.items():
            if not DIGEST.match(str(image)):
                raise UsageError(
                    f"{path}: {name}: {image} is no digest, REPOSITORY@sha256:...; run `make push`"
                )
        self._path = path
        self._images: Mapping[str, str] = images

    def __getitem__(self, name: str) -> str:
        """The image of that name.

        Raises:
            UsageError: there is none.
        """
        if name not in self._images:
            raise UsageError(f"{self._path}: no image {name!r}; run `make push`")
        return self._images[name]
