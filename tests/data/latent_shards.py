"""Small latent shards whose every value tells the clip that it belongs to."""

from collections.abc import Sequence

import torch

from veo_core.data.latents import LatentBucket, LatentClip, LatentLayout, store_shard
from veo_core.data.mapped import MappedShard
from veo_core.data.spec import ClipSpec
from veo_core.storage import Store

LAYOUT = LatentLayout(clip=ClipSpec(), video_channels=2, audio_channels=3)


def shard_of(
    store: Store,
    numbers: Sequence[int],
    side: int = 4,
    text: bool = False,
    dtype: torch.dtype = torch.float16,
) -> MappedShard:
    """A shard of the clips with these numbers."""
    values = torch.tensor(numbers, dtype=dtype)
    tensors = {
        "video": values[:, None, None, None, None].expand(-1, 2, 3, side, side),
        "audio": -values[:, None, None].expand(-1, 3, 5),
    }
    if text:
        tensors["text"] = values[:, None, None].expand(-1, 6, 8)
        tensors["text_mask"] = torch.arange(6)[None] <= torch.tensor(numbers)[:, None] % 6
    clips = [
        LatentClip(
            clip_id=f"id-{number}",
            split="train",
            bucket="b",
            row=row,
            caption=f"clip {number} größer",
            short_caption=f"{number}",
        )
        for row, number in enumerate(numbers)
    ]
    return MappedShard(store_shard(tensors, clips, store), len(numbers), store, made_by="encode_latents")


def bucket_of(store: Store, counts: Sequence[int], *, first: int = 0, side: int = 4) -> LatentBucket:
    """A bucket of shards with so many clips each, numbered from `first`."""
    shards = []
    for count in counts:
        shards.append(shard_of(store, range(first, first + count), side))
        first += count
    return LatentBucket(f"{side}x{side}", LAYOUT, shards)
