"""Drawing clips: from noise, captions and what is given of picture and sound to latents."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from veo_core.diffusion.ddpm import DDPM
from veo_core.diffusion.flow import FlowMatching
from veo_core.diffusion.guidance import GuidedDenoiser, Scales, Stream
from veo_core.diffusion.objective import Objective
from veo_core.diffusion.solvers import Ancestral, FirstOrder, Path, Solver, UniPC
from veo_core.errors import UsageError
from veo_core.models.transformer import JointTransformer
from veo_core.records.drawing import SamplerConfig


@torch.no_grad()
def sample(
    model: JointTransformer,
    tokens: Tensor,
    empty_tokens: Tensor,
    *,
    config: SamplerConfig,
    video_noise: Tensor,
    audio_noise: Tensor,
    first_frame: Tensor | None = None,
    video: Tensor | None = None,
    audio: Tensor | None = None,
    objective: Objective | None = None,
    generators: Sequence[torch.Generator] | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw picture and sound latents for captions.

    What is given decides the mode: nothing (text to picture and sound), `first_frame` (image to picture
    and sound), `video` (picture to sound), `audio` (sound to picture), or an image and sound. What is
    given comes out bit-equal. The loop never waits for the device, except for noise that `generators`
    of another device draw.

    Args:
        tokens: caption ids [b, m], or features [b, m, d]. empty_tokens: those of "no caption" [1, ...].
        video_noise: [b, c, t, h, w]. audio_noise: [b, c, l]. Of unit variance, also for what is given:
            guidance by a modality shows the noise in its place.
        first_frame: clean leading latent frames [b, c, k, h, w], in most cases one.
        video: clean picture latents [b, c, t, h, w]. audio: clean sound latents [b, c, l].
        objective: what the model was trained with (`build_objective`); flow matching if left out.
        generators: one for each clip; the solver `ddpm` draws its noise from them.

    Returns:
        Normalised latents shaped as the noise, float32.

    Raises:
        UsageError: the solver `ddpm` with a model of flow matching, or more steps than a DDPM model has.
        ValueError: arguments that exclude or need each other.
    """
    if video is not None and first_frame is not None:
        raise ValueError("give the picture as a whole or its first frame, not both")
    for name, given, noise in (("video", video, video_noise), ("audio", audio, audio_noise)):
        if given is not None and given.shape != noise.shape:
            raise ValueError(f"{name} latents {list(given.shape)} do not fit their noise {list(noise.shape)}")
    objective = objective or FlowMatching()
    shifts = config.shift, config.shift if config.audio_shift is None else config.audio_shift
    schedules = [objective.schedule(config.steps, shift) for shift in shifts]
    paths = [_path(objective, schedule) for schedule in schedules]
    solvers = [
        _solver(config, objective, schedule, path, generators)
        for schedule, path in zip(schedules, paths, strict=True)
    ]
    tracks = [_track(video_noise, first_frame if video is None else video), _track(audio_noise, audio)]

    def denoiser(picture: Scales, sound: Scales) -> GuidedDenoiser:
        return GuidedDenoiser(
            model,
            objective,
            tokens,
            empty_tokens,
            scales=(None if video is not None else picture, None if audio is not None else sound),
            noise=(video_noise, audio_noise),
        )

    guided = denoiser(
        Scales(config.video_guidance, config.video_modality, config.rescale),
        Scales(config.audio_guidance, config.audio_modality, config.rescale),
    )
    unguided = denoiser(Scales(), Scales())
    states = [track.start for track in tracks]
    for index in range(config.steps):
        streams = [
            Stream(state, track.levels(schedule[index]), *path[index])
            for state, track, schedule, path in zip(states, tracks, schedules, paths, strict=True)
        ]
        highest = max(schedule[index] for schedule in schedules)
        denoise = guided if highest >= config.guidance_floor else unguided
        expected = denoise(streams[0], streams[1], renew=index % config.guidance_every == 0)
        if config.clip is not None:
            low, high = -config.clip, config.clip
            expected = expected[0].clamp(low, high), expected[1].clamp(low, high)
        states = [
            track.kept(solver.step(index, state, data))
            for track, solver, state, data in zip(tracks, solvers, states, expected, strict=True)
        ]
    return states[0], states[1]


@dataclass(frozen=True)
class _Track:
    """One modality on its way: what it starts from, and which of its latent frames are given.

    start: noise, clean where given, [b, c, t, h, w] or [b, c, l]. given: bool, broadcasts to it.
    known: how many of them are given.
    """

    start: Tensor
    given: Tensor
    known: int

    def kept(self, state: Tensor) -> Tensor:
        """`state` with what is given in its place."""
        return torch.where(self.given, self.start, state) if self.known else state

    def levels(self, sigma: float) -> Tensor:
        """Noise levels [b, t] of picture frames, or [b, 1] of sound, at level `sigma`."""
        return torch.where(self.given, 0.0, sigma).flatten(1).expand(len(self.start), -1)


def _track(noise: Tensor, clean: Tensor | None) -> _Track:
    """A modality of which leading latent frames, all of them or none are given."""
    noise = noise.float()
    frames = noise.shape[2] if noise.dim() == 5 else 1
    known = 0 if clean is None else clean.shape[2]
    start = noise if clean is None else torch.cat([clean.to(noise), noise[:, :, known:]], dim=2)
    given = torch.arange(frames, device=noise.device) < known
    return _Track(start, given.view(1, 1, -1, *[1] * (noise.dim() - 3)), known)


def _path(objective: Objective, schedule: Sequence[float]) -> Path:
    alpha, beta = objective.coefficients(torch.tensor(schedule, dtype=torch.float64))
    return list(zip(alpha.tolist(), beta.tolist(), strict=True))


def _solver(
    config: SamplerConfig,
    objective: Objective,
    schedule: Sequence[float],
    path: Path,
    generators: Sequence[torch.Generator] | None,
) -> Solver:
    if config.solver == "euler":
        return FirstOrder(path)
    if config.solver == "unipc":
        return UniPC(path)
    if not isinstance(objective, DDPM):
        raise UsageError("sampler.solver: ddpm draws from models of DDPM; use euler or unipc for this one")
    if generators is None:
        raise ValueError("the solver ddpm needs a generator for each clip")
    return Ancestral(objective.config, schedule, generators)
