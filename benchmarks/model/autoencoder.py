"""Bar 5: what the autoencoders keep of clips that they were not trained on."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.model.scoring import Job, score_films, summary
from benchmarks.model.trained import TrainedRun
from benchmarks.report import Row
from veo_core.data.clips import decode_samples, shrink
from veo_core.evaluate.following import CORE
from veo_core.evaluate.intervals import bootstrap_mean
from veo_core.generate.pipeline import Film, Generator

_CLIPS = 256
_BATCH = 16
_MOST_COMPRESSED, _LEAST_PSNR = 10.0, 30.0


def rows(run: TrainedRun, seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """Validation clips, encoded and decoded; alternatives are the clips as they were."""
    generator = run.generator()
    clip = generator.clip
    samples = run.samples()["validation"][: 16 if quick else _CLIPS]
    arrays = decode_samples(samples, clip)
    sound = torch.from_numpy(arrays.audio).float() / 32767.0
    heard, sound_latents = _through_audio(generator, sound)
    yield from _std_rows("sound", sound_latents)
    yield Row("sound: values to a latent value", sound[0].numel() / sound_latents[0].numel(), "times")
    asked = [Job("seen", sample.caption) for sample in samples]
    for name, video in (("base", shrink(arrays.video, clip.upscale)), ("full", arrays.video)):
        rebuilt, latents = _through_video(generator, video)
        psnr = bootstrap_mean(psnr_of(rebuilt, video), seed=seed)
        assert psnr.value is not None
        target = _LEAST_PSNR if name == "base" else None
        yield Row(f"{name} size: PSNR of pictures", psnr.value, "dB", psnr.low, psnr.high, target)
        ratio = video[0].size / latents[0].numel()
        limit = _MOST_COMPRESSED if name == "base" else None
        yield Row(f"{name} size: values to a latent value", ratio, "times", target=limit)
        yield from _std_rows(f"{name} size", latents)
        rate = clip.audio_rate
        made = [Film(_frames(v), a, rate) for v, a in zip(rebuilt, heard, strict=True)]
        true = [Film(_frames(v), a, rate) for v, a in zip(video, sound.numpy(), strict=True)]
        yield from _detected(run, name, made, true, asked, clip.fps, seed)


def psnr_of(pictures: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> list[float]:
    """Peak signal-to-noise ratio in dB of each of n clips or pictures, both uint8 [n, ...]."""
    errors = (pictures.astype(np.float32) - truth.astype(np.float32)) / 255.0
    means = np.square(errors).reshape(len(errors), -1).mean(1)
    ratios: list[float] = (-10.0 * np.log10(np.maximum(means, 1e-10))).tolist()
    return ratios


def _detected(
    run: TrainedRun,
    name: str,
    made: Sequence[Film],
    true: Sequence[Film],
    asked: Sequence[Job],
    fps: float,
    seed: int,
) -> Iterator[Row]:
    """What the detectors find in rebuilt clips of what they find in the clips themselves."""
    figures, floor = (summary(score_films(s, asked, run.store, fps=fps), seed) for s in (made, true))
    for attribute in (*CORE, "all"):
        figure, before = (f.find(f"following_{attribute}", "seen") for f in (figures, floor))
        if figure is not None and figure.value is not None:
            what = "all together" if attribute == "all" else attribute
            yield Row(
                f"{name} size: {what}, detected after the autoencoders",
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
            words = f"{name} size: contacts that sound within {ms} ms after the autoencoders"
            baseline = before.value if before else None
            yield Row(words, figure.value, figure.unit, figure.ci_low, figure.ci_high, baseline=baseline)


def _std_rows(name: str, latents: Tensor) -> Iterator[Row]:
    """The extreme standard deviations of latent channels [n, c, ...], which the denoiser takes for 1."""
    stds = latents.transpose(0, 1).flatten(1).std(1)
    yield Row(f"{name}: least standard deviation of a latent channel", float(stds.min()), "", target=0.9)
    high = float(stds.max())
    yield Row(f"{name}: greatest standard deviation of a latent channel", high, "", target=1.1, op="<=")


@torch.no_grad()
def _through_video(
    generator: Generator, video: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint8], Tensor]:
    """Pictures uint8 [n, 3, t, h, w] after the codec, and their latents."""
    rebuilt, latents = [], []
    for part in torch.split(torch.from_numpy(video), _BATCH):
        with generator.runtime.autocast():
            encoded = generator.video_codec.encode(generator.runtime.send(part).float() / 127.5 - 1.0)
            decoded = generator.video_codec.decode(encoded).float().cpu()
        rebuilt.append(((decoded + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8))
        latents.append(encoded.float().cpu())
    return torch.cat(rebuilt).numpy(), torch.cat(latents)


@torch.no_grad()
def _through_audio(generator: Generator, sound: Tensor) -> tuple[npt.NDArray[np.float32], Tensor]:
    """Sound [n, samples] after the codec, and its latents."""
    rebuilt, latents = [], []
    for part in torch.split(sound, _BATCH):
        with generator.runtime.autocast():
            encoded = generator.audio_codec.encode(generator.runtime.send(part))
            rebuilt.append(generator.audio_codec.decode(encoded).float().cpu())
        latents.append(encoded.float().cpu())
    return torch.cat(rebuilt).numpy(), torch.cat(latents)


def _frames(video: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Pictures [3, t, h, w] as [t, h, w, 3]."""
    return np.ascontiguousarray(video.transpose(1, 2, 3, 0))
