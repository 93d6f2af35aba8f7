"""Prepare: split files into shots, measure them, trim them to the training specification with their sound.

Every file is decoded once, in a child process: one that crashes or hangs its decoder costs one item.
"""

import json
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydantic import Field

from veo_core.curate.decisions import LedgerWriter
from veo_core.curate.hash_list import HashListConfig, hash_lists
from veo_core.curate.note import VIEWS
from veo_core.curate.produce import FileReport, ShotReport, Spec, produce
from veo_core.errors import ItemError, UsageError
from veo_core.media.isolate import run_isolated
from veo_core.media.sandbox import Budget
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.records.clip import Clip, ClipSignature, Source
from veo_core.records.ledger import Decision, Verdict
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.storage import Store


class PrepareConfig(Record):
    """What a prepared clip is, and what one file may cost."""

    spec: Spec = Field(default_factory=Spec, description="the training specification and its measurements")
    item_timeout_seconds: float = Field(default=120.0, gt=0, description="time that one file may take")
    item_memory_bytes: int = Field(default=1 << 30, gt=0, description="memory that one file may take")
    hash_lists: HashListConfig = Field(
        default_factory=HashListConfig, description="the operator's lists of hashes (curate/hash_list.py)"
    )
    max_failed_share: float = Field(
        default=0.3, ge=0, le=1, description="largest share of items that may fail"
    )


class Prepared(Record):
    """A shot that became a clip, or the decision on one that did not."""

    item: str
    source: Source
    verdict: Verdict
    rule: str = ""
    value: str = ""
    threshold: str = ""
    evidence: str = ""
    clip: Clip | None = None
    signature: str = ""
    shot_seconds: float = 0.0


def run(*, sources: Manifest, config: PrepareConfig, context: Context) -> Manifest:
    """Prepare every source; the result's clips are the shots that are long enough."""
    items = context.store.get_table(sources.tables["sources"], Source)
    if not items:
        raise UsageError("prepare: there is no source to prepare")
    hash_lists(config.hash_lists)  # read before any worker starts: wrong lists end the stage at once
    results = context.map_shards(
        items,
        partial(_prepare_shard, store=context.store, config=config),
        identity=lambda source: source.source_id,
        result=Prepared,
        shard_size=16,
    )
    store = context.store
    with (
        store.write_table(Decision) as ledger_table,
        store.write_table(Clip) as clips,
        store.write_table(ClipSignature) as signatures,
    ):
        ledger = LedgerWriter(ledger_table, context.stage)
        for result in results:
            if result.clip is not None:
                signatures.add(
                    ClipSignature(
                        clip_id=result.item, signature=result.signature, seconds=result.shot_seconds
                    )
                )
        for result in results.sorted_by("item", without=["signature"]):
            ledger.add(
                result.item,
                result.source.source_id,
                result.verdict,
                result.rule,
                value=result.value,
                threshold=result.threshold,
                evidence=result.evidence,
            )
            if result.clip is not None:
                clips.add(result.clip)
    ledger.check_failed_share(config.max_failed_share, of=len(items))
    return Manifest(
        stage=context.stage,
        config_digest=config.digest,
        rows=clips.rows,
        counts=ledger.counts(received=len(items), added=ledger_table.rows - len(items)),
        tables={
            "clips": clips.ref,
            "signatures": signatures.ref,
            "ledger": ledger_table.ref,
            "funnel": ledger.funnel(sources, store),
        },
    )


def clip_id(source_id: str, shot: int) -> str:
    """The id of a shot, the same whatever the specification that it is prepared to."""
    return sha256_bytes(f"{source_id}/{shot}".encode())


