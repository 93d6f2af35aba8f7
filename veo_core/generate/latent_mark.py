"""The mark in the initial noise of the deterministic sampler: written before a draw, read back from a film.

Reading encodes the film, integrates the sampler backwards to the noise, and lets its signs vote, as Gaussian
Shading (2404.04956) and VideoShield (2501.14195) do. How much of the noise a film still tells depends on the
model: `measure` says it, and a model whose bit accuracy is below `ENOUGH` goes without this mark.
"""

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from veo_core.diffusion.guidance import GuidedDenoiser, Scales, Stream
from veo_core.errors import UsageError
from veo_core.generate.pipeline import Film, Generator, Noise
from veo_core.generate.request import Request
from veo_core.media.decode import decode
from veo_core.media.encode import encode
from veo_core.records.drawing import SamplerConfig
from veo_core.watermark.latent import NoiseReading, noise_signs, read_noise

ENOUGH = 0.9
"""Bit accuracy from which on the mark is worth having."""


def mark_noise(noise: Tensor, bits: npt.NDArray[np.integer], key: bytes, index: int = 0) -> Tensor:
    """Noise of one clip with the payload in its signs; its distribution is the same.

    Args:
        noise: unit normal values of any shape.
        bits: the coded payload, +1 or -1, [n].
        key: the secret.
        index: key index of the clip.
    """
    signs = torch.from_numpy(noise_signs(noise.numel(), bits, key, index).astype(np.float32))
    return noise.abs() * signs.to(noise).view(noise.shape)


@dataclass(frozen=True)
class Inversion:
    """How the sampler is integrated backwards.

    prompt: whether the prompt is known; the empty one stands in for it where it is not.
    guided: whether guidance is applied as in the draw.
    refinements: how often the state of a step is solved for again, which makes the step the exact inverse of
        Euler's where it converges (fixed-point iteration; Pan et al., "Effective real image editing with
        accelerated iterative diffusion inversion", 2023).
    """

    prompt: bool = True
    guided: bool = True
    refinements: int = 0


class NoiseReader:
    """Recovers the initial noise of films that a model of flow matching drew with Euler's method."""

    def __init__(self, generator: Generator, sampler: SamplerConfig | None = None) -> None:
        """
        Args:
            generator: the model that made the films.
            sampler: how it drew them.

        Raises:
            UsageError: the model or the sampler is of a kind whose steps are not inverted here.
        """
        self.generator, self.sampler = generator, sampler or SamplerConfig()
        config = self.sampler
        if config.solver != "euler" or generator.base.config.objective.prediction != "velocity":
            raise UsageError("the mark in noise is read back from flow matching with the solver euler alone")
        if config.clip is not None or config.rescale or config.audio_shift not in (None, config.shift):
            raise UsageError("the mark in noise is read back without clip, rescale and audio_shift")
        if config.guidance_every != 1:
            raise UsageError("the mark in noise is read back where guidance is measured at every step")

    def latents(self, films: Sequence[Film]) -> tuple[Tensor, Tensor]:
        """The base model's latents of films, [b, c, t, h, w] and [b, c, l].

        Raises:
            UsageError: a film has another number or size of pictures than the model makes.
        """
        clip = self.generator.clip
        shape = clip.frames, clip.height, clip.width, 3
        wrong = next((film for film in films if film.frames.shape != shape), None)
        if wrong is not None:
            raise UsageError(f"a film of {list(wrong.frames.shape)}, the model makes {list(shape)}")
        waves = np.zeros((len(films), clip.samples), np.float32)
        for wave, film in zip(waves, films, strict=True):
            heard = film.audio[: clip.samples]
            wave[: len(heard)] = heard
        pictures = torch.from_numpy(np.stack([film.frames for film in films]))
        video = self.generator.encode_pictures(pictures, clip.upscale)
        return video, self.generator.audio_codec.encode(self.generator.runtime.send(torch.from_numpy(waves)))

    @torch.no_grad()
    def noise(
        self, latents: tuple[Tensor, Tensor], prompts: Sequence[str], how: Inversion | None = None
    ) -> tuple[Tensor, Tensor]:
        """The noise that latents were drawn from, shaped as they are.

        Args:
            latents: of picture [b, c, t, h, w] and sound [b, c, l].
            prompts: of the films; not looked at where `how` says that they are unknown.
        """
        how = how or Inversion()
        states = latents[0].float(), latents[1].float()
        guided, plain = self._denoisers(states, prompts, how)
        schedule = self.generator.objective.schedule(self.sampler.steps, self.sampler.shift)[::-1]
        for low, high in itertools.pairwise(schedule):
            denoiser = guided if high >= self.sampler.guidance_floor else plain
            start = states
            for _ in range(1 + how.refinements):
                velocity = _velocity(denoiser, states, high)
                states = (
                    start[0] + (high - low) * velocity[0],
                    start[1] + (high - low) * velocity[1],
                )
        return states

    def _denoisers(
        self, latents: tuple[Tensor, Tensor], prompts: Sequence[str], how: Inversion
    ) -> tuple[GuidedDenoiser, GuidedDenoiser]:
        """With the sampler's guidance, and without."""
        generator, config = self.generator, self.sampler
        empty = generator.runtime.send(generator.prompts([""]))
        known = list(prompts) if how.prompt else [""] * len(latents[0])
        tokens = generator.runtime.send(generator.prompts(known))
        picture, sound = (
            (
                Scales(config.video_guidance, config.video_modality),
                Scales(config.audio_guidance, config.audio_modality),
            )
            if how.guided
            else (Scales(), Scales())
        )
        guided, plain = (
            GuidedDenoiser(generator.base, generator.objective, tokens, empty, scales=scales, noise=latents)
            for scales in ((picture, sound), (Scales(), Scales()))
        )
        return guided, plain


