"""Runs of the stage `collect` for tests."""

from typing import Any

from serving import Server, policy_for

from veo_core.curate.collect import CollectConfig, run
from veo_core.records.clip import Source
from veo_core.records.ledger import Decision
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.storage import Store

ALLOWED = {"ml_training": "allowed", "licence_id": "CC0-1.0", "evidence": "source page"}


def collect(
    store: Store, *, servers: tuple[Server, ...] = (), key: str = "key", workers: int = 1, **config: Any
) -> tuple[Manifest, list[Source], dict[str, Decision]]:
    """Manifest, sources, and decisions by the name that their evidence starts with."""
    values = {"download": policy_for(*servers), "max_failed_share": 1.0} | config
    context = Context(stage="collect", store=store, seed=0, key=key, workers=workers)
    manifest = run(config=CollectConfig(**values), context=context)
    decisions = store.get_table(manifest.tables["ledger"], Decision)
    sources = store.get_table(manifest.tables["sources"], Source)
    assert manifest.rows == manifest.counts.kept == len(sources)
    assert manifest.counts.received == len(decisions)
    return manifest, sources, {decision.evidence.split(": ")[0]: decision for decision in decisions}
