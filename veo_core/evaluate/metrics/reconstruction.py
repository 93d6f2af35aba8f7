"""What the model's own autoencoders keep of real clips."""

from veo_core.evaluate.metrics.declaration import Metric

_NEEDS = "the files of the model and torch"

METRICS = (
    Metric(
        name="vae_psnr",
        says="pictures rebuilt by the video VAE",
        unit="dB",
        better="higher",
        low=0.0,
        high=100.0,
        needs=_NEEDS,
        source="peak signal-to-noise ratio",
    ),
    Metric(
        name="vae_ssim",
        says="structural similarity of pictures rebuilt by the video VAE",
        unit="",
        better="higher",
        low=-1.0,
        high=1.0,
        needs=_NEEDS,
        source="Wang et al. 2004",
    ),
    Metric(
        name="vae_stft",
        says="multi-resolution STFT distance of sounds rebuilt by the audio VAE",
        unit="",
        better="lower",
        low=0.0,
        high=None,
        needs=_NEEDS,
        source="Parallel WaveGAN (1910.11480)",
    ),
)
