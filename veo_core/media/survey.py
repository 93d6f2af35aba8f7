"""The one pass over a file's pictures: its shots, each with what is measured and made from it.

Memory depends neither on a file's length nor on its pictures' size: of each shot there remain the pictures of
its excerpt, small views of that excerpt, a limited number of views of the whole shot, and 4 kB a frame for
finding events.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import av
import numpy as np
import numpy.typing as npt

from veo_core.media.geometry import Geometry, Scaler, UInt8
from veo_core.media.passes import Pass
from veo_core.media.shots import LOOKAHEAD, CutFinder
from veo_core.media.signals import Bars, find_bars
from veo_core.media.views import View, Viewer
from veo_core.media.visual_events import events_of, reduced

_SAMPLES = 160  # views kept of a whole shot, at most
_ROOM = 1.4  # a buffered picture's short side, in short sides of the excerpt: bars may be cropped


@dataclass(frozen=True)
class Wanted:
    """What is to be made of a shot.

    Attributes:
        fps, frames: frame rate and number of pictures of the excerpt from its start.
        short_side: pixels of the excerpt's shorter side.
        analysis_side: shorter side of the measured views.
        cut_threshold: least change of a cut, in levels of 255.
        max_shot_seconds: of a longer shot nothing is kept.
        buffer_bytes: what the excerpt's pictures may take before they are scaled down.
    """

    fps: float
    frames: int
    short_side: int
    analysis_side: int = 128
    cut_threshold: float = 18.0
    max_shot_seconds: float = 60.0
    buffer_bytes: int = 192 << 20

    @property
    def seconds(self) -> float:
        """From the first picture of an excerpt to its last."""
        return (self.frames - 1) / self.fps


class Shot:
    """A shot while it is decoded, and what is known of it afterwards.

    Attributes:
        index: number of the shot in its file.
        start: seconds from the file's first frame.
        first_pts: presentation timestamp of its first frame in the stream's time base.
        seconds: its length, once the next shot or the end of the file is known.
        geometry: how the pictures of the excerpt are shown.
        excerpt: the pictures on show at `start`, `start + 1/fps`, ..., yuv420p in their coded orientation;
            the same object where the same picture is still on show.
    """

    def __init__(
        self, index: int, first: "_Seen", geometry: Geometry, viewer: Viewer, wanted: Wanted
    ) -> None:
        self.index = index
        self.start = first.view.time
        self.first_pts = first.frame.pts
        self.seconds = 0.0
        self.geometry = geometry
        self.excerpt: list[av.VideoFrame] = []
        self._wanted = wanted
        self._viewer = viewer
        self._buffered = _Buffered(geometry, wanted)
        self._shown: av.VideoFrame | None = None
        self._window: list[View] = []
        self._samples: list[View] = []
        self._stride = 1
        self._events: list[npt.NDArray[np.float32]] = []
        self._times: list[float] = []

    def add(self, seen: "_Seen") -> None:
        """Take the next frame."""
        time = seen.view.time - self.start
        if time > self._wanted.max_shot_seconds:
            self._forget()
            return
        if self._shown is not None:
            self._show_until(time)
        self._shown = seen.frame
        if len(self._times) % self._stride == 0:
            self._samples.append(seen.view)
        if len(self._samples) > _SAMPLES:
            self._samples, self._stride = self._samples[::2], 2 * self._stride
        self._times.append(time)
        if time <= self._wanted.seconds + 1e-6:
            self._window.append(seen.view)
        else:
            self._events.append(reduced(seen.view.luma[self._inside]))

    def end(self, seconds: float) -> None:
        """The shot is `seconds` long."""
        self.seconds = seconds
        if seconds > self._wanted.max_shot_seconds:
            self._forget()
        elif self._shown is not None:
            self._show_until(np.inf)

    def _show_until(self, time: float) -> None:
        """The picture on show fills the excerpt's places before `time`."""
        assert self._shown is not None
        kept = None
        wanted = self._wanted
        while len(self.excerpt) < wanted.frames and len(self.excerpt) / wanted.fps + 1e-6 < time:
            kept = kept or self._buffered(self._shown)
            self.excerpt.append(kept)

    def _forget(self) -> None:
        self.excerpt, self._window, self._samples, self._events = [], [], [], []
        self._shown = None

    @cached_property
    def luma(self) -> UInt8:
        """Luma of the excerpt's time at analysis size, with bars, uint8 [t, h, w]."""
        return np.stack([view.luma for view in self._window])

    @cached_property
    def bars(self) -> Bars:
        """Widths of black bars in pixels of `luma`, as `find_bars` measures them."""
        return find_bars(self.luma)

    @property
    def bar_shares(self) -> tuple[float, float, float, float]:
        """What to crop: shares of the height (top, bottom) and the width (left, right).

        In a picture larger than its view, a bar may end within a pixel of the view; that pixel goes as well.
        """
        height, width = self.luma.shape[1:]
        edge = 0 if self._viewer.scale == 1.0 else 1
        top, bottom, left, right = (bar + edge if bar else 0 for bar in self.bars)
        return top / height, bottom / height, left / width, right / width

    @property
    def inside(self) -> UInt8:
        """`luma` without its bars."""
        return self.luma[:, self._inside[0], self._inside[1]]

    @cached_property
    def _inside(self) -> tuple[slice, slice]:
        height, width = self.luma.shape[1:]
        top, bottom, left, right = self.bars
        return slice(top, height - bottom), slice(left, width - right)

    @property
    def last(self) -> float:
        """Seconds from the shot's start to the last picture that is kept of it."""
        return self._samples[-1].time - self.start

    def pictures_at(self, times: npt.NDArray[np.float64]) -> UInt8:
        """Pictures without bars on show at times in seconds from the shot's start, RGB uint8 [t, h, w, 3].

        Of a long shot some pictures are kept; each is taken to be on show until the next one.
        """
        kept = np.array([view.time - self.start for view in self._samples])
        shown = np.clip(np.searchsorted(kept, times + 1e-6, side="right") - 1, 0, len(kept) - 1)
        return np.stack([self._viewer.rgb(self._samples[index])[self._inside] for index in shown])

    def events(self) -> npt.NDArray[np.float64]:
        """Times from the shot's start at which something turns round, by `visual_events`, seconds [n]."""
        pictures = [reduced(picture) for picture in self.inside] + self._events
        return events_of(np.stack(pictures), np.array(self._times))


