"""What the stages decided, by reason: the table `funnel` that each hands on with its own rows added."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from veo_core.records.dataset import FilterQuality
from veo_core.records.ledger import Decision, Outcome, Verdict
from veo_core.records.manifest import Manifest
from veo_core.storage import Store


def outcomes(stage: str, counts: Mapping[tuple[Verdict, str], int]) -> list[Outcome]:
    """A stage's rows, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [Outcome(stage=stage, verdict=verdict, rule=rule, items=n) for (verdict, rule), n in ordered]


def passed_on(manifest: Manifest, store: Store) -> list[Outcome]:
    """The rows that a manifest carries; none where it comes from stages that wrote none."""
    if "funnel" not in manifest.tables:
        return []
    return store.get_table(manifest.tables["funnel"], Outcome)


def recounted(manifest: Manifest, store: Store) -> list[Outcome]:
    """The rows that a manifest carries, its own stage's counted from its ledger as it is now.

    `veo forget` changes ledgers: what is forgotten counts as dropped by the last stage.
    """
    counts: Counter[tuple[Verdict, str]] = Counter()
    for decision in store.stream_table(manifest.tables["ledger"], Decision):
        counts[decision.verdict, decision.rule] += 1
    earlier = [row for row in passed_on(manifest, store) if row.stage != manifest.stage]
    return [*earlier, *outcomes(manifest.stage, counts)]


def filter_quality(manifest: Manifest, store: Store) -> list[FilterQuality]:
    """How well the filters behind a dataset work, as its configuration says; none where it says nothing."""
    ref = manifest.tables.get("filter_quality")
    return [] if ref is None else store.get_table(ref, FilterQuality)


def by_stage(rows: Sequence[Outcome]) -> Iterator[tuple[str, int, int, str]]:
    """Each stage in the order of the pipeline: name, items in, items kept, the rest in words by reason."""
    for stage in dict.fromkeys(row.stage for row in rows):
        own = [row for row in rows if row.stage == stage]
        kept = sum(row.items for row in own if row.verdict == "kept")
        lost = [f"{row.items} {row.verdict}: {row.rule}" for row in own if row.verdict != "kept"]
        yield stage, sum(row.items for row in own), kept, "; ".join(lost)
