"""From prompts to pictures with sound: the four models in a row."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from veo_core.diffusion.build import build_objective
from veo_core.diffusion.cascade import enlarge, upsample
from veo_core.diffusion.sampler import sample
from veo_core.generate.identity import ModelIdentity
from veo_core.generate.request import Request, check_given
from veo_core.models.audio_codec import AudioCodec
from veo_core.models.codec import VideoCodec
from veo_core.models.codecs import load_audio_codec, load_video_codec
from veo_core.models.files import digest_of_weights, load_stored
from veo_core.models.prompts import PromptEncoder
from veo_core.models.transformer import JointTransformer
from veo_core.models.upsampler import Upsampler
from veo_core.records.drawing import CascadeSampler, Drawing, SamplerConfig
from veo_core.records.files import FileRef
from veo_core.records.generated import ModelFiles
from veo_core.records.manifest import Manifest
from veo_core.storage import Store
from veo_core.train.runtime import Runtime, RuntimeConfig

Picture = npt.NDArray[np.uint8]


class Film(NamedTuple):
    """A generated clip.

    frames: RGB pictures, uint8 [t, h, w, 3]. audio: float32 [samples] in [-1, 1]. audio_rate: per second.
    """

    frames: Picture
    audio: npt.NDArray[np.float32]
    audio_rate: int


class Noise(NamedTuple):
    """Unit noise of one clip or of a batch: base picture, sound, the upsampler's path and its condition."""

    video: Tensor
    audio: Tensor
    start: Tensor
    condition: Tensor


