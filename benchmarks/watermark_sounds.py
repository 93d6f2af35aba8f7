"""Sounds to mark, made from a seed, and what is done to marked ones: codecs, filters, cuts, other speeds."""

import io
import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.filter import Graph

from veo_core.watermark.sound_spectrum import resampled
from veo_core.world.plan import scene_of
from veo_core.world.take import shoot
from veo_core.world.truth import WorldSpec

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Attack = Callable[[Float32, int], Float32]

_PEAK = 0.7
_FRAMES = {"aac": 1024, "libmp3lame": 1152, "libopus": 960}  # samples that an encoder takes at a time


def world_sound(seed: int, rate: int, seconds: float) -> Float32:
    """The sound of a scene of the world: decaying tones over silence, mono."""
    spec = WorldSpec(seed=seed, audio_rate=rate, seconds=seconds, width=32, height=32)
    audio = shoot(scene_of(spec, 0), spec).audio
    assert audio is not None
    return audio


def sound(kind: str, seed: int, rate: int, seconds: float, channels: int = 1) -> Float32:
    """A sound of a kind of `KINDS`, float32 [channels, l]; channels differ, as those of a recording do."""
    rng = np.random.default_rng([seed, *kind.encode()])
    made = np.stack([KINDS[kind](rng, rate, round(rate * seconds)) for _ in range(channels)])
    if channels == 2:
        made = np.array([[0.7, 0.3], [0.4, 0.6]]) @ made
    return np.asarray(made / np.abs(made).max() * _PEAK, np.float32)


def _music(rng: np.random.Generator, rate: int, count: int) -> Float64:
    """Chords of decaying harmonic notes."""
    made = np.zeros(count)
    notes = 220.0 * 2.0 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) / 12)
    for start in range(0, count, rate // 4):
        for _ in range(rng.integers(1, 4)):
            pitch = rng.choice(notes) * rng.choice([0.5, 1.0, 2.0])
            t = np.arange(min(count - start, round(rate * rng.uniform(0.3, 1.0)))) / rate
            envelope = np.exp(-t / rng.uniform(0.2, 0.5)) * (1.0 - np.exp(-t / 0.005))
            for harmonic in range(1, 13):
                if pitch * harmonic < rate / 2:
                    phase = rng.uniform(0.0, 2.0 * np.pi)
                    wave = np.sin(2.0 * np.pi * pitch * harmonic * t + phase)
                    made[start : start + len(t)] += envelope * wave / harmonic**1.2
    return made


def _pink(rng: np.random.Generator, rate: int, count: int) -> Float64:
    """Noise whose power falls with frequency, as that of wind and surf does."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    return np.asarray(np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1.0), count))


def _noise(rng: np.random.Generator, rate: int, count: int) -> Float64:
    """White noise that swells."""
    swell = 1.0 + 0.5 * np.sin(3.0 * np.arange(count) / rate)
    return np.asarray(rng.standard_normal(count) * swell)


def _rhythm(rng: np.random.Generator, rate: int, count: int) -> Float64:
    """Drums: a bass drum, a snare and a hi-hat."""
    made = np.zeros(count)
    beat = 30.0 / rng.uniform(90.0, 150.0)
    for number, start in enumerate(range(0, count, round(beat * rate))):
        length = min(count - start, round(0.3 * rate))
        t = np.arange(length) / rate
        hit = 0.25 * np.diff(rng.standard_normal(length), prepend=0.0) * np.exp(-t / 0.025)
        if number % 4 == 0:
            hit += np.sin(2.0 * np.pi * (50.0 * t - 1.2 * np.expm1(-t / 0.03))) * np.exp(-t / 0.1)
        if number % 4 == 2:
            hit += 0.6 * rng.standard_normal(length) * np.exp(-t / 0.06)
            hit += 0.4 * np.sin(2.0 * np.pi * 190.0 * t) * np.exp(-t / 0.08)
        made[start : start + length] += hit
    return made


def _speech(rng: np.random.Generator, rate: int, count: int) -> Float64:
    """Syllables: pulses of a gliding pitch through formants, hissing consonants, pauses."""
    t = np.arange(count) / rate
    pitch = rng.uniform(90.0, 220.0) * (1.0 + 0.15 * np.sin(2.3 * 2.0 * np.pi * t + rng.uniform(0.0, 6.0)))
    voice = np.diff(np.floor(np.cumsum(pitch) / rate), prepend=0.0) + 0.02 * rng.standard_normal(count)
    made = np.zeros(count)
    start = 0
    while start < count:
        source = voice[start : start + round(rng.uniform(0.08, 0.25) * rate)]
        length, luck = len(source), rng.random()
        hertz = np.asarray(np.fft.rfftfreq(2 * length, 1.0 / rate), np.float64)
        if luck < 0.3:
            source = 0.3 * rng.standard_normal(length)
            response = np.asarray(0.5 * _peak(hertz, 5000.0, 1500.0))
        else:
            centres = rng.uniform(300.0, 800.0), rng.uniform(900.0, 2200.0), rng.uniform(2200.0, 3200.0)
            response = np.asarray(0.003 + 0.08 * _peak(hertz, 3800.0, 250.0))
            for centre, width, height in zip(centres, (60.0, 90.0, 150.0), (1.0, 0.5, 0.2), strict=True):
                response += height * _peak(hertz, centre, width)
        if luck >= 0.12:
            spoken = np.fft.irfft(np.fft.rfft(source, 2 * length) * response, 2 * length)[:length]
            made[start : start + length] = spoken * np.sqrt(np.hanning(length))
        start += length
    return made


def _peak(hertz: Float64, centre: float, width: float) -> Float64:
    return np.asarray(1.0 / (1.0 + ((hertz - centre) / width) ** 2))


KINDS: Mapping[str, Callable[[np.random.Generator, int, int], Float64]] = {
    "music": _music,
    "pink noise": _pink,
    "white noise": _noise,
    "rhythm": _rhythm,
    "speech": _speech,
}


def coded(audio: Float32, rate: int, codec: str, bitrate: int) -> Float32:
    """Sound after a lossy encoder of FFmpeg and its decoder."""
    layout = "mono" if len(audio) == 1 else "stereo"
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as container:
        own = 48_000 if codec == "libopus" else rate  # Opus knows no 44.1 kHz
        stream = container.add_stream(codec, rate=own, layout=layout)
        stream.bit_rate = bitrate
        form = stream.codec_context.format.name
        for piece in _resampled(_frame(audio, rate), form, layout, own, _FRAMES[codec]):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    target.seek(0)
    with av.open(target) as container:
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1).astype(np.float32)


def _resampled(
    frame: av.AudioFrame, form: str, layout: str, rate: int, size: int = 1024
) -> list[av.AudioFrame]:
    """A frame in another format, in pieces of `size` samples."""
    resampler = av.AudioResampler(format=form, layout=layout, rate=rate, frame_size=size)
    return [*resampler.resample(frame), *resampler.resample(None)]


def _frame(audio: Float32, rate: int) -> av.AudioFrame:
    layout = "mono" if len(audio) == 1 else "stereo"
    samples = np.ascontiguousarray(np.clip(audio, -1.0, 1.0), np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def tempo(audio: Float32, rate: int, speed: float) -> Float32:
    """Sound at another speed with its pitch kept, by FFmpeg's atempo, as players do."""
    layout = "mono" if len(audio) == 1 else "stereo"
    graph = Graph()
    source = graph.add_abuffer(format="fltp", sample_rate=rate, layout=layout, time_base=Fraction(1, rate))
    filtered, sink = graph.add("atempo", str(speed)), graph.add("abuffersink")
    source.link_to(filtered)
    filtered.link_to(sink)
    graph.configure()
    graph.push(_frame(audio, rate))
    graph.push(None)
    pieces: list[Float32] = []
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return np.concatenate(pieces, axis=1)
        pieces.append(frame.to_ndarray().astype(np.float32))


def faster(audio: Float32, rate: int, speed: float) -> Float32:
    """Sound played faster, so that its pitch rises with its speed, by FFmpeg's resampler."""
    layout = "mono" if len(audio) == 1 else "stereo"
    played = _frame(audio, round(rate * speed))
    frames = _resampled(played, "fltp", layout, rate)
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1).astype(np.float32)


