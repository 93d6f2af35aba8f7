from fractions import Fraction

import av
import numpy as np
import pytest
from av.filter import Graph

from veo_core.media.loudness import ABSOLUTE_GATE, integrated_loudness


def by_ffmpeg(samples, rate):
    """FFmpeg's own measurement, by its filter ebur128."""
    layout = "mono" if len(samples) == 1 else "stereo"
    graph = Graph()
    source = graph.add_abuffer(format="fltp", sample_rate=rate, layout=layout, time_base=Fraction(1, rate))
    meter = graph.add("ebur128", "metadata=1:framelog=quiet")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    loudness = None
    for start in range(0, samples.shape[1], rate // 10):
        piece = np.ascontiguousarray(samples[:, start : start + rate // 10])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        graph.push(frame)
        while True:
            try:
                loudness = float(graph.pull().metadata["lavfi.r128.I"])
            except (av.BlockingIOError, av.EOFError):
                break
    return loudness


def noise(rate, seconds=6.0, channels=1, seed=0):
    """Noise that grows and fades, with a pause that the gates must leave out."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.1, (channels, round(seconds * rate)))
    swell = 0.2 + np.sin(np.linspace(0, 7, samples.shape[1])) ** 2
    swell[2 * rate : 3 * rate] = 1e-4
    return (samples * swell).astype(np.float32)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_integrated_loudness_equals_that_of_ffmpeg(rate, channels):
    for seed in range(3):
        samples = noise(rate, channels=channels, seed=seed)
        assert integrated_loudness(samples, rate) == pytest.approx(by_ffmpeg(samples, rate), abs=0.1)


@pytest.mark.parametrize("hertz", [60, 440, 1000, 8000])
def test_integrated_loudness_of_tones_equals_that_of_ffmpeg(hertz):
    tone = 0.3 * np.sin(2 * np.pi * hertz * np.arange(240_000) / 48_000).astype(np.float32)[None]
    assert integrated_loudness(tone, 48_000) == pytest.approx(by_ffmpeg(tone, 48_000), abs=0.1)


def test_sine_of_bs_1770_has_its_loudness():
    """A 997 Hz sine at full scale in one channel reads -3.01 LUFS."""
    tone = np.sin(2 * np.pi * 997 * np.arange(240_000) / 48_000).astype(np.float32)[None]
    assert integrated_loudness(tone, 48_000) == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize("length", [0, 4800, 48_000])
def test_silence_is_at_the_gate(length):
    assert integrated_loudness(np.zeros((2, length), np.float32), 48_000) == ABSOLUTE_GATE
