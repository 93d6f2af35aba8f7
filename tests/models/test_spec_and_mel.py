import numpy as np
import pytest
import torch
from pydantic import ValidationError

from veo_core.data.mel import LogMel, mel_filters
from veo_core.data.spec import ClipSpec


def test_default_spec_derives_the_lengths_of_the_world():
    spec = ClipSpec()
    assert (spec.seconds, spec.samples, spec.mel_frames) == (2.0, 32_000, 200)
    assert (spec.latent_frames, spec.audio_latents) == (5, 50)
    assert (spec.base_height, spec.base_width) == (32, 32)
    assert spec.latent_seconds() == [0.0, 0.3125, 0.8125, 1.3125, 1.8125]
    assert spec.audio_latent_seconds()[0] == pytest.approx(0.02)
    assert len(spec.audio_latent_seconds()) == 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 16}, r"1 \+ 4k"),
        ({"height": 63}, "upscale"),
        ({"audio_rate": 16_100}, "no multiple"),
        ({"window": 500}, "hop"),
    ],
)
def test_spec_when_lengths_do_not_fit_then_it_says_which(change, message):
    with pytest.raises(ValidationError, match=message):
        ClipSpec(**change)


@pytest.fixture(scope="module")
def mel() -> LogMel:
    return LogMel(ClipSpec())


def tone(hertz: float, start: float) -> torch.Tensor:
    time = torch.arange(32_000) / 16_000 - start
    decay = torch.where(time >= 0, torch.exp(-time.clamp(min=0) / 0.05), 0.0)
    return (0.5 * torch.sin(2 * np.pi * hertz * time) * decay)[None]


def test_log_mel_has_the_frames_of_the_spec_and_is_near_unit_range(mel):
    silence, loud = mel(torch.zeros(1, 32_000)), mel(tone(900, 0.5))
    assert silence.shape == (1, 64, 200)
    assert silence.min() == silence.max() == -1.0
    assert 0.0 < loud.max() < 1.5


@pytest.mark.parametrize("hertz", [300.0, 900.0, 2500.0])
def test_waveform_keeps_the_onset_and_the_pitch_of_a_tone(mel, hertz):
    rebuilt = mel.waveform(mel(tone(hertz, 0.8)))[0]
    assert rebuilt.shape == (32_000,)
    envelope = rebuilt.abs().unfold(0, 160, 160).amax(1)
    onset = int((envelope > 0.5 * envelope.max()).nonzero()[0]) * 0.01
    assert onset == pytest.approx(0.8, abs=0.02)
    spectrum = torch.fft.rfft(rebuilt).abs()
    assert float(spectrum.argmax()) / 2 == pytest.approx(hertz, rel=0.05)


def test_every_mel_filter_covers_a_frequency_bin():
    filters = mel_filters(64, 640, 16_000)
    assert filters.shape == (64, 321)
    assert (filters.sum(1) > 0).all()
