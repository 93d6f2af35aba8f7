"""A run with real tables, shards and caches, made without film or judge."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "curate"))

from packing import Packed, make_clip, pack
from synthetic_run import SyntheticRun

from veo_core.curate.pages import VIEWS
from veo_core.records.clip import Clip, ClipSignature, Description, NearPair, Source
from veo_core.records.ledger import Counts, Decision
from veo_core.records.manifest import Manifest
from veo_core.records.tables import table_to_bytes
from veo_core.storage import Store


def decision(clip: Clip, stage: str, verdict: str = "kept", **fields: object) -> Decision:
    return Decision(item=clip.clip_id, source=clip.source.source_id, stage=stage, verdict=verdict, **fields)


@dataclass
class CuratedRun:
    """Some files; the last is a near-duplicate of the first, the last but one has no rights."""

    store: Store
    runs: Path
    name: str = "run-1"
    count: int = 26

    def __post_init__(self) -> None:
        self.all = [make_clip(self.store, number, author=f"Author {number}") for number in range(self.count)]
        self.denied = self.all.pop()
        self.all = [self._described(clip) for clip in self.all]
        self.copy = self.all[-1]
        self.kept = self.all[:-1]
        self.original = self.all[0]

    @property
    def folder(self) -> Path:
        return self.runs / self.name

    @staticmethod
    def _described(clip: Clip) -> Clip:
        text = f"Described {clip.source.name}."
        said = Description(text=text, judge="describer", judge_version="7")
        return clip.model_copy(update={"description": said})

    def write(self, *, until: str = "") -> "CuratedRun":
        """The run's folder; its stages from `until` on did not get to their end."""
        self.folder.mkdir(parents=True)
        run = SyntheticRun(self.folder, self.store, state="INTERRUPTED" if until else "SUCCEEDED")
        for stage, manifest in self.manifests().items():
            if until and stage == until:
                run.task(stage, None, state="FAILED", reason="the judge server was gone")
                break
            run.task(stage, manifest, VIEWS if stage == "package" else None)
        run.write()
        for clip in self.all:
            answer = {
                "answer": {"description": clip.description.text},
                "content": [clip.key_frames[0].sha256],
            }
            self.store.set_mark(f"judge/{clip.clip_id[:2]}/{clip.clip_id}", json.dumps(answer).encode())
        for start in range(0, len(self.all), 10):
            part = self.all[start : start + 10]
            self.store.set_mark(f"prepare/key/{start}", table_to_bytes(part, Clip))
        return self

    def manifests(self) -> dict[str, Manifest]:
        store, clips = self.store, sorted(self.all, key=lambda clip: clip.clip_id)
        bare = [clip.model_copy(update={"description": None, "annotation": None}) for clip in clips]
        kept = sorted(self.kept, key=lambda clip: clip.clip_id)
        sources = sorted((clip.source for clip in clips), key=lambda source: source.source_id)
        denied = self.denied.source
        taken = [
            Decision(item=s.source_id, source=s.source_id, stage="collect", verdict="kept", evidence=s.name)
            for s in sources
        ]
        refused = Decision(
            item=denied.source_id, source=denied.source_id, stage="collect", verdict="dropped",
            rule="rights", value="denied", threshold="allowed", evidence=f"{denied.name}: no evidence",
        )  # fmt: skip
        signatures = {
            "signatures": store.put_table(
                [
                    ClipSignature(clip_id=c.clip_id, signature=f"signature of {c.clip_id}", seconds=2.0)
                    for c in clips
                ],
                ClipSignature,
            )
        }
        near = NearPair(
            first=self.kept[1].clip_id, second=self.kept[2].clip_id,
            first_source=self.kept[1].source.source_id, second_source=self.kept[2].source.source_id,
            score=0.8,
        )  # fmt: skip
        pairs = {"near_pairs": store.put_table([near], NearPair)}
        dropped = decision(
            self.copy, "dedup", "dropped", rule="near_duplicate", value="0.97", threshold="0.85",
            evidence=f"copy of {self.original.source.name}", partner=self.original.clip_id,
            scores={"motion": 0.97, "colour": 0.4},
        )  # fmt: skip
        annotated = self._manifest("annotate", kept, [], signatures | pairs)
        self.packed = self._pack(annotated)
        return {
            "collect": Manifest(
                stage="collect", config_digest="c", rows=len(sources),
                counts=Counts(received=len(sources) + 1, kept=len(sources), dropped=1),
                tables={
                    "sources": store.put_table(sources, Source),
                    "ledger": self._ledger([*taken, refused]),
                },
            ),
            "prepare": self._manifest("prepare", bare, [], signatures),
            "describe": self._manifest("describe", clips, [], signatures),
            "dedup": self._manifest("dedup", kept, [dropped], signatures | pairs),
            "annotate": annotated,
            "package": self.packed.manifest,
        }  # fmt: skip

    def _pack(self, annotated: Manifest) -> Packed:
        return pack(
            self.store,
            self.store.get_table(annotated.tables["clips"], Clip),
            {name: ref for name, ref in annotated.tables.items() if name not in ("clips", "ledger")},
            clips_per_shard=6,
        )

    def _ledger(self, decisions: list[Decision]):
        return self.store.put_table(sorted(decisions, key=lambda d: d.item), Decision)

    def _manifest(self, stage: str, kept: list[Clip], lost: list[Decision], tables: dict) -> Manifest:
        return Manifest(
            stage=stage,
            config_digest="c",
            rows=len(kept),
            counts=Counts(received=len(kept) + len(lost), kept=len(kept), dropped=len(lost)),
            tables={
                "clips": self.store.put_table(kept, Clip),
                "ledger": self._ledger([*(decision(clip, stage) for clip in kept), *lost]),
                **tables,
            },
        )
