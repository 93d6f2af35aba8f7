"""Hearing: when tones start, how high they are, and whether there is sound at all. Nothing is learnt."""

import itertools

import numpy as np
import numpy.typing as npt

from veo_core.world.attributes import PITCHES, Pitch
from veo_core.world.scene import PITCH_HERTZ
from veo_core.world.sighting import HeardSound

_SILENT_PEAK = 0.003  # -50 dBFS
_BLOCK = 0.001  # seconds; the resolution of onsets
_BEFORE, _AFTER = 20, 15  # blocks compared on either side of an onset
_RISE = 1.8
_WEAKEST = 0.15  # of the loudest tone
_SEPARATION = 0.05  # seconds
_TONAL = 0.5  # share of the energy that the pitch's band must hold
_SPELL = 0.1  # seconds over which an alarm keeps its pitch
_LOUD = 0.25  # of the loudest spell
_TURNS = 4  # changes of pitch between loud spells that make an alarm


def hear(audio: npt.NDArray[np.float32] | None, rate: int) -> HeardSound:
    """What is heard in a sound track.

    Args:
        audio: samples in [-1, 1], float32 [c, l] or [l]; None without a sound track.
        rate: samples per second.
    """
    if audio is None or audio.size == 0:
        return HeardSound(silent=True)
    mono = np.asarray(audio, dtype=np.float32)
    mono = mono.mean(axis=0) if mono.ndim == 2 else mono
    if not np.isfinite(mono).all() or float(np.abs(mono).max()) < _SILENT_PEAK:
        return HeardSound(silent=True)
    return HeardSound(
        silent=False, pitch=_pitch(mono, rate), onsets=_onsets(mono, rate), alarm=_alarms(mono, rate)
    )


def _alarms(mono: npt.NDArray[np.float32], rate: int) -> bool:
    """Whether the pitch turns up and down again and again; a scene has one pitch throughout."""
    length = max(1, round(_SPELL * rate))
    spells = mono[: len(mono) // length * length].reshape(-1, length)
    if not len(spells):
        return False
    levels = np.sqrt((spells**2).mean(axis=1))
    pitches = [_pitch(spell, rate) for spell in spells[levels >= _LOUD * levels.max()]]
    known = [pitch for pitch in pitches if pitch is not None]
    return sum(one != other for one, other in itertools.pairwise(known)) >= _TURNS


def _pitch(mono: npt.NDArray[np.float32], rate: int) -> Pitch | None:
    """The pitch whose band holds the most energy, where that is at least half of all."""
    power = np.abs(np.fft.rfft(mono)) ** 2
    frequencies = np.fft.rfftfreq(len(mono), 1.0 / rate)
    hertz = [PITCH_HERTZ[pitch] for pitch in PITCHES]
    edges = [hertz[0] / 2, *np.sqrt(np.multiply(hertz[:-1], hertz[1:])).tolist(), hertz[-1] * 2]
    energy = [
        float(power[(frequencies >= low) & (frequencies < high)].sum())
        for low, high in itertools.pairwise(edges)
    ]
    best = int(np.argmax(energy))
    return PITCHES[best] if energy[best] >= _TONAL * float(power.sum()) else None


def _onsets(mono: npt.NDArray[np.float32], rate: int) -> tuple[float, ...]:
    """Times at which the envelope rises to well above what it was in the 20 ms before.

    A block is a candidate while the peak of the next 15 ms exceeds that of the last 20 ms by a factor; the
    last of a run of candidates is the one in which the tone starts.
    """
    block = max(1, round(_BLOCK * rate))
    count = len(mono) // block
    if count <= _BEFORE + _AFTER:
        return ()
    magnitude = np.abs(mono[: count * block]).reshape(count, block)
    envelope = magnitude.max(axis=1)
    loudest = float(envelope.max())
    padded = np.concatenate([np.zeros(_BEFORE, np.float32), envelope, np.zeros(_AFTER, np.float32)])
    windows = np.lib.stride_tricks.sliding_window_view
    before = windows(padded, _BEFORE).max(axis=1)[:count]
    after = windows(padded[_BEFORE:], _AFTER).max(axis=1)[:count]
    rising = (after > _RISE * before) & (after > _WEAKEST * loudest) & (after > _SILENT_PEAK)
    lasts = np.flatnonzero(rising & ~np.append(rising[1:], False))
    onsets: list[float] = []
    for last in lasts.tolist():
        first_sample = int(np.argmax(magnitude[last] > 0.3 * after[last]))
        time = (last * block + first_sample) / rate
        if not onsets or time - onsets[-1] >= _SEPARATION:
            onsets.append(time)
    return tuple(onsets)
