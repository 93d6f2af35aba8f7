"""Every codec of sound by one interface on waveforms, against diffusers called by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderOobleck
from diffusers.pipelines.ltx2 import LTX2Pipeline
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder
from safetensors.torch import save_file
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from veo_core.data.mel import LogMel
from veo_core.data.spec import ClipSpec, VideoFactors
from veo_core.errors import UsageError
from veo_core.models.audio_codec import AudioCodec
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.codecs import AudioCodecConfig, load_audio_codec, open_audio_codec
from veo_core.models.files import save_model
from veo_core.models.mel_codec import MelAutoencoder
from veo_core.models.oobleck import STATISTICS
from veo_core.storage import Store

KINDS = ("own", "ltx2", "oobleck")
CLIP = ClipSpec(frames=9)
OTHERS = {"ltx2": ClipSpec(frames=9, audio_rate=48_000), "oobleck": ClipSpec(frames=5)}
OWN = AudioVAE.Config(width=16, depth=1, latent_channels=4)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights as diffusers saves them."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("codecs")
    audio = AutoencoderKLLTX2Audio(
        base_channels=16, ch_mult=(1, 1, 2), num_res_blocks=1, latent_channels=4, mel_bins=16
    )
    audio.latents_mean.copy_(torch.randn(16))
    audio.latents_std.copy_(torch.rand(16) + 0.5)
    audio.save_pretrained(root / "ltx2" / "audio_vae")
    LTX2Vocoder(
        in_channels=32,
        hidden_channels=16,
        upsample_kernel_sizes=[16, 15, 12],
        upsample_factors=[8, 5, 6],
        resnet_kernel_sizes=[3],
        resnet_dilations=[[1, 3]],
    ).save_pretrained(root / "ltx2" / "vocoder")
    AutoencoderOobleck(
        encoder_hidden_size=8,
        downsampling_ratios=[4, 5],
        channel_multiples=[1, 1],
        decoder_channels=8,
        decoder_input_channels=4,
        sampling_rate=11_025,
    ).save_pretrained(root / "oobleck")
    return {"ltx2": root / "ltx2", "oobleck": root / "oobleck"}


@pytest.fixture(scope="module")
def codecs(folders: dict[str, Path]) -> dict[str, AudioCodec]:
    torch.manual_seed(0)
    vae = AudioVAE(OWN)
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    opened = {
        kind: open_audio_codec(AudioCodecConfig(kind=kind, path=str(path)), OTHERS[kind])
        for kind, path in folders.items()
    }
    oobleck = opened["oobleck"]
    oobleck.autoencoder.prepare([oobleck.prepared(noise(OTHERS["oobleck"], 8, seed=0))])
    return {"own": AudioCodec(MelAutoencoder(vae.eval(), CLIP), CLIP).eval(), **opened}


def noise(clip: ClipSpec, count: int, seed: int) -> torch.Tensor:
    """White noise, [count, samples]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, clip.samples, generator=generator) * 2 - 1


def tones(clip: ClipSpec, count: int) -> torch.Tensor:
    """Decaying tones of random pitch and onset, [count, samples]."""
    generator = torch.Generator().manual_seed(0)
    onset, pitch = torch.rand(2, count, 1, generator=generator)
    time = torch.arange(clip.samples) / clip.audio_rate - 0.8 * onset
    decay = torch.where(time >= 0, torch.exp(-time.clamp(min=0) / 0.1), 0.0)
    return 0.5 * torch.sin(2 * np.pi * (300 + 2000 * pitch) * time) * decay


@pytest.mark.parametrize("kind", KINDS)
def test_latents_are_as_many_as_the_clip_derives_and_decode_to_its_samples(codecs, kind):
    codec = codecs[kind]
    clip = codec.clip.divided(VideoFactors(), codec.factors)
    sound = tones(clip, 2)
    latents = codec.encode(sound)
    assert latents.shape == (2, codec.channels, clip.audio_latents) == (2, codec.channels, codec.length)
    decoded = codec.decode(latents)
    assert decoded.shape == sound.shape
    assert decoded.abs().max() <= 1.0
    assert len(clip.audio_latent_seconds()) == codec.length
    assert clip.audio_latent_seconds()[-1] <= clip.seconds


