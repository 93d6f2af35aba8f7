"""Guidance: predictions pushed away from those made without the caption or without the other modality.

Classifier-free guidance (Ho and Salimans, 2207.12598) for text and modality in the form of LTX-2's
`MultiModalGuider`, `c + (g - 1)(c - u_text) + (m - 1)(c - u_modality)`, in the space of data, with the
rescaling of Lin et al. (2305.08891). A modality is left out by showing noise of level 1 in its place.
The sampler may end guidance below a noise level, as Kynkäänniemi et al. (2404.07724) do, and measure it at
some steps alone, as what a condition adds changes slowly (FasterCache, Lv et al., 2410.19355).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from veo_core.diffusion.objective import Objective
from veo_core.models.transformer import JointTransformer, Modality


@dataclass(frozen=True)
class Scales:
    """Guidance of one modality: by the caption, by the other modality, 1 for none; and the rescaling."""

    text: float = 1.0
    modality: float = 1.0
    rescale: float = 0.0


class Stream(NamedTuple):
    """One modality at a step: its state, the level of each latent, and the path's alpha and beta there.

    state [b, c, t, h, w] or [b, c, l]; sigma [b, t] or [b, 1].
    """

    state: Tensor
    sigma: Tensor
    alpha: float
    beta: float


def guided(prediction: Tensor, added: Sequence[tuple[Tensor, float]], rescale: float = 0.0) -> Tensor:
    """Push a prediction along what conditions add to it, each by its scale; scales of 1 change nothing.

    Args:
        prediction: [b, ...].
        added: the prediction less one that lacks a condition, with the scale of that condition's guidance.
        rescale: how far each clip's standard deviation goes back to that of `prediction`, 0 to 1.
    """
    result = prediction
    for difference, scale in added:
        result = result + (scale - 1.0) * difference
    if rescale:
        axes = tuple(range(1, prediction.dim()))
        ratio = prediction.std(axes, keepdim=True) / result.std(axes, keepdim=True)
        result = result * (1.0 + rescale * (ratio - 1.0))
    return result


class _Pass(NamedTuple):
    """What one pass through the model sees."""

    text: bool = True
    video: bool = True
    audio: bool = True


_ALL, _NO_TEXT = _Pass(), _Pass(text=False)
_NO_VIDEO, _NO_AUDIO = _Pass(video=False), _Pass(audio=False)
_VIDEO, _AUDIO = 0, 1


class GuidedDenoiser:
    """The data that a model expects behind noisy latents, guided; all passes go in one batch."""

    def __init__(
        self,
        model: JointTransformer,
        objective: Objective,
        tokens: Tensor,
        empty_tokens: Tensor,
        *,
        scales: tuple[Scales | None, Scales | None],
        noise: tuple[Tensor, Tensor],
    ) -> None:
        """
        Args:
            tokens: caption ids [b, m] or features [b, m, d]. empty_tokens: those of "no caption", [1, ...].
            scales: guidance of picture and sound; None for a modality that is given as a whole.
            noise: of level 1, shaped as the latents, shown in place of a modality that is left out.
        """
        self.model, self.objective, self.scales, self.noise = model, objective, scales, noise
        video, audio = (scale or Scales() for scale in scales)
        passes = [_ALL]
        if video.text != 1.0 or audio.text != 1.0:
            passes.append(_NO_TEXT)
        if video.modality != 1.0:
            passes.append(_NO_AUDIO)
        if audio.modality != 1.0:
            passes.append(_NO_VIDEO)
        self.passes = passes
        self._added: list[list[tuple[Tensor, float]]] = [[], []]
        empty = empty_tokens.expand_as(tokens)
        self.tokens = torch.cat([tokens if one.text else empty for one in passes])

    def __call__(self, video: Stream, audio: Stream, *, renew: bool = True) -> tuple[Tensor, Tensor]:
        """Expected data shaped as the states.

        Args:
            renew: measure what each condition adds. Otherwise what it added when last measured is taken, and
                one pass is made.
        """
        video_noise, audio_noise = self.noise
        passes = self.passes if renew else self.passes[:1]
        predictions = self.model(
            _batched(video, video_noise, [one.video for one in passes]),
            _batched(audio, audio_noise, [one.audio for one in passes]),
            self.tokens[: len(passes) * len(video.state)],
        )
        parts = [prediction.chunk(len(passes)) for prediction in predictions]
        return self._guided(_VIDEO, parts[0], video, renew), self._guided(_AUDIO, parts[1], audio, renew)

    def _guided(self, modality: int, parts: Sequence[Tensor], stream: Stream, renew: bool) -> Tensor:
        scales = self.scales[modality]
        if scales is None:
            return stream.state
        data = [self.objective.data(stream.state, part.float(), stream.alpha, stream.beta) for part in parts]
        if scales.rescale:
            given = (stream.sigma == 0).view(len(stream.state), 1, -1, *[1] * (stream.state.dim() - 3))
            data = [torch.where(given, stream.state, part) for part in data]
        if renew:
            without_other = _NO_AUDIO if modality == _VIDEO else _NO_VIDEO
            by_condition = {_NO_TEXT: scales.text, without_other: scales.modality}
            self._added[modality] = [
                (data[0] - part, by_condition[one])
                for part, one in zip(data, self.passes, strict=True)
                if by_condition.get(one, 1.0) != 1.0
            ]
        added = self._added[modality]
        return guided(data[0], added, scales.rescale if added else 0.0)


def _batched(stream: Stream, noise: Tensor, seen: Sequence[bool]) -> Modality:
    """A modality once for each pass; noise of level 1 where a pass does not see it."""
    if len(seen) == 1:
        return Modality(stream.state, stream.sigma)
    missing = torch.ones_like(stream.sigma)
    return Modality(
        torch.cat([stream.state if there else noise for there in seen]),
        torch.cat([stream.sigma if there else missing for there in seen]),
    )
