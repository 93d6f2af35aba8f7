"""What the stages of a run's curation decided, by reason, counted from their ledgers as they are now."""

import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from veo_core.curate.funnel import outcomes, passed_on
from veo_core.errors import UsageError
from veo_core.lineage.evidence import Evidence
from veo_core.lineage.exports.subject import MissingError, dataset_of
from veo_core.records.files import TableRef
from veo_core.records.ledger import Outcome
from veo_core.storage import Store


def decided(evidence: Evidence) -> list[Outcome]:
    """The rows of every stage in the order of the pipeline.

    Stages that ran in an earlier run only are known by what the dataset hands on.

    Raises:
        MissingError: the run has no dataset, or a ledger of it cannot be read.
    """
    _, dataset = dataset_of(evidence)
    found: dict[str, list[Outcome]] = {}
    try:
        for stage in evidence.stages:
            manifest = stage.manifest
            if manifest is not None and manifest.counts is not None and "ledger" in manifest.tables:
                found[manifest.stage] = _counted(manifest.stage, manifest.tables["ledger"], evidence.store)
        earlier = [row for row in passed_on(dataset, evidence.store) if row.stage not in found]
    except (UsageError, pa.ArrowException) as error:
        raise MissingError(str(error).splitlines()[0]) from None
    return [*earlier, *(row for rows in found.values() for row in rows)]


def _counted(stage: str, ledger: TableRef, store: Store) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="veo-export-") as folder:
        path = store.local_path(ledger, Path(folder))
        columns = pq.read_table(path, columns=["verdict", "rule"])
    pairs = zip(columns["verdict"].to_pylist(), columns["rule"].to_pylist(), strict=True)
    return outcomes(stage, Counter(pairs))
