"""Films of the base model while it trains: what TensorBoard shows and plays."""

from typing import Self

import torch
from torch import Tensor

from veo_core.data.latents import LatentBatch, LatentBucket
from veo_core.diffusion.objective import Objective
from veo_core.diffusion.sampler import sample
from veo_core.models.audio_codec import AudioCodec
from veo_core.models.codec import VideoCodec
from veo_core.models.codecs import load_codecs
from veo_core.models.transformer import JointTransformer
from veo_core.records.drawing import SamplerConfig
from veo_core.records.manifest import Manifest
from veo_core.storage import Store
from veo_core.train.captions import Captions
from veo_core.train.events import Samples
from veo_core.train.runtime import Runtime

_FILMS = 4


class FilmSamples:
    """Draws the same captions from the same noise whenever it is called, so that films can be compared.

    Args:
        model, objective, runtime: what trains, and where.
        codecs: of picture and sound.
        clips: whose captions are filmed.
        captions: how they are read.
    """

    def __init__(
        self,
        model: JointTransformer,
        objective: Objective,
        runtime: Runtime,
        codecs: tuple[VideoCodec, AudioCodec],
        clips: LatentBatch,
        captions: Captions,
    ) -> None:
        self._model, self._objective, self._runtime = model, objective, runtime
        self._video, self._audio = (runtime.place(codec) for codec in codecs)
        flags = torch.zeros(len(clips), dtype=torch.bool)
        self._tokens = captions.tokens(clips, flags, flags)
        self._empty = captions.tokens(clips, flags, ~flags)[:1]

    @classmethod
    def of(
        cls,
        latents: Manifest,
        store: Store,
        bucket: LatentBucket,
        captions: Captions,
        model: JointTransformer,
        objective: Objective,
        runtime: Runtime,
    ) -> Self:
        """Films of the bucket's first captions, through the codecs that made the latents."""
        codecs = load_codecs(latents.files, store, model.config.clip)
        clips = bucket.read(range(min(_FILMS, len(bucket))))
        return cls(model, objective, runtime, codecs, clips, captions)

    def __call__(self) -> Samples:
        config, send = self._model.config, self._runtime.send
        generator = torch.Generator().manual_seed(0)
        count = len(self._tokens)

        def noise(*shape: int) -> Tensor:
            return send(torch.randn(count, *shape, generator=generator))

        video, audio = sample(
            self._model,
            send(self._tokens),
            send(self._empty),
            config=SamplerConfig(),
            video_noise=noise(*config.video_shape),
            audio_noise=noise(*config.audio_shape),
            objective=self._objective,
        )
        frames = ((self._video.decode(video) + 1.0) * 127.5).round().to(torch.uint8)
        return Samples(
            frames.permute(0, 2, 3, 4, 1).cpu().numpy(),
            self._audio.decode(audio).clamp(-1.0, 1.0).cpu().numpy(),
            config.clip.audio_rate,
        )
