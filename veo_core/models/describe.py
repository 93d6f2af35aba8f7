"""What a cascade costs, told from its configurations alone: no weight is made, nothing is computed."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from veo_core.models.audio_vae import AudioVAE
from veo_core.models.files import parameter_count
from veo_core.models.flops import layer_flops, training_flops, transformer_flops
from veo_core.models.transformer import JointTransformer, Modality
from veo_core.models.upsampler import Upsampler
from veo_core.models.video_vae import VideoVAE
from veo_core.records.base import Record


class PartDescription(Record):
    """One model of the cascade, on one clip."""

    name: str
    parameters: int
    forward_flops: int = Field(description="operations of a forward pass")
    training_flops: int = Field(description="operations of a training step")
    activation_bytes: int = Field(
        description="float32 tensors that a training step keeps for its backward pass, with nothing computed "
        "again and no matrix of attention scores, which fused kernels do not keep"
    )


class LatentDescription(Record):
    """A kind of latents: their shape, and how many fewer values they have than what they stand for."""

    name: str
    shape: tuple[int, ...]
    compression: float


class Description(Record):
    """A cascade: its clip, its tokens, its latents, its parts."""

    frames: int
    fps: float
    base_size: tuple[int, int] = Field(description="height and width of the base picture")
    full_size: tuple[int, int]
    seconds: float
    video_tokens: int
    audio_tokens: int
    text_tokens: int
    latents: list[LatentDescription]
    parts: list[PartDescription]

    @property
    def parameters(self) -> int:
        """Of all parts together."""
        return sum(part.parameters for part in self.parts)


@dataclass(frozen=True)
class Cascade:
    """The configurations of the four models."""

    video_vae: VideoVAE.Config
    audio_vae: AudioVAE.Config
    base: JointTransformer.Config
    upsampler: Upsampler.Config


def describe(cascade: Cascade) -> Description:
    """Describe a cascade for one clip."""
    clip = cascade.base.clip
    video_tokens, audio_tokens = cascade.base.token_counts
    full = cascade.video_vae.latent_shape(clip.frames, clip.height, clip.width)
    base_values = 3 * clip.frames * clip.base_height * clip.base_width
    latents = [
        _latents("picture, base", cascade.base.video_shape, base_values),
        _latents("picture, full", full, base_values * clip.upscale**2),
        _latents("sound", cascade.base.audio_shape, clip.samples),
    ]
    with torch.device("meta"):
        parts = [
            _video_vae(cascade),
            _audio_vae(cascade),
            _base(cascade.base),
            _upsampler(cascade.upsampler, full),
        ]
    return Description(
        frames=clip.frames,
        fps=clip.fps,
        base_size=(clip.base_height, clip.base_width),
        full_size=(clip.height, clip.width),
        seconds=clip.seconds,
        video_tokens=video_tokens,
        audio_tokens=audio_tokens,
        text_tokens=cascade.base.text.length,
        latents=latents,
        parts=parts,
    )


def _latents(name: str, shape: tuple[int, ...], values: int) -> LatentDescription:
    return LatentDescription(name=name, shape=shape, compression=values / math.prod(shape))


def _video_vae(cascade: Cascade) -> PartDescription:
    model, clip = VideoVAE(cascade.video_vae), cascade.base.clip
    video = torch.zeros(1, 3, clip.frames, clip.base_height, clip.base_width)
    noise = torch.zeros(1, *cascade.base.video_shape)
    return _part("video autoencoder", model, lambda: model(video, noise))


def _audio_vae(cascade: Cascade) -> PartDescription:
    model, clip = AudioVAE(cascade.audio_vae), cascade.base.clip
    mel = torch.zeros(1, cascade.audio_vae.mel_bins, clip.mel_frames)
    noise = torch.zeros(1, *cascade.base.audio_shape)
    return _part("audio autoencoder", model, lambda: model(mel, noise))


def _base(config: JointTransformer.Config) -> PartDescription:
    model = JointTransformer(config)
    video = Modality(torch.zeros(1, *config.video_shape), torch.zeros(1, config.clip.latent_frames))
    audio = Modality(torch.zeros(1, *config.audio_shape), torch.zeros(1, 1))
    tokens = torch.zeros(1, config.text.length, dtype=torch.long)
    flops = transformer_flops(config)
    part = _part("base transformer", model, lambda: model(video, audio, tokens), flops)
    # Nothing is fused on the meta device: it keeps the scores of each block.
    queries = sum(config.token_counts)
    scores = 4 * config.depth * config.heads * queries * (queries + config.text.length)
    return part.model_copy(update={"activation_bytes": part.activation_bytes - scores})


def _upsampler(config: Upsampler.Config, full: tuple[int, ...]) -> PartDescription:
    model = Upsampler(config)
    latents, level = torch.zeros(1, *full), torch.zeros(1)
    return _part("upsampler", model, lambda: model(latents, level, latents, level))


def _part(
    name: str, model: nn.Module, forward: Callable[[], object], flops: int | None = None
) -> PartDescription:
    forward_flops = layer_flops(model, forward) if flops is None else flops
    return PartDescription(
        name=name,
        parameters=parameter_count(model),
        forward_flops=forward_flops,
        training_flops=training_flops(forward_flops),
        activation_bytes=activation_bytes(model, forward),
    )


def activation_bytes(model: nn.Module, forward: Callable[[], object]) -> int:
    """Bytes that autograd keeps from `forward` for the backward pass, the model's own tensors left out."""
    own = {_storage(tensor) for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}  # holding the tensors keeps their addresses from being used again

    def pack(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in own:
            kept[_storage(tensor)] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    del result
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _storage(tensor: Tensor) -> int:
    """Identity of a tensor's storage, which views share; on the meta device data pointers are all zero."""
    return int(tensor.untyped_storage()._cdata)
