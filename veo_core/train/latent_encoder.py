"""One shard of the dataset to shards of latents."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from veo_core.data.clips import ClipArrays, Sample, shrink
from veo_core.data.decoded import DecodedCache
from veo_core.data.latents import LatentLayout, LatentShard, Part, store_shard
from veo_core.data.loader import read_ahead
from veo_core.data.spec import ClipSpec
from veo_core.data.statistics import ChannelSums
from veo_core.diffusion.cascade import enlarge
from veo_core.models.audio_codec import AudioCodec
from veo_core.models.codec import VideoCodec
from veo_core.records.base import Record
from veo_core.records.dataset import Shard
from veo_core.storage import Store
from veo_core.train.runtime import Runtime


class EncodedShard(Record):
    """What came of a shard of the dataset; row of its mark.

    sums: of the latents by name: video, audio, and full where there are any.
    """

    parts: list[LatentShard]
    sums: dict[str, ChannelSums]


@dataclass(frozen=True)
class Job:
    """A shard of the dataset to encode.

    spec: what its clips are brought to.
    full: how many of its first clips the upsampler trains on.
    frames: how many of its first clips keep their pictures.
    """

    shard: Shard
    spec: ClipSpec
    full: int
    frames: int


EncodeText = Callable[[Sequence[str]], tuple[Tensor, Tensor]]
"""Captions to features [b, m, d] and a mask bool [b, m]."""


class LatentEncoder:
    """Encodes shards with frozen codecs; clips are decoded in a thread, a batch ahead.

    Args:
        pictures, sounds: on the runtime's device.
        runtime: where they are.
        store: where shards lie and latents go.
        batch: clips at a time.
        text: a frozen encoder of captions, whose features are kept beside the latents.
    """

    def __init__(
        self,
        pictures: VideoCodec,
        sounds: AudioCodec,
        runtime: Runtime,
        store: Store,
        batch: int,
        text: EncodeText | None = None,
    ) -> None:
        self._pictures, self._sounds, self._runtime = pictures, sounds, runtime
        self._store, self._batch, self._text = store, batch, text

    def layout(self, spec: ClipSpec) -> LatentLayout:
        """What the latents of such clips stand for."""
        return LatentLayout(
            clip=spec, video_channels=self._pictures.channels, audio_channels=self._sounds.channels
        )

    @torch.no_grad()
    def encode(self, job: Job) -> EncodedShard:
        """Encode a shard and store its latents."""
        clips: list[Sample] = []
        made: dict[str, list[Tensor]] = {}
        for samples, arrays in self._decoded(job):
            full, frames = (max(0, count - len(clips)) for count in (job.full, job.frames))
            for name, tensor in self._latents(arrays, job.spec, full).items():
                made.setdefault(name, []).append(tensor)
            for name, tensor in self._features(samples).items():
                made.setdefault(name, []).append(tensor)
            made.setdefault("frames", []).append(torch.from_numpy(arrays.video[:frames].copy()))
            clips += samples
        whole = {name: torch.cat(pieces) for name, pieces in made.items()}
        parts: dict[Part, tuple[int, tuple[str, ...]]] = {
            "base": (len(clips), ("video", "audio", *(name for name in whole if "text" in name))),
            "full": (job.full, ("video", "full", "enlarged")),
            "frames": (job.frames, ("frames",)),
        }
        stored = []
        for part, (most, names) in parts.items():
            count = min(most, len(clips))
            if count:
                tensors = {name: whole[name][:count] for name in names}
                file = store_shard(tensors, clips[:count], self._store)
                place = {"split": job.shard.split, "bucket": job.shard.bucket}
                stored.append(LatentShard(part=part, **place, clips=count, file=file))
        sums = {name: ChannelSums.of(whole[name]) for name in ("video", "audio", "full") if name in whole}
        return EncodedShard(parts=stored, sums=sums)

    def _decoded(self, job: Job) -> Iterator[tuple[list[Sample], ClipArrays]]:
        cache = DecodedCache(job.spec, self._store)
        for samples, arrays in read_ahead(cache.batches(job.shard, self._batch)):
            texts = [Sample(s.clip_id, s.caption, s.short_caption, s.width, s.height, b"") for s in samples]
            yield texts, arrays

    def _latents(self, arrays: ClipArrays, spec: ClipSpec, full: int) -> dict[str, Tensor]:
        """Latents of a batch, float16 on the CPU: of `full` clips at full size, too."""
        with self._runtime.autocast():
            video = self._pictures.encode(self._sent(shrink(arrays.video, spec.upscale)))
            sounds = AudioCodec(self._sounds.autoencoder, spec)
            audio = sounds.encode(self._runtime.send(torch.from_numpy(arrays.audio)).float() / 32767.0)
            made = {"video": video, "audio": audio}
            if full:
                made["full"] = self._pictures.encode(self._sent(arrays.video[:full]))
                made["enlarged"] = enlarge(self._pictures, video[:full], spec.upscale)
        return {name: latents.half().cpu() for name, latents in made.items()}

    def _features(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Features float16 of the captions and the short captions, with their masks."""
        if self._text is None:
            return {}
        made: dict[str, Tensor] = {}
        for name, captions in (
            ("text", [sample.caption for sample in samples]),
            ("short_text", [sample.short_caption for sample in samples]),
        ):
            features, mask = self._text(captions)
            made |= {name: features.half().cpu(), f"{name}_mask": mask.cpu()}
        return made

    def _sent(self, pictures: "np.typing.NDArray[np.uint8]") -> Tensor:
        return self._runtime.send(torch.from_numpy(pictures)).float() / 127.5 - 1.0
