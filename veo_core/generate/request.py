"""What one clip is to be made from."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.records.drawing import SamplerConfig
from veo_core.records.generated import Mode


@dataclass(frozen=True, eq=False)
class Request:
    """One clip to make.

    prompt: the caption; empty generates without one.
    seed: of the clip's noise.
    sampler: how it is drawn.
    image: the picture that it starts with, uint8 [height, width, 3] of the model's size.
    video: pictures to make the sound for, uint8 [frames, height, width, 3] of the model's size and rate.
    audio: sound to make the pictures for, float32 [samples] in [-1, 1] at the model's rate.
    """

    prompt: str
    seed: int = 0
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    image: npt.NDArray[np.uint8] | None = None
    video: npt.NDArray[np.uint8] | None = None
    audio: npt.NDArray[np.float32] | None = None

    @property
    def mode(self) -> Mode:
        """What it is made from besides the prompt."""
        if self.video is not None:
            return "v2a"
        if self.audio is not None:
            return "a2v"
        return "t2v" if self.image is None else "i2v"

    @property
    def kind(self) -> tuple[bool, bool, bool, SamplerConfig]:
        """Requests of the same kind share batches."""
        return self.image is not None, self.video is not None, self.audio is not None, self.sampler


def check_given(request: Request, clip: ClipSpec) -> None:
    """Whether what is given fits a model of such clips.

    Raises:
        UsageError: something has a wrong shape, or excludes the rest.
    """
    if request.video is not None and (request.image is not None or request.audio is not None):
        raise UsageError("a video is given to make its sound: give no image and no sound with it")
    _check_shape("image", request.image, (clip.height, clip.width, 3))
    _check_shape("video", request.video, (clip.frames, clip.height, clip.width, 3))
    _check_shape("sound", request.audio, (clip.samples,))


def _check_shape(name: str, given: npt.NDArray[np.generic] | None, expected: tuple[int, ...]) -> None:
    if given is not None and given.shape != expected:
        raise UsageError(f"the {name} has shape {list(given.shape)}, the model expects {list(expected)}")
