"""Clips that are ready to be packed, made without film or judge."""

import cv2
import numpy as np

from veo_core.curate.package import PackageConfig, run
from veo_core.records.base import sha256_bytes
from veo_core.records.clip import Annotation, Clip, MediaFacts, Pair, Signals, Source
from veo_core.records.dataset import DatasetSpec, Shard
from veo_core.records.ledger import Decision
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.storage import Store

SIGNALS = Signals(
    **{
        name: 0.5
        for name, info in Signals.model_fields.items()
        if info.annotation is float and info.is_required()
    }
)


def picture(seed: int) -> bytes:
    written, data = cv2.imencode(".jpg", np.full((16, 16, 3), seed % 256, np.uint8))
    assert written
    return bytes(data)


def make_clip(
    store: Store,
    number: int,
    *,
    source: str = "",
    content: str = "",
    url: str = "",
    shot: int = 0,
    captioned: bool = True,
    author: str = "Ada",
    **facts: float,
) -> Clip:
    """Clip `number`: of the source file `source`, whose bytes are `content`."""
    name = source or f"film-{number:03d}.mp4"
    file = store.put_bytes(f"footage {content or name}".encode(), ".mp4")
    source_id = sha256_bytes(f"{name}\n{file.sha256}".encode())
    shape = {"width": 64, "height": 64, "fps": 8.0, "frames": 17, "audio_rate": 48_000, "audio_seconds": 2.1}
    note = Annotation(
        caption=f"Caption number {number}.", short_caption=f"Short {number}.", sound="a tone",
        judge="test", judge_version="1",
    )  # fmt: skip
    return Clip(
        clip_id=sha256_bytes(f"{source_id}/{shot}".encode()),
        source=Source(
            source_id=source_id,
            name=name,
            file=file,
            origin="folder",
            source_url=url or f"https://films.example/{name}",
            author=author,
            licence_id="CC-BY-4.0",
            licence_url="https://creativecommons.org/licenses/by/4.0/",
            ml_training="allowed",
            evidence="written permission",
        ),
        shot=shot,
        start=0.0,
        media=store.put_bytes(f"prepared {source_id} {shot}".encode(), ".mp4"),
        facts=MediaFacts.model_validate({**shape, "seconds": 2.125, **facts}),
        signals=SIGNALS,
        packet_hash=source_id,
        frame_hashes=[],
        key_frames=[store.put_bytes(picture(number), ".jpg")],
        annotation=note if captioned else None,
    )


def make_clips(store: Store, count: int = 40, first: int = 0, **fields: object) -> list[Clip]:
    return [make_clip(store, number, **fields) for number in range(first, first + count)]


class Packed:
    """A packaged dataset, read back."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self.store = store
        self.manifest = manifest

    @property
    def clips(self) -> dict[str, Clip]:
        return {clip.clip_id: clip for clip in self.store.get_table(self.manifest.tables["clips"], Clip)}

    @property
    def shards(self) -> list[Shard]:
        return self.store.get_table(self.manifest.tables["shards"], Shard)

    @property
    def pairs(self) -> list[Pair]:
        return self.store.get_table(self.manifest.tables["pairs"], Pair)

    @property
    def ledger(self) -> dict[str, Decision]:
        return {
            decision.item: decision
            for decision in self.store.get_table(self.manifest.tables["ledger"], Decision)
        }

    @property
    def spec(self) -> DatasetSpec:
        return DatasetSpec.model_validate_json(self.store.get_bytes(self.manifest.files["spec.json"]))


def pack(store: Store, clips: list[Clip], tables: dict | None = None, **config: object) -> Packed:
    rows = sorted(clips, key=lambda clip: clip.clip_id)
    manifest = Manifest(
        stage="annotate",
        config_digest="",
        rows=len(rows),
        tables={"clips": store.put_table(rows, Clip), **(tables or {})},
    )
    context = Context(stage="package", store=store, seed=0, key="key", workers=1)
    made = run(clips=manifest, config=PackageConfig.model_validate(config), context=context)
    return Packed(store, made)
