"""Log-mel features against torch's spectra and known sounds."""

import numpy as np
import pytest
import torch

from veo_core.data.mel import mel_filters
from veo_core.evaluate.sound_features import BANDS, DIMENSIONS, log_mel, sound_features

RATE = 16_000


def tone(hertz: float, seconds: float = 1.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def test_log_mel_equals_spectra_and_filters_of_torch():
    rng = np.random.default_rng(0)
    sound = (0.3 * rng.standard_normal(RATE)).astype(np.float32)
    size, hop = 512, 256
    window = torch.hann_window(size, dtype=torch.float64)
    spectrum = torch.stft(
        torch.from_numpy(sound).double(), size, hop, window=window, center=False, return_complex=True
    )
    # The filters of the audio VAE scale magnitudes by fft / 8, those here are of unit peak.
    filters = mel_filters(BANDS, size, RATE).double() * (size / 8)
    power = filters @ (spectrum.abs().square() / window.sum() ** 2)
    expected = 10 * torch.log10(power.clamp(min=1e-10)).T.numpy()
    np.testing.assert_allclose(log_mel(sound, RATE), expected, rtol=1e-3)


def test_a_tone_is_loudest_in_its_band_and_double_amplitude_adds_six_decibels():
    quiet, loud = log_mel(tone(1000.0, level=0.25), RATE), log_mel(tone(1000.0, level=0.5), RATE)
    band = int(np.argmax(loud.mean(0)))
    assert band == int(np.argmax(quiet.mean(0)))
    assert int(np.argmax(log_mel(tone(3000.0), RATE).mean(0))) > band
    np.testing.assert_allclose((loud - quiet)[:, band], 20 * np.log10(2), rtol=1e-3)


@pytest.mark.parametrize(("seconds", "windows"), [(0.01, 0), (0.2, 0), (0.3, 1), (1.0, 2), (2.0, 4)])
def test_sound_has_a_window_for_each_half_second(seconds, windows):
    assert sound_features(tone(500.0, seconds), RATE).shape == (windows, DIMENSIONS)


def test_features_hardly_depend_on_the_sample_rate():
    low = sound_features(tone(700.0), RATE)
    high = np.sin(2 * np.pi * 700.0 * np.arange(48_000) / 48_000).astype(np.float32) * np.float32(0.5)
    mean = sound_features(high, 48_000)[0, :BANDS]
    assert np.argmax(mean) == np.argmax(low[0, :BANDS])
    assert mean.max() == pytest.approx(low[0, :BANDS].max(), abs=0.5)
