"""The strength of the mark in sound: as little as it needs to be found, never above a share of the sound."""

import hashlib
import math

import numpy as np
import numpy.typing as npt

from veo_core.watermark.sound_cells import CellSums, Float64, band_bins, contrast
from veo_core.watermark.sound_pattern import BANDS, SLOT_SECONDS, SLOTS, SYNC, Pattern
from veo_core.watermark.sound_search import correlations
from veo_core.watermark.sound_spectrum import BINS, HOP, HOP_SECONDS, RATE, Float32, analyse, synthesise

_ROUNDS = 6
_BIT_TARGET, _SYNC_TARGET = 2.8, 17.0  # standard deviations that bits and sync pattern are to stand out by
_STRONGEST = 3.0  # of a group's drive
_GAIN = 10.0 ** (3.0 / 20.0) - 1.0  # change of a point's amplitude at drive 1: 3 dB
_LEAST_GAIN = -0.8
_FILL_DB = tuple(np.linspace(-48.0, -18.0, _ROUNDS))  # noise under the envelope, round by round, while needed
_DECAY = 0.08  # seconds in which what the envelope masks falls to 1/e: forward masking
_UNDER = 0.5  # of the envelope: bound of every sample of the mark
_SILENT = 1e-4  # envelope below which nothing is written, -80 dBFS
_HANN_POWER = 192.0  # summed squares of the analysis window
_ENERGY = 0.0026  # energy of a sound over that of its one-sided spectrum


def mark_of(
    sound: Float32, bits: npt.NDArray[np.integer], pattern: Pattern, key: bytes, energy: float
) -> Float32:
    """The mark of a sound, to be added to it, float32 [c, s].

    Loudness moves up in cells of sign +1 and down in the others. Where the sound has little power, noise
    below its envelope fills cells of sign +1. How strongly is settled against the detector's own figures,
    which takes the sound's interference out of each bit (Malvar and Florencio, "Improved spread spectrum",
    2003). A point of the spectrum changes by a share of its amplitude, and less where that amplitude is
    high: the budget is spent where it is cheap.

    Args:
        sound: [c, s] at `RATE`.
        bits: +1 or -1, [n].
        key: of the noise that fills.
        energy: the most that the mark may have, summed squares of samples.
    """
    writer = _Writer(sound, bits, pattern, key, energy)
    drive = np.ones(1 + len(bits))
    targets = np.r_[_SYNC_TARGET, np.full(len(bits), _BIT_TARGET)]
    mark = np.zeros_like(sound)
    fill = _FILL_DB[0]
    for number, louder in enumerate(_FILL_DB):
        mark = writer.write(drive, fill)
        cells = CellSums(contrast(analyse(sound + mark))).folded(1.0, 1.0)[0]
        reached = correlations(cells, pattern, len(bits)) * np.r_[1, bits]
        if number and (reached < 0.9 * targets).mean() > 0.25:
            fill = louder
        drive = drive * np.clip(1.5 - 0.5 * reached / targets, 0.5, 2.0)
        drive = np.clip(drive, 0.05, _STRONGEST)
    mark = writer.write(drive, fill)
    written = float(np.square(mark, dtype=np.float64).sum())
    return mark * np.float32(min(1.0, math.sqrt(energy / written)) if written else 0.0)


