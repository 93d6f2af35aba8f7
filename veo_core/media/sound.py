"""Figures measured on the sound of a shot."""

import io
import wave

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

SILENCE_DB = -120.0


def loudness(samples: Float32) -> float:
    """Root mean square in dBFS, -120 for silence. `samples`: float32 [l]."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    return max(SILENCE_DB, 10.0 * float(np.log10(power))) if power > 0 else SILENCE_DB


def clipped_share(samples: Float32, *, level: float = 0.95) -> float:
    """Share of samples at or beyond `level` of full scale, where lossy coding leaves clipped peaks."""
    return float(np.mean(np.abs(samples) >= level)) if samples.size else 0.0


def silent_share(samples: Float32, rate: int, *, level_db: float = -60.0, step: float = 0.05) -> float:
    """Share of steps whose level is below `level_db` of full scale, 1 without any sample."""
    levels = envelope(samples, rate, step)
    return float(np.mean(levels < 10.0 ** (level_db / 20.0))) if levels.size else 1.0


def envelope(samples: Float32, rate: int, step: float) -> npt.NDArray[np.float64]:
    """Root mean square of each `step` seconds, float64 [n]."""
    width = max(1, round(rate * step))
    count = len(samples) // width
    if count == 0:
        return np.zeros(0)
    blocks = samples[: count * width].reshape(count, width).astype(np.float64)
    return np.asarray(np.sqrt(np.mean(blocks**2, axis=1)))


def onsets(
    samples: Float32, rate: int, *, step: float = 0.005, rise_db: float = 9.0, floor_db: float = -50.0
) -> npt.NDArray[np.float64]:
    """Times in seconds at which the sound sets in: its level jumps by `rise_db` within 20 ms. float64 [n]."""
    level = 20.0 * np.log10(envelope(samples, rate, step) + 1e-6)
    if len(level) < 5:
        return np.zeros(0)
    before = np.lib.stride_tricks.sliding_window_view(np.r_[np.full(4, np.inf), level[:-1]], 4).min(axis=1)
    before[0] = -120.0
    loud = (level - before >= rise_db) & (level > floor_db) & (level > level.max() - 30.0)
    found: list[float] = []
    for index in np.flatnonzero(loud):
        time = float(index) * step
        if not found or time - found[-1] > 0.08:
            found.append(time)
    return np.asarray(found)


def wav_bytes(samples: Float32, rate: int) -> bytes:
    """Mono samples in [-1, 1], float32 [l], as a 16-bit WAV file."""
    sink = io.BytesIO()
    with wave.open(sink, "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(rate)
        stream.writeframes((np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return sink.getvalue()
