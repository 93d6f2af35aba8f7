"""Curation of world footage whose truth is known, for tests."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from veo_core.curate import (
    annotate,
    collect,
    dedup,
    describe,
    package,
    prepare,
    quality_filter,
    safety_filter,
)
from veo_core.curate.decisions import read_clips
from veo_core.curate.produce import Spec
from veo_core.records.clip import Clip
from veo_core.records.ledger import Decision
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.world.plan import Plan, plan
from veo_core.world.truth import WorldSpec, clip_name

SPEC = WorldSpec(clips=200, seed=5, flaws=0.5)
STAGES = ("collect", "prepare", "describe", "dedup", "safety", "quality", "annotate", "package")
# What the world films as "too long" (7.5 s) and "over-sized" (1024 pixels) must be named as such.
PREPARE = prepare.PrepareConfig(spec=Spec(max_shot_seconds=6.0, max_pixels=512 * 512))


def context(store: Store, stage: str = "stage", *, workers: int = 2, key: str = "key") -> Context:
    return Context(stage=stage, store=store, seed=0, key=key, workers=workers)


def manifest_of(store: Store, clips: Sequence[Clip]) -> Manifest:
    """The manifest of a stage that kept `clips`."""
    return Manifest(
        stage="test", config_digest="", rows=len(clips), tables={"clips": store.put_table(clips, Clip)}
    )


def ledger_of(manifest: Manifest, store: Store) -> list[Decision]:
    return store.get_table(manifest.tables["ledger"], Decision)


@dataclass
class Curation:
    """The manifests of all stages by name, and what each file was planned to be."""

    store: Store
    spec: WorldSpec
    manifests: dict[str, Manifest]

    @classmethod
    def of(cls, spec: WorldSpec, store: Store) -> "Curation":
        made: dict[str, Manifest] = {}
        made["collect"] = collect.run(
            config=collect.CollectConfig(world=spec), context=context(store, "collect")
        )
        made["prepare"] = prepare.run(
            sources=made["collect"], config=PREPARE, context=context(store, "prepare")
        )
        chain = (
            ("describe", describe.run, describe.DescribeConfig()),
            ("dedup", dedup.run, dedup.DedupConfig()),
            ("safety", safety_filter.run, safety_filter.SafetyFilterConfig()),
            ("quality", quality_filter.run, quality_filter.QualityFilterConfig()),
            ("annotate", annotate.run, annotate.AnnotateConfig()),
            ("package", package.run, package.PackageConfig()),
        )
        last = made["prepare"]
        for name, run, config in chain:
            last = made[name] = run(clips=last, config=config, context=context(store, name))
        return cls(store, spec, made)

    def ledger(self, stage: str) -> list[Decision]:
        return ledger_of(self.manifests[stage], self.store)

    def clips(self, stage: str) -> list[Clip]:
        return read_clips(self.manifests[stage], self.store)

    def plan_of(self, name: str) -> Plan:
        return plan(self.spec, int(Path(name).stem.removeprefix("clip-")))

    def flaw_of(self, clip: Clip) -> str | None:
        return self.plan_of(clip.source.name).flaw

    def names_with(self, *flaws: str | None) -> set[str]:
        """File names of the clips with one of the flaws."""
        return {clip_name(i) for i in range(self.spec.clips) if plan(self.spec, i).flaw in flaws}

    def fates(self) -> dict[str, list[Decision]]:
        """The last decisions on each file's items, by file name."""
        names = {self.source_id(clip): clip.source.name for clip in self.clips("prepare")}
        names |= {d.source: d.evidence.split(":")[0] for d in self.ledger("collect")}
        last: dict[str, Decision] = {}
        for stage in STAGES:
            for decision in self.ledger(stage):
                kept_source = stage == "collect" and decision.verdict == "kept"
                if not kept_source:
                    last[decision.item] = decision
        fates: dict[str, list[Decision]] = {}
        for decision in last.values():
            fates.setdefault(names[decision.source], []).append(decision)
        return fates

    @staticmethod
    def source_id(clip: Clip) -> str:
        return clip.source.source_id


class JudgeProcess:
    """`veo world serve` on a free port."""

    def __init__(self, folder: Path) -> None:
        self._ready = folder / "url"

    def __enter__(self) -> "JudgeProcess":
        arguments = ["serve", "--port", "0", "--ready-file", str(self._ready)]
        self._process = subprocess.Popen([sys.executable, "-m", "veo_core.world.main", *arguments])
        while not self._ready.exists() or not self._ready.read_text().strip():
            assert self._process.poll() is None, "the judge server did not start"
            time.sleep(0.05)
        self.url = self._ready.read_text().strip()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait()

    @contextlib.contextmanager
    def in_environment(self):
        before = os.environ.get("OPENAI_BASE_URL")
        os.environ["OPENAI_BASE_URL"] = self.url
        try:
            yield
        finally:
            if before is None:
                del os.environ["OPENAI_BASE_URL"]
            else:
                os.environ["OPENAI_BASE_URL"] = before

    def stats(self) -> dict:
        with urllib.request.urlopen(self._at("/stats")) as response:
            return json.load(response)

    def set_faults(self, **rates: float) -> None:
        request = urllib.request.Request(
            self._at("/faults"),
            data=json.dumps(rates).encode(),
            headers={"content-type": "application/json"},
        )
        urllib.request.urlopen(request).close()

    def _at(self, path: str) -> str:
        return self.url.removesuffix("/v1") + path