def _prepare_shard(shard: Sequence[Source], *, store: Store, config: PrepareConfig) -> list[Prepared]:
    lists = hash_lists(config.hash_lists)
    results = []
    with tempfile.TemporaryDirectory(prefix="veo-prepare-") as name:
        folder = Path(name)
        sources, jobs = [], []
        for number, source in enumerate(shard):
            match = lists.match_digest(source.file.sha256)
            path = None if match else store.local_path(source.file, folder)
            match = match or (lists.match_file(path) if path else None)
            if path is None or match is not None:
                results.append(_blocked(source, str(match)))
                continue
            output = folder / str(number)
            output.mkdir()
            sources.append(source)
            jobs.append((path, output))
        work = partial(_work, spec=config.spec, hash_pictures=lists.hold_pictures)
        seconds = config.item_timeout_seconds
        budget = Budget(memory_bytes=config.item_memory_bytes, cpu_seconds=2 * seconds)
        outcomes = run_isolated(jobs, work, timeout_seconds=seconds, budget=budget)
        for source, (_, output), outcome in zip(sources, jobs, outcomes, strict=True):
            if isinstance(outcome, ItemError):
                results.append(_refused(source, outcome))
                continue
            try:
                report = _report(outcome, output)
            except ItemError as error:
                results.append(_refused(source, error))
                continue
            match = lists.match_pictures(report.pictures)
            if match is not None:
                results.append(_blocked(source, str(match)))
            else:
                results += [_collected(source, report, shot, output, store) for shot in report.shots]
        return results


def _work(job: tuple[Path, Path], spec: Spec, hash_pictures: bool) -> bytes:
    path, output = job
    report = produce(path, output, spec, hash_pictures=hash_pictures)
    return canonical_json(report.model_dump(mode="json"))


def _report(answer: bytes, output: Path) -> FileReport:
    """What the child says that it made, which a hostile file may have taken over.

    Raises:
        ItemError: rule "crash": it is no report, or names something else than files in `output`.
    """
    try:
        report = FileReport.model_validate(json.loads(answer))
    except ValueError:
        raise ItemError("crash", "the process that worked on it gave no report") from None
    names = [name for shot in report.shots if shot.media for name in (shot.media, *shot.key_frames)]
    if not all((output / name).is_file() and not (output / name).is_symlink() for name in names):
        raise ItemError("crash", "the process that worked on it names files that it did not write")
    return report


def _blocked(source: Source, match: str) -> Prepared:
    """A file on the operator's list: nothing of any of its shots is stored, shown or sent, and no more than
    its id and digest goes on record.
    """
    return Prepared(
        item=source.source_id,
        source=Source(source_id=source.source_id, name="", file=source.file, origin=source.origin),
        verdict="dropped",
        rule="hash_list",
        value=source.file.sha256,
        evidence=f"{match}; the collected file is still at {source.file.path} of the store: report it where "
        f"you must, then remove it with `veo forget {source.source_id}`",
    )


def _refused(source: Source, error: ItemError) -> Prepared:
    """A file beyond a limit is dropped by that rule; one that cannot be worked on has failed."""
    verdict: Verdict = "dropped" if error.rule == "limit" else "failed"
    return Prepared(
        item=source.source_id, source=source, verdict=verdict, rule=error.rule, evidence=str(error)
    )


def _collected(source: Source, report: FileReport, shot: ShotReport, output: Path, store: Store) -> Prepared:
    """A shot's files put into the store."""
    item = clip_id(source.source_id, shot.shot)
    if shot.facts is None or shot.signals is None:
        return Prepared(
            item=item,
            source=source,
            verdict="dropped",
            rule=shot.rule,
            value=f"{shot.value:.8g}",
            threshold=f"{shot.threshold:.8g}",
            evidence=f"shot {shot.shot} from {shot.start:.3f} s on",
        )
    clip = Clip(
        clip_id=item,
        source=source,
        shot=shot.shot,
        start=shot.start,
        media=store.put_file(output / shot.media),
        facts=shot.facts,
        signals=shot.signals,
        packet_hash=report.packet_hash,
        frame_hashes=shot.frame_hashes,
        key_frames=[store.put_file(output / name) for name in shot.key_frames],
    )
    return Prepared(
        item=item,
        source=source,
        verdict="kept",
        clip=clip,
        signature=shot.signature,
        shot_seconds=shot.shot_seconds,
    )


if __name__ == "__main__":
    stage_main(run, views=VIEWS)
