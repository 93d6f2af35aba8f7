"""Fidelity figures against skimage, torchmetrics and torch."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio

from veo_core.evaluate.fidelity import ssim, stft_distance
from veo_core.evaluate.psnr import psnr


def pictures(seed: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (2, 9, 12, 3)).repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
    noisy = np.clip(base + level * rng.standard_normal(base.shape), 0, 255).astype(np.uint8)
    return noisy, base


@pytest.mark.parametrize("level", [2.0, 15.0, 60.0])
def test_ssim_equals_skimage(level):
    noisy, base = pictures(0, level)
    expected = np.mean(
        [
            structural_similarity(
                a,
                b,
                channel_axis=2,
                data_range=255,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for a, b in zip(noisy, base, strict=True)
        ]
    )
    assert ssim(noisy, base) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("level", [2.0, 15.0])
def test_psnr_equals_torchmetrics(level):
    noisy, base = pictures(1, level)
    a, b = (torch.from_numpy(x).double() for x in (noisy, base))
    assert psnr(noisy, base) == pytest.approx(
        float(peak_signal_noise_ratio(a, b, data_range=255.0)), rel=1e-3
    )


def test_ssim_of_equal_pictures_is_one():
    _, base = pictures(2, 0.0)
    assert ssim(base, base) == pytest.approx(1.0)


def stft_by_torch(x: np.ndarray, y: np.ndarray) -> float:
    """As ParallelWaveGAN's repository has it."""
    total = 0.0
    for fft, hop, width in ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200)):
        made, true = (
            torch.sqrt(
                torch.clamp(
                    torch.stft(
                        torch.from_numpy(wave).double(),
                        fft,
                        hop,
                        width,
                        torch.hann_window(width, dtype=torch.float64),
                        return_complex=True,
                    )
                    .abs()
                    .square(),
                    min=1e-7,
                )
            )
            for wave in (x, y)
        )
        total += float(torch.norm(true - made, p="fro") / torch.norm(true, p="fro"))
        total += float(torch.nn.functional.l1_loss(torch.log(true), torch.log(made)))
    return total / 3


def test_stft_distance_equals_torch():
    rng = np.random.default_rng(3)
    true = np.sin(np.arange(8000) * 0.05).astype(np.float32)
    made = (true + 0.1 * rng.standard_normal(8000)).astype(np.float32)
    assert stft_distance(made, true) == pytest.approx(stft_by_torch(made, true), rel=1e-3)
    assert stft_distance(true, true) == 0.0


def test_fidelity_falls_with_every_step_of_noise():
    steps = (1.0, 4.0, 10.0, 25.0, 60.0)
    shown = [pictures(4, level) for level in steps]
    for figure in (ssim, psnr):
        values = [figure(noisy, base) for noisy, base in shown]
        assert values == sorted(values, reverse=True)
    true = np.sin(np.arange(6000) * 0.05).astype(np.float32)
    noise = np.random.default_rng(5).standard_normal(6000).astype(np.float32)
    values = [stft_distance(true + level / 100 * noise, true) for level in steps]
    assert values == sorted(values)
