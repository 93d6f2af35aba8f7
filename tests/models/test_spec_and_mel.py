import numpy as np
import pytest
import torch
from pydantic import ValidationError

from veo_core.data.mel import LogMel, mel_filters
from veo_core.data.resample import resample
from veo_core.data.spec import AudioFactors, ClipSpec, VideoFactors
from veo_core.errors import UsageError


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
        ({"fps": 7.0}, "sound samples"),
        ({"window": 500}, "hop"),
    ],
)
def test_spec_when_lengths_do_not_fit_then_it_says_which(change, message):
    with pytest.raises(ValidationError, match=message):
        ClipSpec(**change)


def test_audio_latents_when_the_sound_is_no_whole_number_of_them_then_it_says_so():
    with pytest.raises(UsageError, match=r"32200 sound samples at 16100/s .* no multiple of a latent's 640"):
        ClipSpec(audio_rate=16_100).audio_latents  # noqa: B018


WAN = VideoFactors(time=4, space=8)
LTX2_VIDEO = VideoFactors(time=8, space=32)
LTX2_AUDIO = AudioFactors(rate=16_000, step=640, first=160, padded=True)
OOBLECK = AudioFactors(rate=44_100, step=2048, first=2048, padded=True)


def test_clip_of_other_codecs_derives_their_lengths():
    clip = ClipSpec(frames=121, fps=24.0, height=512, width=768, upscale=1, audio_rate=48_000)
    ltx2 = clip.divided(LTX2_VIDEO, LTX2_AUDIO)
    assert (ltx2.seconds, ltx2.samples) == (5.0, 240_000)
    assert (ltx2.latent_frames, ltx2.audio_latents) == (16, 126)
    assert LTX2_VIDEO.latent_shape(121, 512, 768) == (16, 16, 24)
    mixed = clip.divided(WAN, OOBLECK)
    assert (mixed.latent_frames, mixed.audio_latents) == (31, 108)  # 5 s * 44100 / 2048 = 107.7


def test_latents_of_a_causal_audio_codec_are_at_the_mean_time_of_their_mel_frames():
    mel_frames = np.arange(1 + 4 * 3) * 0.01
    groups = [mel_frames[:1], *np.split(mel_frames[1:], 3)]
    assert LTX2_AUDIO.seconds(4) == pytest.approx([group.mean() for group in groups])


def test_latent_frames_are_at_the_mean_time_of_their_frames():
    clip = ClipSpec(frames=25, video=VideoFactors(time=8))
    frames = np.arange(25) / clip.fps
    groups = [frames[:1], *np.split(frames[1:], 3)]
    assert clip.latent_seconds() == pytest.approx([group.mean() for group in groups])


@pytest.mark.parametrize(
    ("change", "video", "audio", "message"),
    [
        ({"frames": 21}, LTX2_VIDEO, LTX2_AUDIO, r"21 frames do not fit the video codec: give it 1 \+ 8k"),
        ({"height": 40}, WAN, OOBLECK, "20x32 do not fit .* multiples of 8"),
        ({}, LTX2_VIDEO, LTX2_AUDIO.model_copy(update={"step": 700, "padded": False}), "no multiple"),
    ],
)
def test_clip_when_it_does_not_fit_its_codecs_then_it_says_which(change, video, audio, message):
    with pytest.raises(UsageError, match=message):
        ClipSpec(**change).divided(video, audio)


@pytest.mark.parametrize(("rate", "new_rate"), [(16_000, 48_000), (48_000, 16_000), (16_000, 44_100)])
def test_resampled_tone_is_the_tone_at_the_new_rate(rate, new_rate):
    seconds = torch.arange(rate) / rate
    expected = torch.sin(2 * np.pi * 1000 * torch.arange(new_rate) / new_rate)
    changed = resample(torch.sin(2 * np.pi * 1000 * seconds)[None], rate, new_rate)[0]
    inside = slice(new_rate // 50, -new_rate // 50)
    assert changed.shape == (new_rate,)
    torch.testing.assert_close(changed[inside], expected[inside], atol=2e-3, rtol=0)


def test_resampling_down_removes_what_the_lower_rate_cannot_carry():
    tone = torch.sin(2 * np.pi * 10_000 * torch.arange(48_000) / 48_000)[None]
    assert resample(tone, 48_000, 16_000)[:, 500:-500].abs().max() < 4e-3


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
