"""Latents made at random: what the base model trains on where no codec is needed."""

from types import SimpleNamespace

import torch

from veo_core.data.latents import LatentLayout, LatentLayouts, LatentShard, store_shard
from veo_core.data.spec import ClipSpec
from veo_core.models.text import Vocabulary
from veo_core.records.manifest import Manifest
from veo_core.storage import Store

SPEC = ClipSpec(frames=9, height=32, width=32)
CAPTION = "a red circle moving left"


def made_latents(store: Store, *, train: int = 12, validation: int = 8) -> Manifest:
    """The manifest of a latents stage, with 16 channels of picture and of sound."""
    generator = torch.Generator().manual_seed(0)
    shape = SPEC.latent_frames, SPEC.base_height // SPEC.video.space, SPEC.base_width // SPEC.video.space
    shards = []
    for split, count in (("train", train), ("validation", validation)):
        tensors = {
            "video": torch.randn(count, 16, *shape, generator=generator).half(),
            "audio": torch.randn(count, 16, SPEC.audio_latents, generator=generator).half(),
        }
        clips = [
            SimpleNamespace(clip_id=f"{split}-{n}", caption=CAPTION, short_caption="a red circle")
            for n in range(count)
        ]
        file = store_shard(tensors, clips, store)
        shards.append(LatentShard(part="base", split=split, bucket="only", clips=count, file=file))
    layout = LatentLayout(clip=SPEC, video_channels=16, audio_channels=16)
    return Manifest(
        stage="encode_latents",
        config_digest="",
        tables={"latents": store.put_table(shards, LatentShard)},
        files={
            "layout": store.put_bytes(LatentLayouts(buckets={"only": layout}).to_bytes(), ".json"),
            "vocabulary": store.put_bytes(Vocabulary.from_captions([CAPTION]).to_bytes(), ".json"),
        },
    )
