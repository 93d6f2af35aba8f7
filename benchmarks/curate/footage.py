"""Files like those from cameras, on which methods are compared: world scenes under grain.

The number of each frame is burnt into its top left corner as black and white blocks, so that a decoded
picture tells which frame it is.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from veo_core.world.film import record, render
from veo_core.world.plan import scene_of
from veo_core.world.scene import Scene
from veo_core.world.truth import WorldSpec

UInt8 = npt.NDArray[np.uint8]

FPS, SECONDS, RATE = 30, 15.0, 48_000
GRAIN = 4.0  # standard deviation in levels of 255

_BITS, _BLOCK = 10, 16
_CHUNK = 30  # frames that are held in memory at a time


def write(
    path: Path, *, width: int, height: int, seed: int, gop: int, times: Sequence[float] | None = None
) -> Path:
    """Film a world scene as H.264 and AAC in an MP4 file.

    Args:
        path: the file.
        width: pixels.
        height: pixels.
        seed: seed of the scene and of the grain.
        gop: frames between key frames.
        times: presentation time of each frame in seconds; regular ones where None.
    """
    spec = WorldSpec(seed=seed, width=width, height=height, fps=FPS, seconds=SECONDS)
    scene = scene_of(spec, 0)
    shown = np.arange(round(SECONDS * FPS)) / FPS if times is None else np.asarray(times)
    rng = np.random.default_rng([seed, width])
    grain = [rng.normal(0.0, GRAIN, (height, width, 1)).astype(np.int16) for _ in range(4)]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = Fraction(1, 90_000)
        video.codec_context.gop_size = gop
        video.options = {"crf": "20", "preset": "veryfast", "x264-params": "scenecut=0"}
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        for first in range(0, len(shown), _CHUNK):
            pictures = render(scene, shown[first : first + _CHUNK], height, width)
            for number, picture in enumerate(pictures, first):
                noise = np.roll(grain[number % len(grain)], int(rng.integers(height)), axis=0)
                noisy = np.clip(picture.astype(np.int16) + noise, 0, 255).astype(np.uint8)
                burn_number(noisy, number)
                frame = av.VideoFrame.from_ndarray(noisy, format="rgb24")
                frame.pts, frame.time_base = round(shown[number] * 90_000), Fraction(1, 90_000)
                container.mux(video.encode(frame))
        container.mux(video.encode(None))
        _write_sound(container, sound, scene)
    return path


def _write_sound(container: av.container.OutputContainer, stream: av.AudioStream, scene: Scene) -> None:
    samples = record(scene, scene.contacts(SECONDS), SECONDS, RATE)
    for start in range(0, samples.shape[1], 1024):
        piece = np.ascontiguousarray(samples[:, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def burn_number(picture: UInt8, number: int) -> None:
    """Write a number below 1,024 into a picture [h, w, 3], the lowest bit first."""
    for bit in range(_BITS):
        picture[:_BLOCK, bit * _BLOCK : (bit + 1) * _BLOCK] = 255 * (number >> bit & 1)


def read_number(picture: UInt8) -> int:
    """The number that `burn_number` wrote."""
    blocks = picture[:_BLOCK, : _BITS * _BLOCK].reshape(_BLOCK, _BITS, _BLOCK, -1)
    levels = blocks[4:-4, :, 4:-4].mean(axis=(0, 2, 3))
    return sum(1 << bit for bit in range(_BITS) if levels[bit] > 127)


def uneven_times(seed: int) -> list[float]:
    """Times of frames as telephones record them: a quarter of the frames lost, the rest late."""
    rng = np.random.default_rng(seed)
    regular = np.arange(round(SECONDS * FPS))
    kept = regular[(rng.random(len(regular)) >= 0.25) | (regular == 0)]
    late = rng.uniform(0.0, 0.4, len(kept)) * (kept > 0)
    times: list[float] = ((kept + late) / FPS).tolist()
    return times


def cut_without_decoding(source: Path, target: Path, start: float, seconds: float) -> list[int]:
    """A stretch of a file, stream-copied: it begins at the key frame before `start`, and an edit list hides
    what comes before `start`, as `ffmpeg -ss START -t SECONDS -c copy` does.

    It ends with the first picture in the order of decoding that is shown too late, so that none lacks the
    one that it is predicted from.

    Returns:
        The numbers of the frames that it shows; frame n of the source is on show from n / FPS on.
    """
    shown = []
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        streams = {stream.index: writer.add_stream_from_template(stream) for stream in reader.streams}
        ended = set()
        reader.seek(int(start * av.time_base))
        for packet in reader.demux():
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            index, sounds = packet.stream.index, packet.stream.type == "audio"
            offset, end = (round(time / packet.time_base) for time in (start, start + seconds))
            if packet.pts >= end:
                ended.add(index)
            if index in ended or (sounds and packet.pts < offset):
                continue
            if not sounds and packet.pts >= offset:
                shown.append(round(float(packet.pts * packet.time_base) * FPS))
            packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
            packet.stream = streams[index]
            writer.mux(packet)
    return sorted(shown)
