"""What is done to marked pictures: real encoders, geometry, light, time."""

import io
from collections.abc import Callable
from fractions import Fraction

import av
import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.watermark.clips import FPS

UInt8 = npt.NDArray[np.uint8]
Attack = Callable[[UInt8, np.random.Generator], UInt8]


def recode(frames: UInt8, encoder: str, crf: int, **options: str) -> UInt8:
    """The pictures after an encoder of FFmpeg at a constant rate factor; odd sides lose their last line."""
    height, width = (side // 2 * 2 for side in frames.shape[1:3])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream(encoder, rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(crf)} | options
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
            frame.pts, frame.time_base = number, 1 / Fraction(FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(decoded).astype(np.uint8, copy=False)


def h264(crf: int) -> Attack:
    return lambda frames, _: recode(frames, "libx264", crf, preset="medium")


def h265(crf: int) -> Attack:
    options = {"preset": "fast", "x265-params": "log-level=none:pools=1:frame-threads=1"}
    return lambda frames, _: recode(frames, "libx265", crf, **options)


def av1(crf: int) -> Attack:
    options = {"preset": "9", "svtav1-params": "lp=1"}
    return lambda frames, _: recode(frames, "libsvtav1", crf, **options)


def vp9(crf: int) -> Attack:
    return lambda frames, _: recode(
        frames, "libvpx-vp9", crf, b="0", deadline="realtime", **{"cpu-used": "6"}
    )


def resize(factor: float, across: float | None = None) -> Attack:
    """Scaled to `factor` of its sides, or of its height where `across` says what the width is scaled to."""

    def attack(frames: UInt8, _: np.random.Generator) -> UInt8:
        height, width = frames.shape[1:3]
        size = (round(width * (across or factor)), round(height * factor))
        return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])

    return attack


def crop(share: float) -> Attack:
    """A part anywhere in the picture whose sides are `share` of the picture's."""

    def attack(frames: UInt8, generator: np.random.Generator) -> UInt8:
        height, width = frames.shape[1:3]
        rows, columns = round(height * share), round(width * share)
        top, left = generator.integers(height - rows + 1), generator.integers(width - columns + 1)
        return frames[:, top : top + rows, left : left + columns]

    return attack


def light(brightness: float = 1.0, contrast: float = 1.0) -> Attack:
    """Levels times `brightness`, then spread about the middle grey of the clip by `contrast`."""

    def attack(frames: UInt8, _: np.random.Generator) -> UInt8:
        levels = np.arange(256) * brightness
        middle = min(255.0, float(frames.mean()) * brightness)
        table = np.clip(middle + contrast * (levels - middle), 0, 255).round().astype(np.uint8)
        return np.asarray(table[frames])

    return attack


def noise(sigma: float) -> Attack:
    def attack(frames: UInt8, generator: np.random.Generator) -> UInt8:
        grain = generator.standard_normal(frames.shape, dtype=np.float32)
        return np.asarray(np.clip(frames + sigma * grain, 0, 255), dtype=np.uint8)

    return attack


def drop(share: float) -> Attack:
    """A share of the frames, anywhere, is left out."""

    def attack(frames: UInt8, generator: np.random.Generator) -> UInt8:
        kept = round(len(frames) * (1 - share))
        return frames[np.sort(generator.choice(len(frames), kept, replace=False))]

    return attack


def speed(factor: float) -> Attack:
    return lambda frames, _: frames[np.arange(0, len(frames), factor).astype(int)]


def trim(share: float) -> Attack:
    """The last part of the clip."""
    return lambda frames, _: frames[round(len(frames) * (1 - share)) :]


def flip(frames: UInt8, _: np.random.Generator) -> UInt8:
    return np.ascontiguousarray(frames[:, :, ::-1])


def blur(size: int) -> Attack:
    return lambda frames, _: np.stack([cv2.GaussianBlur(frame, (size, size), 0) for frame in frames])


def rotate(degrees: float) -> Attack:
    """About the centre, with what falls outside lost."""

    def attack(frames: UInt8, _: np.random.Generator) -> UInt8:
        height, width = frames.shape[1:3]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        return np.stack([cv2.warpAffine(frame, matrix, (width, height)) for frame in frames])

    return attack


def grey(frames: UInt8, _: np.random.Generator) -> UInt8:
    luma = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    return np.repeat(np.stack(luma)[..., None], 3, axis=3)


def both(*attacks: Attack) -> Attack:
    """One after the other."""

    def attack(frames: UInt8, generator: np.random.Generator) -> UInt8:
        for one in attacks:
            frames = one(frames, generator)
        return frames

    return attack
