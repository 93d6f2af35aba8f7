"""Precomputed latents with their captions: what the denoisers train on."""

import json
from dataclasses import dataclass

import torch
from safetensors.torch import load, save
from torch import Tensor

from veo_core.data.spec import ClipSpec
from veo_core.records.base import Record, canonical_json
from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest
from veo_core.storage import Store

LATENTS = ("base", "full", "enlarged", "audio")


class LatentLayout(Record):
    """What the latents stand for; file `layout` of the manifest."""

    clip: ClipSpec
    video_channels: int
    audio_channels: int
    space_factor: int


@dataclass(frozen=True)
class LatentClips:
    """Latents of the clips of one split, normalised, float32 on the CPU.

    base: picture at base size [n, c, t, h, w].
    full: at full size [m, c, t, H, W], float16, of the first m clips.
    enlarged: the base picture, enlarged without a model and encoded again; as `full`.
    audio: sound [n, c, l]. captions, short_captions: one of each a clip.
    """

    base: Tensor
    full: Tensor
    enlarged: Tensor
    audio: Tensor
    captions: list[str]
    short_captions: list[str]


def save_latents(
    layout: LatentLayout, splits: dict[str, LatentClips], frames: Tensor, store: Store
) -> dict[str, FileRef]:
    """Store latents; the manifest's files.

    Args:
        frames: full-size pictures of the first validation clips, uint8 [n, 3, t, h, w].
    """
    tensors = {
        f"{split}.{name}": getattr(clips, name).contiguous()
        for split, clips in splits.items()
        for name in LATENTS
    }
    captions = {
        split: {"captions": clips.captions, "short_captions": clips.short_captions}
        for split, clips in splits.items()
    }
    return {
        "latents": store.put_bytes(save(tensors), ".safetensors"),
        "captions": store.put_bytes(canonical_json(captions), ".json"),
        "layout": store.put_bytes(layout.to_bytes(), ".json"),
        "frames": store.put_bytes(save({"validation": frames.contiguous()}), ".safetensors"),
    }


def load_latents(manifest: Manifest, store: Store) -> tuple[LatentLayout, dict[str, LatentClips]]:
    """Read what `save_latents` stored, by split: "train" and "validation"."""
    tensors = load(store.get_bytes(manifest.files["latents"]))
    captions = json.loads(store.get_bytes(manifest.files["captions"]))
    splits = {
        split: LatentClips(**{name: tensors[f"{split}.{name}"] for name in LATENTS}, **captions[split])
        for split in captions
    }
    return load_layout(manifest, store), splits


def load_layout(manifest: Manifest, store: Store) -> LatentLayout:
    layout = json.loads(store.get_bytes(manifest.files["layout"]))
    return LatentLayout.parse(layout, where="latents layout")


def load_frames(manifest: Manifest, store: Store) -> Tensor:
    """Full-size pictures of the first validation clips, uint8 [n, 3, t, h, w]."""
    frames: Tensor = load(store.get_bytes(manifest.files["frames"]))["validation"]
    assert frames.dtype == torch.uint8
    return frames