class Generator:
    """A loaded cascade: base model, upsampler, and the codecs of picture and sound."""

    def __init__(
        self,
        video_codec: VideoCodec,
        audio_codec: AudioCodec,
        base: JointTransformer,
        upsampler: Upsampler,
        runtime: Runtime,
        prompts: PromptEncoder | None = None,
        identity: ModelIdentity | None = None,
        drawing: Drawing | None = None,
    ) -> None:
        self._identity = identity
        self.drawing = drawing or Drawing()
        self.runtime = runtime
        self.video_codec, self.audio_codec = runtime.place(video_codec), runtime.place(audio_codec)
        self.base, self.upsampler = runtime.place(base), runtime.place(upsampler)
        self.prompts = runtime.place(prompts or PromptEncoder(base.config.text))
        self.clip = base.config.clip
        self.objective = build_objective(base.config.objective)

    @classmethod
    def load(
        cls,
        files: ModelFiles,
        store: Store,
        runtime: RuntimeConfig | None = None,
        identity: ModelIdentity | None = None,
        drawing: Drawing | None = None,
    ) -> Self:
        """Build a generator from stored weights and configurations.

        Args:
            files: the model's.
            store: where they are.
            runtime: device and precision; chosen by what is there where None.
            identity: of a registered model; that of the files alone where None.
            drawing: how its clips were drawn when it was evaluated; the usual way where None.

        Raises:
            UsageError: a file is missing, damaged, or belongs to another configuration.
        """

        def pair(part: str) -> dict[str, FileRef]:
            return {kind: getattr(files, f"{part}_{kind}") for kind in ("weights", "config")}

        base = load_stored(JointTransformer, pair("base"), store, where="base")
        return cls(
            load_video_codec(pair("video_vae"), store, where="video VAE"),
            load_audio_codec(pair("audio_vae"), store, base.config.clip, where="audio VAE"),
            base,
            load_stored(Upsampler, pair("upsampler"), store, where="upsampler"),
            Runtime(runtime or RuntimeConfig()),
            identity=identity or ModelIdentity(files.digest),
            drawing=drawing,
        )

    @cached_property
    def identity(self) -> ModelIdentity:
        """What marks and manifests call the model; by its weights where it was read from no files."""
        parts = {
            "video": self.video_codec,
            "audio": self.audio_codec,
            "base": self.base,
            "upsampler": self.upsampler,
        }
        return self._identity or ModelIdentity(digest_of_weights(parts))

    def check(self, request: Request) -> None:
        """Whether the model can make a clip.

        Raises:
            UsageError: the prompt is too long, or what is given has a wrong shape or excludes the rest.
        """
        self.prompts.check(request.prompt)
        check_given(request, self.clip)

    def __call__(
        self,
        prompts: Sequence[str],
        *,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        first_frames: Picture | None = None,
        sampler: SamplerConfig | None = None,
        cascade: CascadeSampler | None = None,
        batch: int = 16,
    ) -> list[Film]:
        """Generate a clip for each prompt; clip `i` is drawn with `seed + i`, as `drawing` says where nothing
        else is asked for.

        Args:
            steps, guidance: override the sampler's steps and both of its guidance scales.
            first_frames: pictures uint8 [n, h, w, 3] of the model's size that the clips start with.
            batch: clips at a time.

        Raises:
            UsageError: a prompt is too long, or first frames are of another number or size.
        """
        changes: dict[str, float] = {}
        if steps is not None:
            changes["steps"] = steps
        if guidance is not None:
            changes |= {"video_guidance": guidance, "audio_guidance": guidance}
        chosen = (sampler or self.drawing.sampler).model_copy(update=changes)
        images = [None] * len(prompts) if first_frames is None else list(first_frames)
        requests = [
            Request(prompt, seed=seed + number, sampler=chosen, image=image)
            for number, (prompt, image) in enumerate(zip(prompts, images, strict=True))
        ]
        films = dict(self.films(requests, cascade=cascade, batch=batch))
        return [films[number] for number in range(len(requests))]

    def films(
        self, requests: Sequence[Request], *, cascade: CascadeSampler | None = None, batch: int = 16
    ) -> Iterator[tuple[int, Film]]:
        """Each request's number and clip, as batches are done. What has the same kind shares batches; a
        clip's noise depends on its seed alone.

        Raises:
            UsageError: a request does not fit the model.
        """
        for request in requests:
            self.check(request)
        kinds: dict[object, list[int]] = {}
        for number, request in enumerate(requests):
            kinds.setdefault(request.kind, []).append(number)
        for numbers in kinds.values():
            for start in range(0, len(numbers), batch):
                part = numbers[start : start + batch]
                chosen = [requests[number] for number in part]
                generators = [torch.Generator().manual_seed(request.seed) for request in chosen]
                yield from zip(part, self.draw(chosen, generators, cascade), strict=True)

    def noise(self, generators: Sequence[torch.Generator]) -> Noise:
        """Noise of a batch, a clip from each generator: what `draw` draws where it is given none."""
        height, width = self.clip.height, self.clip.width
        full = (
            self.video_codec.channels,
            *self.video_codec.factors.latent_shape(self.clip.frames, height, width),
        )
        shapes = (self.base.config.video_shape, self.base.config.audio_shape, full, full)
        rows = [
            [torch.randn(shape, generator=generator, device=generator.device) for shape in shapes]
            for generator in generators
        ]
        return Noise(*(self.runtime.send(torch.stack(tensors)) for tensors in zip(*rows, strict=True)))

    @torch.no_grad()
    def draw(
        self,
        requests: Sequence[Request],
        generators: Sequence[torch.Generator],
        cascade: CascadeSampler | None = None,
        noise: Noise | None = None,
    ) -> list[Film]:
        """Make one batch of clips of the same kind, each with the noise of its generator, or with `noise`."""
        noise, scale = noise or self.noise(generators), self.clip.upscale
        first = _stacked([request.image for request in requests])
        video, audio = (_stacked([getattr(r, name) for r in requests]) for name in ("video", "audio"))
        with self.runtime.autocast():
            base, sound = sample(
                self.base,
                self.runtime.send(self.prompts([request.prompt for request in requests])),
                self.runtime.send(self.prompts([""])),
                config=requests[0].sampler,
                video_noise=noise.video,
                audio_noise=noise.audio,
                first_frame=None if first is None else self.encode_pictures(first[:, None], scale),
                video=None if video is None else self.encode_pictures(video, scale),
                audio=None if audio is None else self.audio_codec.encode(self.runtime.send(audio)),
                objective=self.objective,
                generators=generators,
            )
            if video is None:
                video = self._refine(base, first, noise, cascade or self.drawing.cascade)
            if audio is None:
                audio = self.audio_codec.decode(sound).float().cpu()
        frames, waves = video.numpy(), audio.numpy()
        return [Film(frames[i], waves[i], self.clip.audio_rate) for i in range(len(requests))]

    def _refine(self, base: Tensor, first: Tensor | None, noise: Noise, cascade: CascadeSampler) -> Tensor:
        """Full-size pictures uint8 [b, t, h, w, 3] from base latents; the first one is kept where given."""
        enlarged = enlarge(self.video_codec, base, self.clip.upscale)
        full = upsample(self.upsampler, enlarged, config=cascade, noise=(noise.start, noise.condition))
        if first is not None:
            full = torch.cat([self.encode_pictures(first[:, None]), full[:, :, 1:]], dim=2)
        return _to_bytes(self.video_codec.decode(full))

    @torch.no_grad()
    def rebuilt(self, pictures: Picture) -> Picture:
        """Single pictures of the model's size after the video codec; both uint8 [n, h, w, 3]."""
        with self.runtime.autocast():
            latents = self.encode_pictures(torch.from_numpy(pictures)[:, None])
            rebuilt: Picture = _to_bytes(self.video_codec.decode(latents))[:, 0].numpy()
        return rebuilt

    def encode_pictures(self, pictures: Tensor, shrink: int = 1) -> Tensor:
        """Latents [b, c, t, h, w] of pictures uint8 [b, f, h, w, 3], made `shrink` times smaller before."""
        video = self.runtime.send(pictures).permute(0, 4, 1, 2, 3).float() / 127.5 - 1.0
        if shrink > 1:
            video = F.avg_pool3d(video, (1, shrink, shrink))
        return self.video_codec.encode(video)


def _stacked(given: Sequence[npt.NDArray[np.generic] | None]) -> Tensor | None:
    """What is given for each clip of a batch as one tensor; None where nothing is."""
    present = [array for array in given if array is not None]
    return torch.from_numpy(np.stack(present)) if present else None


def _to_bytes(video: Tensor) -> Tensor:
    """Pictures [b, 3, t, h, w] in [-1, 1] to uint8 [b, t, h, w, 3] on the CPU."""
    return ((video + 1.0) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 4, 1).cpu()


def model_files(video_vae: Manifest, audio_vae: Manifest, base: Manifest, upsampler: Manifest) -> ModelFiles:
    """The files of a model from the manifests of the stages that trained it."""
    parts = {"video_vae": video_vae, "audio_vae": audio_vae, "base": base, "upsampler": upsampler}
    files = {
        f"{name}_{kind}": manifest.files[kind]
        for name, manifest in parts.items()
        for kind in ("weights", "config")
    }
    return ModelFiles(**files)
