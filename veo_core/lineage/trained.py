"""Which datasets and models of all runs hold a clip."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.lineage.evidence import RECORD, Evidence, gather
from veo_core.lineage.lookup import Lookup
from veo_core.records.base import Record
from veo_core.records.manifest import Manifest
from veo_core.registry.local import list_models
from veo_core.registry.records import ModelEntry
from veo_core.storage import Store

_TRAINING = ("video_vae", "audio_vae", "base", "upsampler")


class Training(Record):
    """A dataset of a run that holds a clip, and what was trained on it."""

    run: str
    dataset: str = Field(description="digest of the dataset's manifest")
    split: str
    models: list[str] = Field(description="name@version of registered models, else stages with their digest")


def trainings(clip_id: str, runs: Path, store: Store, lookup: Lookup) -> list[Training]:
    """Every dataset with the clip, in the order of the runs.

    Args:
        clip_id: the clip.
        runs: the folder of all runs.
        store: where their data is.
        lookup: reads its tables.
    """
    registered = registered_models(store)
    splits: dict[str, str] = {}
    found = []
    for evidence in all_runs(runs, store):
        for manifest in datasets(evidence):
            table = manifest.tables["clips"]
            if table.sha256 not in splits:
                splits[table.sha256] = _split_of(clip_id, manifest, lookup)
            if splits[table.sha256]:
                models = models_of(evidence, manifest.digest, registered)
                found.append(
                    Training(
                        run=evidence.folder.name,
                        dataset=manifest.digest,
                        split=splits[table.sha256],
                        models=models,
                    )
                )
    return found


def _split_of(clip_id: str, manifest: Manifest, lookup: Lookup) -> str:
    """Split of the clip in a dataset, "" where it is not in it or its table is gone."""
    try:
        rows = lookup.prefixed(manifest.tables["clips"], "clip_id", clip_id, ["split"])
    except UsageError:
        return ""
    return rows[0][0] if rows else ""


def all_runs(runs: Path, store: Store) -> Iterator[Evidence]:
    """Every run of a folder, oldest first; what cannot be read is passed over."""
    for folder in sorted(path.parent for path in runs.glob(f"*/{RECORD}")):
        yield gather(folder, store)


def datasets(evidence: Evidence) -> list[Manifest]:
    """The manifests of packaged datasets."""
    return [
        stage.manifest
        for stage in evidence.stages
        if stage.manifest is not None and {"clips", "pairs"} <= stage.manifest.tables.keys()
    ]


def registered_models(store: Store) -> dict[str, list[str]]:
    """References of registered models by the digest of their dataset's manifest."""
    found: dict[str, list[str]] = {}
    for line in list_models(store):
        entry = ModelEntry.model_validate_json(store.get_bytes(line.entry))
        found.setdefault(entry.description.manifests.get("dataset", ""), []).append(line.reference)
    return found


def models_of(evidence: Evidence, dataset: str, registered: dict[str, list[str]]) -> list[str]:
    """What a run trained on a dataset: registered models by name, else its training stages by digest."""
    named = [
        str(stage.task.output_parameters["model"])
        for stage in evidence.stages
        if "model" in stage.task.output_parameters
    ]
    names = sorted({*named, *registered.get(dataset, [])})
    if names:
        return names
    return [
        f"{stage.manifest.stage} {stage.manifest.digest[:12]}"
        for stage in evidence.stages
        if stage.manifest is not None and stage.manifest.stage in _TRAINING
    ]
