"""From prompts to pictures with sound: the four models in a row."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from veo_core.data.mel import LogMel
from veo_core.diffusion.cascade import CascadeSampler, enlarge, upsample
from veo_core.diffusion.sampler import SamplerConfig, sample
from veo_core.errors import UsageError
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.files import load_stored
from veo_core.models.transformer import JointTransformer
from veo_core.models.upsampler import Upsampler
from veo_core.models.video_vae import VideoVAE
from veo_core.records.files import FileRef
from veo_core.records.generated import ModelFiles
from veo_core.records.manifest import Manifest
from veo_core.storage import Store
from veo_core.train.runtime import Runtime, RuntimeConfig


class Film(NamedTuple):
    """A generated clip.

    frames: RGB pictures, uint8 [t, h, w, 3]. audio: float32 [samples] in [-1, 1]. audio_rate: per second.
    """

    frames: npt.NDArray[np.uint8]
    audio: npt.NDArray[np.float32]
    audio_rate: int


class Generator:
    """A loaded cascade: base model, upsampler, and the autoencoders of picture and sound."""

    def __init__(
        self,
        video_vae: VideoVAE,
        audio_vae: AudioVAE,
        base: JointTransformer,
        upsampler: Upsampler,
        runtime: Runtime,
    ) -> None:
        self.runtime = runtime
        self.video_vae, self.audio_vae = runtime.place(video_vae), runtime.place(audio_vae)
        self.base, self.upsampler = runtime.place(base), runtime.place(upsampler)
        self.clip = base.config.clip
        self.mel = runtime.place(LogMel(self.clip))

    @classmethod
    def load(cls, files: ModelFiles, store: Store, runtime: RuntimeConfig | None = None) -> Self:
        """Build a generator from stored weights and configurations.

        Raises:
            UsageError: a file is missing, damaged, or belongs to another configuration.
        """

        def pair(weights: FileRef, config: FileRef) -> dict[str, FileRef]:
            return {"weights": weights, "config": config}

        return cls(
            load_stored(
                VideoVAE,
                pair(files.video_vae_weights, files.video_vae_config),
                store,
                where="video VAE",
            ),
            load_stored(
                AudioVAE,
                pair(files.audio_vae_weights, files.audio_vae_config),
                store,
                where="audio VAE",
            ),
            load_stored(JointTransformer, pair(files.base_weights, files.base_config), store, where="base"),
            load_stored(
                Upsampler,
                pair(files.upsampler_weights, files.upsampler_config),
                store,
                where="upsampler",
            ),
            Runtime(runtime or RuntimeConfig()),
        )

    def __call__(
        self,
        prompts: Sequence[str],
        *,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        first_frames: npt.NDArray[np.uint8] | None = None,
        sampler: SamplerConfig | None = None,
        cascade: CascadeSampler | None = None,
        batch: int = 16,
    ) -> list[Film]:
        """Generate a clip for each prompt.

        Args:
            prompts: captions; an empty one generates without a caption.
            seed: clip `i` draws its noise with `seed + i`, whatever the batch.
            steps, guidance: override the sampler's steps and both of its guidance scales.
            first_frames: full-size RGB pictures uint8 [n, h, w, 3] that the clips start from.
            batch: clips at a time.

        Raises:
            UsageError: first frames of another number or size.
        """
        changes: dict[str, float] = {}
        if steps is not None:
            changes["steps"] = steps
        if guidance is not None:
            changes |= {"video_guidance": guidance, "audio_guidance": guidance}
        chosen = (sampler or SamplerConfig()).model_copy(update=changes)
        if first_frames is not None:
            self._check(first_frames, len(prompts))
        films: list[Film] = []
        for start in range(0, len(prompts), batch):
            part = slice(start, start + batch)
            given = None if first_frames is None else first_frames[part]
            films += self._draw(prompts[part], seed + start, given, chosen, cascade or CascadeSampler())
        return films

    @torch.no_grad()
    def _draw(
        self,
        prompts: Sequence[str],
        seed: int,
        first_frames: npt.NDArray[np.uint8] | None,
        sampler: SamplerConfig,
        cascade: CascadeSampler,
    ) -> list[Film]:
        config = self.base.config
        vocabulary, length = config.text.vocabulary, config.text.length
        full_shape = self.video_vae.config.latent_shape(self.clip.frames, self.clip.height, self.clip.width)
        shapes = (config.video_shape, config.audio_shape, full_shape, full_shape)
        video_noise, audio_noise, *full_noise = self._noise(shapes, seed, len(prompts))
        with self.runtime.autocast():
            clean_base, clean_full = self._encode(first_frames)
            base, sound = sample(
                self.base,
                self.runtime.send(vocabulary.tokens(prompts, length)),
                self.runtime.send(vocabulary.tokens([""], length)),
                config=sampler,
                video_noise=video_noise,
                audio_noise=audio_noise,
                first_frame=clean_base,
            )
            enlarged = enlarge(self.video_vae, base, self.clip.upscale)
            full = upsample(self.upsampler, enlarged, config=cascade, noise=(full_noise[0], full_noise[1]))
            if clean_full is not None:
                full = torch.cat([clean_full, full[:, :, 1:]], dim=2)
            pictures, log_mel = self.video_vae.decode(full), self.audio_vae.decode(sound)
        audio = self.mel.waveform(log_mel.float()).clamp(-1.0, 1.0).cpu().numpy()
        frames = ((pictures + 1.0) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 4, 1).cpu().numpy()
        return [Film(frames[i], audio[i], self.clip.audio_rate) for i in range(len(prompts))]

    def _noise(self, shapes: Sequence[tuple[int, ...]], seed: int, count: int) -> list[Tensor]:
        """Unit noise [count, *shape] for each shape; clip `i` depends on `seed + i` alone."""
        generator = torch.Generator()
        rows = []
        for index in range(count):
            generator.manual_seed(seed + index)
            rows.append([torch.randn(shape, generator=generator) for shape in shapes])
        return [self.runtime.send(torch.stack(tensors)) for tensors in zip(*rows, strict=True)]

    def _encode(self, first_frames: npt.NDArray[np.uint8] | None) -> tuple[Tensor | None, Tensor | None]:
        """Latents [b, c, 1, h, w] of given first frames, at base size and at full size."""
        if first_frames is None:
            return None, None
        full = self.runtime.send(torch.from_numpy(first_frames)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        base = torch.nn.functional.avg_pool2d(full, self.clip.upscale)
        return self.video_vae.encode(base[:, :, None]), self.video_vae.encode(full[:, :, None])

    def _check(self, first_frames: npt.NDArray[np.uint8], count: int) -> None:
        expected = (count, self.clip.height, self.clip.width, 3)
        if first_frames.shape != expected:
            raise UsageError(
                f"first frames have shape {list(first_frames.shape)}, expected {list(expected)}: one RGB "
                f"picture of the model's size for each prompt"
            )


def model_files(video_vae: Manifest, audio_vae: Manifest, base: Manifest, upsampler: Manifest) -> ModelFiles:
    """The files of a model from the manifests of the stages that trained it."""
    parts = {"video_vae": video_vae, "audio_vae": audio_vae, "base": base, "upsampler": upsampler}
    files = {
        f"{name}_{kind}": manifest.files[kind]
        for name, manifest in parts.items()
        for kind in ("weights", "config")
    }
    return ModelFiles(**files)