def _velocity(denoiser: GuidedDenoiser, states: tuple[Tensor, Tensor], sigma: float) -> tuple[Tensor, Tensor]:
    """Data to noise at one level, from the data that the model expects."""
    video, audio = states
    at_video = torch.full((len(video), video.shape[2]), sigma, device=video.device)
    at_audio = torch.full((len(audio), 1), sigma, device=audio.device)
    expected = denoiser(
        Stream(video, at_video, 1.0 - sigma, sigma), Stream(audio, at_audio, 1.0 - sigma, sigma)
    )
    return (video - expected[0]) / sigma, (audio - expected[1]) / sigma


@dataclass(frozen=True)
class Accuracy:
    """How well the mark is read back from films.

    signs: share of noise values whose sign is right. bits: share of payload bits that are.
    detected: share of films whose p-value is at most 1e-6. films: how many there were.
    """

    signs: float
    bits: float
    detected: float
    films: int

    @property
    def enough(self) -> bool:
        """Whether the mark is to be switched on."""
        return self.bits >= ENOUGH


def measure(
    generator: Generator,
    prompts: Sequence[str],
    *,
    key: bytes,
    bits: int,
    how: Inversion | None = None,
    seed: int = 0,
    coded: bool = True,
) -> Accuracy:
    """Draw marked films of a model and read them back.

    Args:
        prompts: one for each film.
        key: the secret.
        bits: length of the coded payload.
        how: the inversion.
        seed: of payloads and noise.
        coded: whether the films are written to MP4 files and read from them.
    """
    rng = np.random.default_rng(seed)
    payloads = np.where(rng.random((len(prompts), bits)) < 0.5, -1, 1)
    generators = [torch.Generator().manual_seed(seed + number) for number in range(len(prompts))]
    noise = generator.noise(generators)
    rows = zip(noise.video, payloads, strict=True)
    marked = torch.stack([mark_noise(row, payload, key) for row, payload in rows])
    requests = [Request(prompt, seed=seed + number) for number, prompt in enumerate(prompts)]
    films = generator.draw(requests, generators, noise=Noise(marked, *noise[1:]))
    if coded:
        films = [_coded(film, generator.clip.fps) for film in films]
    reader = NoiseReader(generator)
    recovered = reader.noise(reader.latents(films), prompts, how)[0].flatten(1).double().cpu().numpy()
    readings: list[NoiseReading] = [read_noise(row, bits, key) for row in recovered]
    soft = np.stack([reading.soft for reading in readings])
    return Accuracy(
        signs=float(((recovered > 0) == (marked.flatten(1).cpu().numpy() > 0)).mean()),
        bits=float(((soft > 0) == (payloads > 0)).mean()),
        detected=float(np.mean([reading.p_value <= 1e-6 for reading in readings])),
        films=len(prompts),
    )


def _coded(film: Film, fps: float) -> Film:
    """A film after it was written to an MP4 file and read from it."""
    with tempfile.TemporaryDirectory(prefix="veo-noise-mark-") as folder:
        path = Path(folder, "film.mp4")
        encode(path, film.frames, fps=fps, audio=film.audio[None], audio_rate=film.audio_rate)
        decoded = decode(path)
    sound = film.audio if decoded.audio is None else decoded.audio[0]
    return Film(decoded.frames, sound, film.audio_rate)