@pytest.mark.parametrize("kind", ["own", "ltx2"])
def test_sound_after_a_moment_leaves_the_latents_before_it_as_they_were(codecs, kind):
    codec = codecs[kind]
    clip = codec.clip.divided(VideoFactors(), codec.factors)
    sound = tones(clip, 1)
    changed = sound.clone()
    changed[:, clip.samples // 2 :] += 0.1
    difference = (codec.encode(changed) - codec.encode(sound)).abs().amax((0, 1))
    # Besides the moment itself, the analysis window (64 ms at most) and the resampler look ahead.
    before = torch.tensor(clip.audio_latent_seconds()) < clip.seconds / 2 - 0.06
    assert difference[before].max() < 1e-4 < difference[~before].max()


def test_own_codec_is_log_mel_then_the_autoencoder(codecs):
    sound, mel = tones(CLIP, 2), LogMel(CLIP)
    vae = codecs["own"].autoencoder.vae
    latents = vae.encode(mel(sound))
    torch.testing.assert_close(codecs["own"].encode(sound), latents)
    torch.testing.assert_close(codecs["own"].decode(latents), mel.waveform(vae.decode(latents)).clamp(-1, 1))


def test_ltx2_log_mel_is_that_of_an_independent_implementation(codecs):
    sound = codecs["ltx2"].prepared(tones(codecs["ltx2"].clip, 1))
    filters = mel_filter_bank(513, 16, 0.0, 8000.0, sampling_rate=16_000, norm="slaney", mel_scale="slaney")
    expected = spectrogram(
        sound[0].double().numpy(),
        window_function(1024, "hann"),
        frame_length=1024,
        hop_length=160,
        power=1.0,
        mel_filters=filters,
        mel_floor=1e-5,
        log_mel="log",
    )
    mel = codecs["ltx2"].autoencoder.log_mel(sound)
    assert mel.shape == (1, 101, 16)
    np.testing.assert_allclose(mel[0].T.numpy(), expected, atol=2e-3)


def test_ltx2_latents_are_those_of_its_pipeline_and_its_vocoder_speaks_them(codecs, folders):
    codec = codecs["ltx2"]
    reference = AutoencoderKLLTX2Audio.from_pretrained(folders["ltx2"] / "audio_vae").eval()
    vocoder = LTX2Vocoder.from_pretrained(folders["ltx2"] / "vocoder").eval()
    sound = codec.prepared(tones(codec.clip, 2))
    mel = codec.autoencoder.log_mel(sound)[:, None].repeat(1, 2, 1, 1)
    with torch.no_grad():
        raw = reference.encode(mel).latent_dist.mode()
        packed = LTX2Pipeline._normalize_audio_latents(
            LTX2Pipeline._pack_audio_latents(raw), reference.latents_mean, reference.latents_std
        )
        waveform = vocoder(reference.decode(raw).sample).mean(1)
    latents = codec.autoencoder.encode(sound)
    torch.testing.assert_close(latents, packed.transpose(1, 2))
    torch.testing.assert_close(codec.autoencoder.decode(latents), waveform, atol=1e-5, rtol=1e-4)
    assert codec.autoencoder.rate_out == 24_000


def test_oobleck_when_measured_then_latents_of_other_sound_are_standard(codecs):
    latents = codecs["oobleck"].encode(noise(OTHERS["oobleck"], 8, seed=1))
    std = latents.transpose(0, 1).flatten(1).std(1)
    assert ((std > 0.9) & (std < 1.1)).all()
    assert latents.mean().abs() < 0.1


def test_oobleck_latents_are_those_of_diffusers_on_both_channels(codecs, folders):
    reference = AutoencoderOobleck.from_pretrained(folders["oobleck"]).eval()
    sound = codecs["oobleck"].prepared(tones(OTHERS["oobleck"], 2))
    assert sound.shape == (2, 5_520)  # half a second at 11025/s, padded to whole latents of 20 samples
    with torch.no_grad():
        raw = reference.encode(sound[:, None].repeat(1, 2, 1)).latent_dist.mode()
    statistics = codecs["oobleck"].autoencoder.statistics
    torch.testing.assert_close(codecs["oobleck"].autoencoder.encode(sound), statistics.normalise(raw))


def test_oobleck_when_its_statistics_are_unknown_then_it_says_where_they_come_from(folders, tmp_path):
    config = AudioCodecConfig(kind="oobleck", path=str(folders["oobleck"]))
    with pytest.raises(UsageError, match=rf"statistics of its latents are not known: put {STATISTICS}"):
        open_audio_codec(config, CLIP).encode(tones(CLIP, 1))


def test_oobleck_takes_its_statistics_from_the_file_beside_its_weights(folders, tmp_path):
    for file in folders["oobleck"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file({"mean": torch.arange(4.0), "std": torch.full((4,), 2.0)}, tmp_path / STATISTICS)
    config = AudioCodecConfig(kind="oobleck", path=str(tmp_path))
    statistics = open_audio_codec(config, CLIP).autoencoder.statistics
    assert (statistics.mean.tolist(), statistics.std[0]) == (list(range(4)), 2.0)
    save_file({"mean": torch.zeros(3), "std": torch.ones(3)}, tmp_path / STATISTICS)
    with pytest.raises(UsageError, match=rf"{STATISTICS}: cannot be loaded: [^\n]+$"):
        open_audio_codec(config, CLIP)


@pytest.mark.parametrize("kind", KINDS)
def test_stored_codec_is_loaded_as_it_was(codecs, kind, tmp_path):
    store, codec = Store(str(tmp_path)), codecs[kind]
    files = save_model(codec.autoencoder.vae if kind == "own" else codec.autoencoder, store)
    loaded = load_audio_codec(files, store, codec.clip)
    sound = tones(codec.clip, 2)
    torch.testing.assert_close(loaded.encode(sound), codec.encode(sound))


def test_codec_when_the_sound_has_another_length_then_it_says_so(codecs):
    with pytest.raises(UsageError, match="given 100 sound samples, a clip has 16000"):
        codecs["own"].encode(torch.zeros(1, 100))


def test_own_codec_when_the_clip_has_other_mel_bands_then_it_says_so(tmp_path):
    store = Store(str(tmp_path))
    files = save_model(AudioVAE(OWN), store)
    with pytest.raises(UsageError, match="the clip has 32 mel bands, the audio autoencoder 64"):
        load_audio_codec(files, store, ClipSpec(mel_bins=32))


def test_ltx2_folder_without_its_vocoder_is_refused(folders):
    config = AudioCodecConfig(kind="ltx2", path=str(folders["ltx2"] / "audio_vae"))
    with pytest.raises(UsageError, match="no sub-folder vocoder; name the folder of the whole pipeline"):
        open_audio_codec(config, CLIP)


def test_stored_codec_when_its_kind_is_unknown_then_the_known_ones_are_named(tmp_path):
    store = Store(str(tmp_path))
    files = {"config": store.put_bytes(b'{"kind": "dac"}', ".json")}
    with pytest.raises(UsageError, match="unknown kind 'dac' of audio codec; known: own, ltx2, oobleck"):
        load_audio_codec(files, store, CLIP)
