"""The Croissant 1.1 description of a run's dataset, with its provenance in terms of PROV-O.

Source: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html, "Provenance Representation".
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from veo_core.curate.croissant import describe, file_object
from veo_core.curate.funnel import filter_quality
from veo_core.curate.origins import Origins
from veo_core.errors import UsageError
from veo_core.lineage.evidence import Evidence
from veo_core.lineage.exports.clips import counted_clips
from veo_core.lineage.exports.curation import decided
from veo_core.lineage.exports.subject import MissingError, dataset_of, moment, record_of
from veo_core.provenance.claim import PRODUCT, product_version
from veo_core.records.dataset import Shard
from veo_core.records.files import FileRef
from veo_core.records.run import RunRecord, TaskRecord
from veo_core.storage import Store

Json = dict[str, Any]

FILE = "croissant.json"
_SOURCES = "sources.parquet"
_PROV = "http://www.w3.org/ns/prov#"


def run_croissant(evidence: Evidence, out: Path) -> dict[str, bytes]:
    """The description of the dataset that a run packaged. It names files where they lie in the store.

    Raises:
        MissingError: the run has no dataset, or a table of it cannot be read.
    """
    run = record_of(evidence)
    stage, manifest = dataset_of(evidence)
    store = evidence.store
    place = _places(store, out)
    try:
        value = describe(
            manifest,
            store.get_table(manifest.tables["shards"], Shard),
            Origins.of(counted_clips(evidence, manifest.tables["clips"])),
            decided(evidence),
            filter_quality(manifest, store),
            place,
        )
    except (UsageError, ValidationError, pa.ArrowException) as error:
        raise MissingError(str(error).splitlines()[0]) from None
    value["@context"] = value["@context"] | {"prov": _PROV}
    if stage.task.finished is not None:
        value["datePublished"] = moment(stage.task.finished)
    value["prov:wasGeneratedBy"] = _activity(run, stage.task)
    tables = _tables(evidence, place)
    sources = [{"@id": table["@id"]} for table in tables if table["name"].endswith(f"/{_SOURCES}")]
    if sources:
        value["prov:wasDerivedFrom"] = sources
    value["distribution"] = [*value["distribution"], *tables]
    return {FILE: json.dumps(value, indent=1, sort_keys=True).encode()}


def _places(store: Store, out: Path) -> Callable[[FileRef], str]:
    """Gives an object's place: relative to the folder of the description, or its URI in a bucket."""
    if "://" in store.root:
        return lambda ref: f"{store.root.rstrip('/')}/{ref.path}"
    return lambda ref: os.path.relpath(Path(store.root) / ref.path, out.resolve())


def _activity(run: RunRecord, task: TaskRecord) -> Json:
    """The task that packaged the dataset, and the run that it belongs to."""
    code = {"prov:label": "git commit", "prov:value": run.git_sha or "not recorded"}
    if run.git_dirty:
        code["prov:label"] = "git commit, with uncommitted changes"
    activity: Json = {
        "@type": "prov:Activity",
        "prov:label": f"task {task.name} of run {run.run_id} of the pipeline {run.pipeline}",
        "prov:used": [
            {"@type": "prov:Entity", **code},
            {"@type": "prov:Plan", "prov:label": "digest of the pipeline's IR", "prov:value": run.ir_digest},
        ],
        "prov:wasAssociatedWith": {
            "@type": "prov:SoftwareAgent",
            "prov:label": f"{PRODUCT} {product_version()}",
        },
    }
    for key, seconds in (("prov:startedAtTime", task.started), ("prov:endedAtTime", task.finished)):
        if seconds is not None:
            activity[key] = moment(seconds)
    return activity


def _tables(evidence: Evidence, place: Callable[[FileRef], str]) -> list[Json]:
    """The curation's tables of sources and of decisions, stage by stage."""
    found = []
    for stage in evidence.stages:
        if stage.manifest is None or stage.manifest.counts is None:
            continue
        for name, about in (
            (_SOURCES, "Every source with its rights."),
            ("ledger.parquet", "What the stage decided on each item, and why."),
        ):
            if ref := stage.manifest.tables.get(name.removesuffix(".parquet")):
                file = f"{stage.task.name}/{name}"
                found.append(file_object(file, ref, place(ref), "application/x-parquet", about))
    return found
