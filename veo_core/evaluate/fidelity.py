"""How near a picture or a sound that was rebuilt comes to the true one, besides PSNR."""

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_SIDE, _SIGMA = 11, 1.5
_STFT = ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200))  # FFT, hop, window
_FLOOR = 1e-7


def ssim(one: UInt8, other: UInt8) -> float:
    """Structural similarity of pictures [t, h, w, 3] of 11 pixels a side or more, -1 to 1 (equal).

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004: Gaussian
    windows of 11 pixels, each channel by itself; the mean over all places that a whole window covers.
    """
    values = [_ssim(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(one, other, strict=True)]
    return float(np.mean(values))


def _ssim(a: Floats, b: Floats) -> float:
    c1, c2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
    mean_a, mean_b = _smooth(a), _smooth(b)
    var_a = _smooth(a * a) - mean_a**2
    var_b = _smooth(b * b) - mean_b**2
    both = _smooth(a * b) - mean_a * mean_b
    values = ((2 * mean_a * mean_b + c1) * (2 * both + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    border = _SIDE // 2
    return float(values[border:-border, border:-border].mean())


def _smooth(picture: Floats) -> Floats:
    return np.asarray(cv2.GaussianBlur(picture, (_SIDE, _SIDE), _SIGMA))


def stft_distance(sound: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> float:
    """Multi-resolution STFT distance of waveforms [l], 0 for equal ones.

    Spectral convergence plus the mean absolute difference of log magnitudes, the mean over three
    resolutions: Yamamoto et al., "Parallel WaveGAN" (1910.11480).
    """
    total = 0.0
    for fft, hop, width in _STFT:
        made, true = (_magnitudes(wave, fft, hop, width) for wave in (sound, truth))
        convergence = float(np.linalg.norm(true - made) / max(float(np.linalg.norm(true)), _FLOOR))
        total += convergence + float(np.mean(np.abs(np.log(true) - np.log(made))))
    return total / len(_STFT)


def _magnitudes(wave: npt.NDArray[np.float32], fft: int, hop: int, width: int) -> Floats:
    """Magnitudes [t, fft / 2 + 1]; frames are centred, the ends mirrored, as torch.stft has them."""
    before = (fft - width) // 2
    window = np.pad(np.hanning(width + 1)[:-1], (before, fft - width - before))
    padded = np.pad(wave.astype(np.float64), fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft)[::hop]
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    return np.asarray(np.sqrt(np.maximum(power, _FLOOR)))
