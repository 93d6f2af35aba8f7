"""Curation of world footage whose truth is known, for tests."""

import contextlib
import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.curate.accuracy import name_in
from benchmarks.curate.chain import INPUTS, STAGES, Curated, configs
from benchmarks.curate.judge import JudgeProcess
from veo_core.curate.prepare import PrepareConfig
from veo_core.records.clip import Clip
from veo_core.records.ledger import Decision
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, Part, PartFinished, interface_of
from veo_core.storage import Store
from veo_core.world.plan import Plan, plan
from veo_core.world.truth import WorldSpec, clip_name

SPEC = WorldSpec(clips=200, seed=5, flaws=0.5)
PREPARE = PrepareConfig.parse(configs(SPEC)["prepare"], where="world preset")


def context(
    store: Store, stage: str = "stage", *, workers: int = 2, key: str = "key", **more: Any
) -> Context:
    return Context(stage=stage, store=store, seed=0, key=key, workers=workers, **more)


def manifest_of(store: Store, clips: Sequence[Clip]) -> Manifest:
    """The manifest of a stage that kept `clips`."""
    return Manifest(
        stage="test", config_digest="", rows=len(clips), tables={"clips": store.put_table(clips, Clip)}
    )


def ledger_of(manifest: Manifest, store: Store) -> list[Decision]:
    return store.get_table(manifest.tables["ledger"], Decision)


@contextlib.contextmanager
def judged_by(judge: JudgeProcess) -> Iterator[None]:
    """Stages of this process ask `judge`."""
    before = os.environ.get("OPENAI_BASE_URL")
    os.environ["OPENAI_BASE_URL"] = judge.url
    try:
        yield
    finally:
        if before is None:
            del os.environ["OPENAI_BASE_URL"]
        else:
            os.environ["OPENAI_BASE_URL"] = before


@dataclass
class Curation(Curated):
    """The manifests of all stages by name, and what each file was planned to be."""

    store: Store
    spec: WorldSpec
    manifests: dict[str, Manifest]

    @classmethod
    def of(
        cls,
        spec: WorldSpec,
        store: Store,
        *,
        changes: dict[str, dict[str, Any]] | None = None,
        parts: dict[str, int] | None = None,
        **details: Any,
    ) -> "Curation":
        """Run every stage in this process.

        Args:
            spec: what is filmed.
            store: an empty one.
            changes: of the world preset's configuration, by stage.
            parts: how many parts of a stage run before the whole of it does.
            details: fields of each stage's context.
        """
        made: dict[str, Manifest] = {}
        last: Manifest | None = None
        for stage, chosen in configs(spec, changes).items():
            run = importlib.import_module(f"veo_core.curate.{stage}").run
            config = interface_of(run).config.parse(chosen, where=stage)
            given = {INPUTS[stage]: last} if last else {}
            count = (parts or {}).get(stage, 0)
            for index in range(count):
                with contextlib.suppress(PartFinished):
                    run(
                        **given,
                        config=config,
                        context=context(store, stage, part=Part(index, count), **details),
                    )
            last = made[stage] = run(**given, config=config, context=context(store, stage, **details))
        return cls(store, spec, made)

    def manifest(self, stage: str) -> Manifest:
        return self.manifests[stage]

    def plan_of(self, name: str) -> Plan:
        return plan(self.spec, int(Path(name).stem.removeprefix("clip-")))

    def flaw_of(self, clip: Clip) -> str | None:
        return self.plan_of(clip.source.name).flaw

    def names_with(self, *flaws: str | None) -> set[str]:
        """File names of the clips with one of the flaws."""
        return {clip_name(i) for i in range(self.spec.clips) if plan(self.spec, i).flaw in flaws}

    def fates(self) -> dict[str, list[Decision]]:
        """The last decisions on each file's items, by file name."""
        names = {source.source_id: source.name for source in self.sources()}
        last: dict[str, Decision] = {}
        for stage in STAGES:
            for decision in self.ledger(stage):
                names.setdefault(decision.source, name_in(decision) if stage == "collect" else "")
                kept_source = stage == "collect" and decision.verdict == "kept"
                if not kept_source:
                    last[decision.item] = decision
        fates: dict[str, list[Decision]] = {}
        for decision in last.values():
            fates.setdefault(names[decision.source], []).append(decision)
        return fates