class _Writer:
    """Writes the pattern into one sound at given strengths."""

    def __init__(
        self, sound: Float32, bits: npt.NDArray[np.integer], pattern: Pattern, key: bytes, energy: float
    ) -> None:
        self.samples, self.budget, self.energy = sound.shape[1], energy, _ENERGY
        self.bins = band_bins()
        self.spectrum = analyse(sound)[:, :, self.bins]  # [c, t, f]
        self.amplitude = np.sqrt(np.square(np.abs(self.spectrum)).sum(axis=0))  # [t, f]
        frames = len(self.amplitude)
        self.envelope = _envelope(sound)  # [c, s]
        at = np.minimum(np.arange(frames) * HOP, self.samples - 1)
        channels = self.envelope[:, at]
        self.loudness = np.sqrt(np.square(channels).sum(axis=0))[:, None]  # [t, 1]
        message = np.packbits(bits > 0).tobytes()  # no two clips have the same noise
        seed = hashlib.sha256(b"veo sound fill\0" + message + key).digest()
        noise = np.random.default_rng(list(seed)).standard_normal((1, self.samples), np.float32)
        phases = analyse(noise)[:, :, self.bins]
        phases /= np.maximum(np.abs(phases), 1e-9)
        self.phases = phases * (channels / np.maximum(self.loudness[:, 0], 1e-9))[:, :, None]
        wanted = pattern.signs * np.r_[1, bits][pattern.role - SYNC]
        slots = np.arange(frames) // round(SLOT_SECONDS / HOP_SECONDS) % SLOTS
        bands = np.arange(len(self.bins)) // (len(self.bins) // BANDS)
        place = slots[:, None], bands[None, :]
        self.wanted, self.group = wanted[place].astype(np.float32), (pattern.role - SYNC)[place]

    def write(self, drive: Float64, fill_db: float) -> Float32:
        """The mark [c, s] at the drive of each group [1 + n] and noise at `fill_db` under the envelope."""
        strength = self.wanted * drive[self.group]
        ceiling = self.loudness * math.sqrt(_HANN_POWER / 2.0) * 10.0 ** (fill_db / 20.0)
        empty = np.sqrt(np.maximum(ceiling**2 - self.amplitude**2, 0.0))
        gain, fill = self._limited(strength, empty, self._level(strength, empty))
        whole = np.zeros((*self.spectrum.shape[:2], BINS), np.complex64)
        whole[:, :, self.bins] = self.spectrum * gain + self.phases * fill
        mark = synthesise(whole, self.samples)
        bound = _UNDER * self.envelope
        mark = np.clip(mark, -bound, bound)
        expected = self.energy * _squares(self.amplitude * gain, fill)
        if expected > 0.0:  # how much of it the synthesis keeps is known only now
            self.energy *= float(np.square(mark).sum()) / expected
        return mark

    def _limited(self, strength: Float64, empty: Float64, level: float) -> tuple[Float64, Float64]:
        """Change of amplitude, as a share, and added noise, where amplitudes above `level` change less."""
        share = np.square(np.minimum(1.0, level / np.maximum(self.amplitude, 1e-9)))
        gain = np.maximum(_GAIN * strength * share, _LEAST_GAIN)
        return gain, np.minimum(empty, level) * np.clip(strength, 0.0, 1.0)

    def _level(self, strength: Float64, empty: Float64) -> float:
        """The highest level at which the mark keeps within its budget, by bisection of its logarithm."""
        low, high = 1e-6, 2.0 * float(self.amplitude.max()) + 1e-6
        for _ in range(20):
            middle = math.sqrt(low * high)
            gain, fill = self._limited(strength, empty, middle)
            within = self.energy * _squares(self.amplitude * gain, fill) <= self.budget
            low, high = (middle, high) if within else (low, middle)
        return low


def _squares(*parts: Float64) -> float:
    return sum(float(np.square(part).sum()) for part in parts)


def _envelope(sound: Float32) -> Float32:
    """What masks the mark: the peak of each channel so far, decaying; nothing ahead of an attack. [c, s]"""
    block = 16
    padded = np.pad(np.abs(sound), ((0, 0), (0, -sound.shape[1] % block)))
    peaks = padded.reshape(len(sound), -1, block).max(axis=2)
    decay = np.float32(math.exp(-block / (_DECAY * RATE)))
    held = np.zeros_like(peaks)
    now = np.zeros(len(sound), np.float32)
    for step in range(peaks.shape[1]):
        now = np.maximum(peaks[:, step], now * decay)
        held[:, step] = now
    held[held < _SILENT] = 0.0
    return np.repeat(held, block, axis=1)[:, : sound.shape[1]]
