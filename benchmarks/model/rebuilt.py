"""What an autoencoder of pictures keeps of clips: PSNR, compression, what the detectors still find."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.model.scoring import Job, score_films, summary
from benchmarks.report import Row
from veo_core.data.spec import ClipSpec
from veo_core.evaluate.following import CORE
from veo_core.evaluate.intervals import bootstrap_mean
from veo_core.generate.pipeline import Film
from veo_core.models.codec import VideoCodec
from veo_core.storage import Store
from veo_core.train.runtime import Runtime

BATCH = 16


@dataclass(frozen=True)
class Scoring:
    """What the detectors need: prompts of the clips, a store to write them to, what a clip is."""

    asked: Sequence[Job]
    store: Store
    clip: ClipSpec
    seed: int


def picture_rows(
    name: str,
    codec: VideoCodec,
    runtime: Runtime,
    video: npt.NDArray[np.uint8],
    sound: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    scoring: Scoring,
    *,
    least_psnr: float | None = None,
    least_ratio: float | None = None,
) -> Iterator[Row]:
    """What a codec keeps of clips uint8 [n, 3, t, h, w].

    Args:
        sound: of the rebuilt clips and of those as they were, [n, samples] in [-1, 1].
        least_psnr, least_ratio: targets of the PSNR in dB, and of values to a latent value.
    """
    rebuilt, latents = _through_video(codec, runtime, video)
    psnr = bootstrap_mean(psnr_of(rebuilt, video), seed=scoring.seed)
    assert psnr.value is not None
    yield Row(f"{name}: PSNR of pictures", psnr.value, "dB", psnr.low, psnr.high, least_psnr)
    ratio = video[0].size / latents[0].numel()
    yield Row(f"{name}: values to a latent value", ratio, "times", target=least_ratio)
    yield from std_rows(name, latents)
    rate = scoring.clip.audio_rate
    made, true = (
        [Film(_frames(v), a, rate) for v, a in zip(pictures, sounds, strict=True)]
        for pictures, sounds in zip((rebuilt, video), sound, strict=True)
    )
    yield from _detected(name, made, true, scoring)


def psnr_of(pictures: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> list[float]:
    """Peak signal-to-noise ratio in dB of each of n clips or pictures, both uint8 [n, ...]."""
    errors = (pictures.astype(np.float32) - truth.astype(np.float32)) / 255.0
    means = np.square(errors).reshape(len(errors), -1).mean(1)
    ratios: list[float] = (-10.0 * np.log10(np.maximum(means, 1e-10))).tolist()
    return ratios


def _detected(name: str, made: Sequence[Film], true: Sequence[Film], scoring: Scoring) -> Iterator[Row]:
    """What the detectors find in rebuilt clips of what they find in the clips themselves."""
    asked, store, fps = scoring.asked, scoring.store, scoring.clip.fps
    figures, floor = (summary(score_films(s, asked, store, fps=fps), scoring.seed) for s in (made, true))
    for attribute in (*CORE, "all"):
        figure, before = (f.find(f"following_{attribute}", "seen") for f in (figures, floor))
        if figure is not None and figure.value is not None:
            what = "all together" if attribute == "all" else attribute
            yield Row(
                f"{name}: {what}, detected after the autoencoders",
                figure.value,
                figure.unit,
                figure.ci_low,
                figure.ci_high,
                target=None if attribute == "all" else 0.99,
                baseline=before.value if before else None,
            )
    for ms in (50, 100):
        figure, before = (f.find(f"sync_share_{ms}ms", "all") for f in (figures, floor))
        if figure is not None and figure.value is not None:
            words = f"{name}: contacts that sound within {ms} ms after the autoencoders"
            baseline = before.value if before else None
            yield Row(words, figure.value, figure.unit, figure.ci_low, figure.ci_high, baseline=baseline)


def std_rows(name: str, latents: Tensor) -> Iterator[Row]:
    """The extreme standard deviations of latent channels [n, c, ...], which the denoiser takes for 1."""
    stds = latents.transpose(0, 1).flatten(1).std(1)
    yield Row(f"{name}: least standard deviation of a latent channel", float(stds.min()), "", target=0.9)
    high = float(stds.max())
    yield Row(f"{name}: greatest standard deviation of a latent channel", high, "", target=1.1, op="<=")


@torch.no_grad()
def _through_video(
    codec: VideoCodec, runtime: Runtime, video: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint8], Tensor]:
    """Pictures uint8 [n, 3, t, h, w] after the codec, and their latents."""
    rebuilt, latents = [], []
    for part in torch.split(torch.from_numpy(video), BATCH):
        with runtime.autocast():
            encoded = codec.encode(runtime.send(part).float() / 127.5 - 1.0)
            decoded = codec.decode(encoded).float().cpu()
        rebuilt.append(((decoded + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8))
        latents.append(encoded.float().cpu())
    return torch.cat(rebuilt).numpy(), torch.cat(latents)


def _frames(video: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Pictures [3, t, h, w] as [t, h, w, 3]."""
    return np.ascontiguousarray(video.transpose(1, 2, 3, 0))