def noisy(audio: Float32, snr_db: float, seed: int = 0) -> Float32:
    """Sound with white noise so far below it."""
    level = math.sqrt(float(np.square(audio).mean())) * 10.0 ** (-snr_db / 20.0)
    return audio + np.float32(level) * np.random.default_rng(seed).standard_normal(audio.shape, np.float32)


def low_passed(audio: Float32, rate: int, hertz: float) -> Float32:
    spectrum = np.fft.rfft(audio, axis=1)
    spectrum[:, math.ceil(hertz * audio.shape[1] / rate) :] = 0.0
    return np.asarray(np.fft.irfft(spectrum, audio.shape[1], axis=1), np.float32)


def echoing(audio: Float32, rate: int) -> Float32:
    """Sound with an echo of 40 % after 100 ms."""
    later = np.pad(audio, ((0, 0), (rate // 10, 0)))[:, : audio.shape[1]]
    return np.asarray(0.8 * (audio + 0.4 * later), np.float32)


def _middle(audio: Float32) -> Float32:
    """Half of the sound, cut from its inside at no boundary of anything."""
    start = round(audio.shape[1] * 0.31)
    return audio[:, start : start + audio.shape[1] // 2]


REQUIRED: Mapping[str, Attack] = {
    "none": lambda audio, rate: audio,
    "AAC 64 kb/s": lambda audio, rate: coded(audio, rate, "aac", 64_000),
    "MP3 64 kb/s": lambda audio, rate: coded(audio, rate, "libmp3lame", 64_000),
    "resampled to 16 kHz": lambda audio, rate: resampled(resampled(audio, rate, 16_000), 16_000, rate),
    "noise at 30 dB": lambda audio, rate: noisy(audio, 30.0),
    "volume 0.3": lambda audio, rate: audio * np.float32(0.3),
    "speed 1.25": lambda audio, rate: faster(audio, rate, 1.25),
    "speed 1.03": lambda audio, rate: faster(audio, rate, 1.03),
    "tempo 1.25, pitch kept": lambda audio, rate: tempo(audio, rate, 1.25),
}
"""What issue 6 names, by which the mark has to be found."""

FURTHER: Mapping[str, Attack] = {
    "Opus 48 kb/s": lambda audio, rate: coded(audio, rate, "libopus", 48_000),
    "MP3 32 kb/s": lambda audio, rate: coded(audio, rate, "libmp3lame", 32_000),
    "low-pass 4 kHz": lambda audio, rate: low_passed(audio, rate, 4_000.0),
    "trimmed to half": lambda audio, rate: _middle(audio),
    "echo": echoing,
    "speed 0.8": lambda audio, rate: faster(audio, rate, 0.8),
    "AAC 64 kb/s, speed 1.25": lambda audio, rate: coded(faster(audio, rate, 1.25), rate, "aac", 64_000),
}
