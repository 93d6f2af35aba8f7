"""Log-mel analysis of sound, with recovery of the waveform by fast Griffin-Lim."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veo_core.data.spec import ClipSpec

_FLOOR = 1e-4


class LogMel(nn.Module):
    """Waveform [b, samples] to log-mel [b, mel_bins, mel_frames] of about [-1, 1], both ways.

    Mel frame `k` is centred at `(k + 0.5) * hop` samples, so that `samples / hop` frames cover a clip
    exactly and four of them make one latent.
    """

    window: Tensor
    filters: Tensor
    inverse: Tensor

    def __init__(self, spec: ClipSpec) -> None:
        super().__init__()
        self.spec = spec
        filters = mel_filters(spec.mel_bins, spec.window, spec.audio_rate)
        self.register_buffer("window", torch.hann_window(spec.window), persistent=False)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("inverse", torch.linalg.pinv(filters), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        mel: Tensor = self.filters @ self._stft(audio).abs().transpose(1, 2)
        return (mel.clamp(min=_FLOOR).log10() + 2.0) / 2.0

    def waveform(self, log_mel: Tensor, *, iterations: int = 16, momentum: float = 0.99) -> Tensor:
        """Log-mel [b, mel_bins, mel_frames] to sound [b, samples].

        Griffin-Lim with momentum: Perraudin, Balazs, Sondergaard, "A fast Griffin-Lim algorithm" (2013).
        """
        mel = torch.pow(10.0, 2.0 * log_mel - 2.0)
        mel = torch.where(mel > 2 * _FLOOR, mel, torch.zeros_like(mel))
        magnitude = (self.inverse @ mel).clamp(min=0.0).transpose(1, 2)
        # Each bin's own frequency gives the first phases; the iterations make the frames agree.
        bins = torch.arange(magnitude.shape[2], device=magnitude.device)
        steps = torch.arange(magnitude.shape[1], device=magnitude.device)
        phase = 2 * math.pi * self.spec.hop / self.spec.window * steps[:, None] * bins[None, :]
        spectrum = torch.polar(magnitude, phase.expand_as(magnitude).contiguous())
        previous = torch.view_as_real(torch.zeros_like(spectrum))
        for _ in range(iterations):
            rebuilt = torch.view_as_real(self._stft(self._istft(spectrum)))
            ahead = torch.lerp(rebuilt, previous, -momentum / (1 + momentum))
            previous = rebuilt
            spectrum = _with_magnitude(ahead, magnitude)
        return self._istft(spectrum)

    def _stft(self, audio: Tensor) -> Tensor:
        """[b, samples] to complex [b, mel_frames, window / 2 + 1]."""
        pad = (self.spec.window - self.spec.hop) // 2
        frames = F.pad(audio, (pad, pad)).unfold(-1, self.spec.window, self.spec.hop)
        spectrum: Tensor = torch.fft.rfft(frames * self.window)
        return spectrum

    def _istft(self, spectrum: Tensor) -> Tensor:
        """Least-squares inverse of `_stft`: overlap-add divided by the summed squared window."""
        pieces = torch.fft.irfft(spectrum, n=self.spec.window).mul_(self.window)
        squares = self.window.square().expand(1, pieces.shape[1], -1)
        pad = (self.spec.window - self.spec.hop) // 2
        audio = self._overlap_add(pieces).div_(self._overlap_add(squares).clamp_(min=1e-3))
        return audio[:, pad : pad + self.spec.samples]

    def _overlap_add(self, pieces: Tensor) -> Tensor:
        """[b, mel_frames, window] to [b, (mel_frames - 1) * hop + window]."""
        count, hop, parts = pieces.shape[1], self.spec.hop, self.spec.window // self.spec.hop
        blocks = pieces.view(len(pieces), count, parts, hop)
        total = pieces.new_zeros(len(pieces), count + parts - 1, hop)
        for k in range(parts):
            total[:, k : k + count] += blocks[:, :, k]
        return total.flatten(1)


def _with_magnitude(pairs: Tensor, magnitude: Tensor) -> Tensor:
    """Complex [...] with the phase of `pairs`, real [..., 2], which are overwritten.

    On parts apart, since complex arithmetic and a last dimension of two take CPUs several times as long.
    """
    real, imaginary = pairs.unbind(-1)
    scale = torch.addcmul(real * real, imaginary, imaginary).clamp_(min=1e-16).rsqrt_().mul_(magnitude)
    real.mul_(scale)
    imaginary.mul_(scale)
    return torch.view_as_complex(pairs)


def mel_filters(bins: int, fft: int, rate: int, lowest: float = 40.0) -> Tensor:
    """Triangular filters [bins, fft / 2 + 1], equally spaced on the HTK mel scale, each of unit peak."""
    edges = torch.linspace(_mel(lowest), _mel(rate / 2), bins + 2, dtype=torch.float64)
    hertz = 700.0 * (10.0 ** (edges / 2595.0) - 1.0)
    grid = torch.linspace(0.0, rate / 2, fft // 2 + 1, dtype=torch.float64)
    left, centre, right = hertz[:-2, None], hertz[1:-1, None], hertz[2:, None]
    filters = torch.minimum((grid - left) / (centre - left), (right - grid) / (right - centre)).clamp(min=0)
    # Magnitudes scale with the window's sum; this keeps a full-scale tone near 1.
    return (filters / (fft / 8)).float()


def _mel(hertz: float) -> float:
    return 2595.0 * math.log10(1.0 + hertz / 700.0)
