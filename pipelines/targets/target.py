"""What a target supplies to the one pipeline."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Target:
    """A place where the pipeline runs.

    Attributes:
        name: names the compiled file.
        images: the image of each pool.
        place: puts a task on the machines of a pool.
    """

    name: str
    images: Mapping[str, str]
    place: Callable[[Any, str], None]
