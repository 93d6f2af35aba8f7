"""From the pixels that a file codes to the upright picture with square pixels that a viewer sees."""

from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

UInt8 = npt.NDArray[np.uint8]

_SHARP_SCALE = 0.75  # above it bicubic scaling keeps more detail than area means


@dataclass(frozen=True)
class Geometry:
    """How a coded picture is shown.

    Attributes:
        width, height: coded pixels.
        aspect: width of a coded pixel by its height.
        turns: quarter turns against the clock that set the coded picture upright.
    """

    width: int
    height: int
    aspect: float
    turns: int

    @classmethod
    def of(cls, frame: av.VideoFrame, stream: av.VideoStream) -> "Geometry":
        """From a decoded frame's display matrix and its stream's sample aspect ratio."""
        ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        aspect = float(ratio) if ratio else 1.0
        aspect = aspect if 1 / 8 <= aspect <= 8 else 1.0
        return cls(frame.width, frame.height, aspect, round(frame.rotation / 90) % 4)

    @property
    def shown(self) -> tuple[float, float]:
        """(height, width) of the upright picture in square pixels."""
        width = self.width * self.aspect
        return (width, float(self.height)) if self.turns % 2 else (float(self.height), width)

    @property
    def is_plain(self) -> bool:
        """Whether the coded picture is what is shown."""
        return self.turns == 0 and abs(self.aspect - 1.0) < 1e-3

    def coded_size(self, scale: float) -> tuple[int, int]:
        """(height, width) of the coded picture, with square pixels, `scale` times the shown one's size."""
        height, width = max(2, round(self.height * scale)), max(2, round(self.width * self.aspect * scale))
        return height, width


class Scaler:
    """Scales pictures in one thread; keeps FFmpeg's tables from one picture to the next.

    Full-range formats ("gray", "yuvj420p", "rgb24") have levels from 0 to 255.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame, height: int, width: int, pixels: str) -> av.VideoFrame:
        scale = max(height / frame.height, width / frame.width)
        method = Interpolation.BICUBIC if scale > _SHARP_SCALE else Interpolation.AREA
        known = ColorRange(frame.color_range) if frame.color_range in (1, 2) else None
        return self._reformatter.reformat(
            frame, width, height, pixels, interpolation=method, src_color_range=known, threads=1
        )


def plane(frame: av.VideoFrame, index: int = 0) -> UInt8:
    """A view of one plane of 8-bit samples, uint8 [h, w]; it lives as long as the frame does."""
    return planes(frame)[index]


def planes(frame: av.VideoFrame) -> list[UInt8]:
    """`plane` of every plane."""
    return [
        np.frombuffer(part, np.uint8).reshape(part.height, part.line_size)[:, : part.width]
        for part in frame.planes
    ]


def crop_upright(
    frame: av.VideoFrame, geometry: Geometry, bars: tuple[float, float, float, float]
) -> av.VideoFrame:
    """A yuv420p picture upright and without bars.

    Args:
        frame: a picture in its coded orientation.
        geometry: how it is shown.
        bars: shares of the upright height (top, bottom) and width (left, right) to cut off.
    """
    if not geometry.turns and not any(bars):
        return frame
    upright = [np.rot90(part, geometry.turns) for part in planes(frame)]
    height, width = upright[1].shape
    top, bottom = (int(np.ceil(share * height)) for share in bars[:2])
    left, right = (int(np.ceil(share * width)) for share in bars[2:])
    cut = [
        part[size * top : size * (height - bottom), size * left : size * (width - right)]
        for part, size in zip(upright, (2, 1, 1), strict=True)
    ]
    made = av.VideoFrame(cut[0].shape[1], cut[0].shape[0], "yuv420p")
    for index, part in enumerate(cut):
        plane(made, index)[:] = part
    made.colorspace, made.color_range = frame.colorspace, frame.color_range
    return made
