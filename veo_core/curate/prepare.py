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
from veo_core.curate.hash_list import HashList
from veo_core.curate.produce import FileReport, ShotReport, Spec, produce
from veo_core.errors import ItemError, UsageError
from veo_core.media.isolate import run_isolated
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
    hash_list: str = Field(default="", description="the operator's list of hashes (curate/hash_list.py)")
    hash_list_sha256: str = Field(default="", description="sha256 of that list")
    hash_distance: int = Field(default=8, ge=0, le=64, description="bits by which listed pictures may differ")
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


def run(*, sources: Manifest, config: PrepareConfig, context: Context) -> Manifest:
    """Prepare every source; the result's clips are the shots that are long enough."""
    items = context.store.get_table(sources.tables["sources"], Source)
    if not items:
        raise UsageError("prepare: there is no source to prepare")
    listed = HashList.load(config.hash_list, config.hash_list_sha256, config.hash_distance)
    results = context.map_shards(
        items,
        partial(_prepare_shard, store=context.store, config=config, listed=listed),
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
        for result in results.sorted_by("item"):
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
                signatures.add(ClipSignature(clip_id=result.item, signature=result.signature))
    ledger.check_failed_share(config.max_failed_share, of=len(items))
    return Manifest(
        stage=context.stage,
        config_digest=config.digest,
        rows=clips.rows,
        counts=ledger.counts(received=len(items), added=ledger_table.rows - len(items)),
        tables={"clips": clips.ref, "signatures": signatures.ref, "ledger": ledger_table.ref},
    )


def clip_id(source_id: str, shot: int) -> str:
    """The id of a shot, the same whatever the specification that it is prepared to."""
    return sha256_bytes(f"{source_id}/{shot}".encode())


def _prepare_shard(
    shard: Sequence[Source], *, store: Store, config: PrepareConfig, listed: HashList
) -> list[Prepared]:
    results = [
        _blocked(source.source_id, source) for source in shard if listed.lists_file(source.file.sha256)
    ]
    shard = [source for source in shard if not listed.lists_file(source.file.sha256)]
    with tempfile.TemporaryDirectory(prefix="veo-prepare-") as name:
        folder = Path(name)
        jobs = []
        for number, source in enumerate(shard):
            output = folder / str(number)
            output.mkdir()
            jobs.append((store.local_path(source.file, folder), output))
        outcomes = run_isolated(
            jobs, partial(_work, spec=config.spec), timeout_seconds=config.item_timeout_seconds
        )
        for source, (_, output), outcome in zip(shard, jobs, outcomes, strict=True):
            if isinstance(outcome, ItemError):
                results.append(_refused(source, outcome))
            else:
                report = FileReport.model_validate(json.loads(outcome))
                for shot in report.shots:
                    if listed.lists_any_picture(shot.frame_hashes):
                        results.append(_blocked(clip_id(source.source_id, shot.shot), source))
                    else:
                        results.append(_collected(source, report, shot, output, store))
        return results


def _work(job: tuple[Path, Path], spec: Spec) -> bytes:
    path, output = job
    return canonical_json(produce(path, output, spec).model_dump(mode="json"))


def _blocked(item: str, source: Source) -> Prepared:
    """On the operator's list: nothing of it is stored, shown or sent."""
    return Prepared(
        item=item, source=source, verdict="dropped", rule="hash_list", evidence="on the operator's hash list"
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
            value=f"{shot.value:.4g}",
            threshold=f"{shot.threshold:.4g}",
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
    return Prepared(item=item, source=source, verdict="kept", clip=clip, signature=shot.signature)


if __name__ == "__main__":
    stage_main(run)
