"""What a judge is asked, and what it looks at."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Evidence:
    """What a judge looks at: JPEG pictures in time order, a WAV sound, an MP4 video."""

    images: tuple[bytes, ...] = ()
    audio: bytes | None = None
    video: bytes | None = None


@dataclass(frozen=True)
class Question:
    """A prompt about evidence.

    Attributes:
        prompt: the text.
        content: digests that name the evidence, so that an answer is found again without loading it.
        load: reads the evidence; called only where the question must be asked, in a thread.
        review: looks at the answer; a question that it gives is asked instead, once.
    """

    prompt: str
    content: tuple[str, ...]
    load: Callable[[], Evidence]
    review: Callable[[Any], "Question | None"] | None = None
