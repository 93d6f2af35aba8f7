"""Which datasets of all runs hold clips, and which models were trained on them."""

from collections.abc import Iterator, Set
from pathlib import Path

import pyarrow.compute as pc
from pydantic import Field

from veo_core.errors import UsageError
from veo_core.lineage.evidence import RECORD, Evidence, gather
from veo_core.lineage.lookup import Lookup
from veo_core.records.base import Record
from veo_core.records.files import TableRef
from veo_core.records.manifest import Manifest
from veo_core.registry.local import LogLine, list_models
from veo_core.registry.records import ModelEntry
from veo_core.storage import Store

_TRAINING = ("video_vae", "audio_vae", "base", "upsampler")


class Training(Record):
    """A dataset of a run that holds a clip, and what was trained on it."""

    run: str
    dataset: str = Field(description="digest of the dataset's manifest")
    split: str
    models: list[str] = Field(description="registered models, else training stages, each with its digest")


def trainings_of(clips: Set[str], runs: Path, store: Store, lookup: Lookup) -> list[Training]:
    """Every dataset with one of the clips, in the order of the runs; "train" where one is trained on.

    Args:
        clips: ids of clips.
        runs: the folder of all runs.
        store: where their data is.
        lookup: reads its tables.
    """
    registered = _registered(store)
    splits: dict[str, str] = {}
    found = []
    for evidence in all_runs(runs, store):
        for manifest in _datasets(evidence):
            table = manifest.tables["clips"]
            if table.sha256 not in splits:
                splits[table.sha256] = _split_of(clips, table, lookup)
            if splits[table.sha256]:
                found.append(
                    Training(
                        run=evidence.folder.name,
                        dataset=manifest.digest,
                        split=splits[table.sha256],
                        models=_models(evidence, manifest.digest, registered),
                    )
                )
    return found


def _split_of(clips: Set[str], table: TableRef, lookup: Lookup) -> str:
    """Split of the clips in a dataset, "" where none is in it or its table is gone."""
    try:
        rows = lookup.matching(table, pc.field("clip_id").isin(sorted(clips)), ["split"])
    except UsageError:
        return ""
    splits = {split for (split,) in rows}
    return "train" if "train" in splits else next(iter(splits), "")


def all_runs(runs: Path, store: Store) -> Iterator[Evidence]:
    """Every run of a folder, oldest first; what cannot be read is passed over."""
    for folder in sorted(path.parent for path in runs.glob(f"*/{RECORD}")):
        yield gather(folder, store)


def _datasets(evidence: Evidence) -> list[Manifest]:
    return [
        stage.manifest
        for stage in evidence.stages
        if stage.manifest is not None and {"clips", "pairs"} <= stage.manifest.tables.keys()
    ]


def _registered(store: Store) -> list[tuple[LogLine, str]]:
    """Registered models with the digest of their dataset's manifest."""
    found = []
    for line in list_models(store):
        entry = ModelEntry.model_validate_json(store.get_bytes(line.entry))
        found.append((line, entry.description.manifests.get("dataset", "")))
    return found


def _models(evidence: Evidence, dataset: str, registered: list[tuple[LogLine, str]]) -> list[str]:
    """What was trained on a dataset: registered models, else the run's training stages."""
    outputs = (stage.task.output_parameters.get("model") for stage in evidence.stages)
    names = {str(name): "" for name in outputs if name}
    names |= {line.reference: line.content for line, trained_on in registered if trained_on == dataset}
    names |= {line.reference: line.content for line, _ in registered if line.reference in names}
    if not names:
        names = {
            stage.manifest.stage: stage.manifest.digest
            for stage in evidence.stages
            if stage.manifest is not None and stage.manifest.stage in _TRAINING
        }
    return [f"{name} ({digest[:12]})" if digest else name for name, digest in sorted(names.items())]
