import hashlib

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from veo_core.errors import UsageError
from veo_core.watermark.learned import AudioSeal, VideoSeal, chance

BITS = 12


class Seal(nn.Module):
    """Video Seal's interface with a mark that can be read: each bit has a random pattern of its own."""

    def __init__(self, bits: int = BITS, side: int = 32) -> None:
        super().__init__()
        self.side = side
        patterns = torch.randn(bits, 1, side, side, generator=torch.Generator().manual_seed(1))
        self.patterns = nn.Parameter(patterns)

    def forward(self, imgs: Tensor, msgs: Tensor) -> Tensor:
        return self.embed(imgs, msgs, False)

    @torch.jit.export
    def embed(self, imgs: Tensor, msgs: Tensor, is_video: bool = False) -> Tensor:
        signed = ((2.0 * msgs[0] - 1.0)[:, None, None, None] * self.patterns).sum(0, keepdim=True)
        grown = nn.functional.interpolate(signed, size=imgs.shape[-2:], mode="bilinear")
        return (imgs + 0.02 * grown).clamp(0.0, 1.0)

    @torch.jit.export
    def detect(self, imgs: Tensor, is_video: bool = False) -> Tensor:
        grey = nn.functional.interpolate(imgs.mean(1, keepdim=True), size=[self.side, self.side])
        found = (grey[:, None] * self.patterns[None]).sum((2, 3, 4))
        return torch.cat([torch.ones(len(imgs), 1), found], dim=1)


class Writer(nn.Module):
    """AudioSealWM's interface: a tone for each bit, above where the test's sound is."""

    def __init__(self, bits: int = BITS) -> None:
        super().__init__()
        self.bits = bits
        self.scale = nn.Parameter(torch.tensor(0.05))

    def forward(self, x: Tensor, sample_rate: int, message: Tensor) -> Tensor:
        return x + self.get_watermark(x, sample_rate, message)

    @torch.jit.export
    def get_watermark(self, x: Tensor, sample_rate: int, message: Tensor) -> Tensor:
        t = torch.arange(x.shape[2]) / sample_rate
        hertz = 1000.0 + 250.0 * torch.arange(self.bits)
        tones = torch.sin(2.0 * torch.pi * hertz[:, None] * t)
        return self.scale * (2.0 * message.float() - 1.0)[:, None] @ tones


class Reader(nn.Module):
    """AudioSealDetector's interface for `Writer`."""

    def __init__(self, bits: int = BITS) -> None:
        super().__init__()
        self.bits = bits
        self.scale = nn.Parameter(torch.tensor(200.0))

    def forward(self, x: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
        t = torch.arange(x.shape[2]) / sample_rate
        hertz = 1000.0 + 250.0 * torch.arange(self.bits)
        found = (x @ torch.sin(2.0 * torch.pi * hertz[:, None] * t).T)[:, 0] / x.shape[2]
        there = (found.abs().mean(1) > 0.005).float()[:, None].expand(-1, x.shape[2])
        return torch.stack([1.0 - there, there], dim=1), torch.sigmoid(self.scale * found)


def saved(model, path):
    torch.jit.script(model).save(str(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def message(bits=BITS):
    return np.random.default_rng(2).choice([-1, 1], bits)


def test_video_seal_of_a_file_marks_pictures_and_reads_them(tmp_path):
    digest = saved(Seal(), tmp_path / "seal.jit")
    seal = VideoSeal.open(tmp_path / "seal.jit", digest)
    frames = np.full((20, 48, 80, 3), 120, np.uint8)
    marked = seal.embed(frames, message())
    assert seal.bits == BITS
    assert marked.shape == frames.shape
    assert marked.dtype == np.uint8
    assert 0 < np.abs(marked.astype(int) - frames).max() < 60
    assert np.array_equal(np.sign(seal.read(marked) - seal.read(frames)), message())


@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_audio_seal_of_files_marks_sound_and_reads_it(tmp_path, rate, channels):
    digests = saved(Writer(), tmp_path / "writer.jit"), saved(Reader(), tmp_path / "reader.jit")
    seal = AudioSeal.open(tmp_path / "writer.jit", tmp_path / "reader.jit", sha256=digests)
    t = np.arange(rate) / rate
    audio = np.tile(0.3 * np.sin(2 * np.pi * 300.0 * t).astype(np.float32), (channels, 1))
    marked = seal.embed(audio, rate, message())
    assert seal.bits == BITS
    assert marked.shape == audio.shape
    soft, share = seal.read(marked, rate)
    assert np.array_equal(np.sign(soft), message())
    assert share > 0.9
    assert seal.read(audio, rate)[1] < 0.1


def test_strength_scales_the_sounds_mark():
    seal = AudioSeal(Writer(), Reader())
    audio = np.zeros((1, 16_000), np.float32)
    whole, half = (seal.embed(audio, 16_000, message(), strength=by) for by in (1.0, 0.5))
    assert np.allclose(half, 0.5 * whole, atol=1e-6)


def test_message_of_another_length_is_refused():
    with pytest.raises(UsageError, match="the message has 3 bits, the model carries 12"):
        VideoSeal(Seal()).embed(np.zeros((1, 64, 64, 3), np.uint8), np.ones(3, int))
    with pytest.raises(UsageError, match="the message has 3 bits, the model carries 12"):
        AudioSeal(Writer(), Reader()).embed(np.zeros((1, 16_000), np.float32), 16_000, np.ones(3, int))


def test_file_of_another_digest_is_not_run(tmp_path):
    saved(Seal(), tmp_path / "seal.jit")
    with pytest.raises(UsageError, match="its sha256 is"):
        VideoSeal.open(tmp_path / "seal.jit", "0" * 64)


def test_missing_file_and_pickle_are_refused_in_one_line(tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        VideoSeal.open(tmp_path / "none.jit", "0" * 64)
    path = tmp_path / "seal.pth"
    torch.save(Seal().state_dict(), path)
    with pytest.raises(UsageError, match="no TorchScript file"):
        VideoSeal.open(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_model_of_another_kind_is_refused_in_one_line(tmp_path):
    digest = saved(Reader(), tmp_path / "reader.jit")
    with pytest.raises(UsageError, match="no method embed"):
        VideoSeal.open(tmp_path / "reader.jit", digest)
    writer = saved(Writer(), tmp_path / "writer.jit")
    other = saved(nn.Linear(3, 3), tmp_path / "other.jit")
    with pytest.raises(UsageError, match="does not answer as expected"):
        AudioSeal.open(tmp_path / "writer.jit", tmp_path / "other.jit", sha256=(writer, other))


@pytest.mark.parametrize(
    ("agreeing", "bits", "rate"), [(26, 32, 1e-3), (41, 48, 1e-6), (72, 96, 1e-6), (167, 256, 1e-6)]
)
def test_chance_agrees_with_published_thresholds(agreeing, bits, rate):
    assert chance(agreeing, bits) <= rate < chance(agreeing - 1, bits)
    assert chance(0, bits) == 1.0