@dataclass(frozen=True)
class _Seen:
    frame: av.VideoFrame
    view: View


class _Buffered:
    """Pictures as 8-bit 4:2:0, scaled down where an excerpt of them would take too much memory."""

    def __init__(self, geometry: Geometry, wanted: Wanted) -> None:
        height, width = geometry.height, geometry.width
        self._size = (height, width)
        if 3 * height * width // 2 * wanted.frames > wanted.buffer_bytes:
            scale = min(1.0, _ROOM * wanted.short_side / min(geometry.shown))
            self._size = (2 * round(height * scale / 2), 2 * round(width * scale / 2))
        self._scaler = Scaler()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        if frame.format.name == "yuv420p" and (frame.height, frame.width) == self._size:
            return frame
        return self._scaler(frame, *self._size, "yuv420p")


def survey(run: Pass, wanted: Wanted, *, look: Callable[[View], None] | None = None) -> Iterator[Shot]:
    """Decode a file's pictures and give its shots as they end.

    Args:
        run: the pass over its pictures, not begun.
        wanted: what is to be made of each shot.
        look: is shown the view of every frame.

    Raises:
        ItemError, av.error.FFmpegError: as `Pass.frames`.
    """
    finder = CutFinder(threshold=wanted.cut_threshold)
    waiting: deque[_Seen] = deque()
    viewer: Viewer | None = None
    geometry: Geometry | None = None
    shot: Shot | None = None
    for frame in run.frames():
        if geometry is None or viewer is None:
            geometry = Geometry.of(frame, run.video)
            viewer = Viewer(geometry, wanted.analysis_side)
        view = viewer(frame, run.times[-1] - run.times[0])
        if look is not None:
            look(view)
        waiting.append(_Seen(frame, view))
        is_first = finder.push(view.thumbnail())
        if len(waiting) <= LOOKAHEAD:
            continue
        seen = waiting.popleft()
        if shot is None or is_first:
            if shot is not None:
                shot.end(seen.view.time - shot.start)
                yield shot
            shot = Shot(0 if shot is None else shot.index + 1, seen, geometry, viewer, wanted)
        shot.add(seen)
    assert geometry is not None
    assert viewer is not None
    for seen, is_first in zip(waiting, finder.rest()[-len(waiting) :], strict=True):
        if shot is None or is_first:
            if shot is not None:
                shot.end(seen.view.time - shot.start)
                yield shot
            shot = Shot(0 if shot is None else shot.index + 1, seen, geometry, viewer, wanted)
        shot.add(seen)
    assert shot is not None
    shot.end(waiting[-1].view.time + run.seconds_between() - shot.start)
    yield shot
