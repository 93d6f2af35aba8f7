"""Small pictures of frames, from which everything about a shot is measured."""

from dataclasses import dataclass

import av
import cv2
import numpy as np
import numpy.typing as npt

from veo_core.media.geometry import Geometry, Scaler, UInt8, plane, planes

THUMBNAIL = 16
_UNIT = 2 * THUMBNAIL
_MOST_PIXELS = 1 << 16  # of a view: OpenCV would use threads beyond it, on which a forked process can hang

# ITU-R BT.601 at full range: red, green, blue from luma and two differences of colour that are 0 at 128.
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
_AT_ZERO = _TO_RGB @ np.array([[0], [128], [128]], np.float32)


@dataclass(frozen=True)
class View:
    """One frame at analysis size.

    Attributes:
        time: presentation time in seconds from the file's first frame.
        small: the frame at analysis size in its coded orientation, full-range 4:2:0.
        turns: quarter turns against the clock that set it upright.
    """

    time: float
    small: av.VideoFrame
    turns: int

    @property
    def luma(self) -> UInt8:
        """Upright luma, 0 to 255, uint8 [h, w]."""
        coded = plane(self.small)
        return np.ascontiguousarray(np.rot90(coded, self.turns) if self.turns else coded)

    def thumbnail(self) -> npt.NDArray[np.float32]:
        """Mean red, green and blue of THUMBNAIL x THUMBNAIL cells, float32 [3, h * w]."""
        cells = np.empty((3, THUMBNAIL, THUMBNAIL), np.uint8)
        for part, small in zip(planes(self.small), cells, strict=True):
            cv2.resize(part, small.shape, dst=small, interpolation=cv2.INTER_AREA)
        return _TO_RGB @ cells.reshape(3, -1).astype(np.float32) - _AT_ZERO


class Viewer:
    """Makes views of the frames of one file.

    Args:
        geometry: how its pictures are shown.
        short_side: pixels of a view's shorter side, about; smaller pictures keep their size.
    """

    def __init__(self, geometry: Geometry, short_side: int) -> None:
        height, width = geometry.shown
        scale = min(1.0, short_side / min(height, width), (_MOST_PIXELS / (height * width)) ** 0.5)
        self._geometry = geometry
        self._size = geometry.coded_size(scale)
        if scale < 1.0:
            # Whole multiples of what views are reduced to: means of whole pixels are taken much faster.
            height, width = (max(_UNIT, _UNIT * round(side / _UNIT)) for side in self._size)
            self._size = (height, width)
        self._scaler = Scaler()
        self._to_rgb = Scaler()
        self.scale = scale

    def __call__(self, frame: av.VideoFrame, time: float) -> View:
        return View(time, self._scaler(frame, *self._size, "yuvj420p"), self._geometry.turns)

    def rgb(self, view: View) -> UInt8:
        """The upright picture, uint8 [h, w, 3]."""
        picture = self._to_rgb(view.small, *self._size, "rgb24").to_ndarray()
        return np.ascontiguousarray(np.rot90(picture, view.turns))
