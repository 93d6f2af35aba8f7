"""Change of a sound's sample rate."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_ZEROS = 16
"""Zero crossings of the sinc on each side of its centre."""

_ROLL_OFF = 0.95
"""Where the low-pass filter closes, in shares of the lower rate's Nyquist frequency."""


def resample(sound: Tensor, rate: int, new_rate: int) -> Tensor:
    """Sound [b, n] at `rate` to [b, ceil(n * new_rate / rate)], by band-limited interpolation.

    Each output sample is the input weighed by a sinc around its instant, under a Hann window: J. O. Smith,
    "Digital Audio Resampling" (ccrma.stanford.edu/~jos/resample). Both ends are followed by silence.
    """
    if rate == new_rate:
        return sound
    divisor = math.gcd(rate, new_rate)
    down, up = rate // divisor, new_rate // divisor
    cutoff = min(1.0, up / down) * _ROLL_OFF
    reach = math.ceil(_ZEROS / cutoff)
    taps = torch.arange(-reach, reach + down, device=sound.device, dtype=torch.float64)
    instants = torch.arange(up, device=sound.device, dtype=torch.float64)[:, None] * down / up
    crossings = ((taps - instants) * cutoff).clamp(-_ZEROS, _ZEROS)
    window = torch.cos(crossings * math.pi / (2 * _ZEROS)).square()
    kernels = (torch.sinc(crossings) * window * cutoff).to(sound.dtype)
    padded = F.pad(sound, (reach, reach + down))
    phases = F.conv1d(padded[:, None], kernels[:, None], stride=down)
    length = -(-sound.shape[1] * up // down)
    return phases.transpose(1, 2).flatten(1)[:, :length]
