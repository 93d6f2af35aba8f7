"""Which datasets of all runs hold clips, and which models were trained on them."""

from collections.abc import Iterator, Set
from functools import cached_property
from pathlib import Path

from pydantic import Field, ValidationError

from veo_core.errors import UsageError
from veo_core.lineage.evidence import RECORD, Evidence, gather
from veo_core.lineage.lookup import Lookup, Where, equals
from veo_core.records.base import Record
from veo_core.records.files import TableRef
from veo_core.records.manifest import Manifest
from veo_core.registry.local import LogLine, list_models, read_entry
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
    return Trainings(runs, store, lookup).of_clips(clips)


class Trainings:
    """What was trained in all runs; each run and the registry are read once, when they are first asked for.

    Args:
        runs: the folder of all runs.
        store: where their data is.
        lookup: reads its tables.
    """

    def __init__(self, runs: Path, store: Store, lookup: Lookup) -> None:
        self.notes: list[str] = []
        self._runs = runs
        self._store = store
        self._lookup = lookup

    def of_clips(self, clips: Set[str]) -> list[Training]:
        """Every dataset with one of the clips, in the order of the runs."""
        return self._holding(equals("clip_id", *sorted(clips)))

    def of_sources(self, sources: Set[str]) -> list[Training]:
        """Every dataset with a clip of one of the sources, in the order of the runs."""
        return self._holding(equals("source.source_id", *sorted(sources)))

    def registered_with(self, role: str, digest: str) -> list[str]:
        """References of registered models with this manifest behind them, in the role that it has there."""
        return [
            line.reference
            for line, entry in self.registered
            if entry.description.manifests.get(role) == digest
        ]

    @cached_property
    def evidence(self) -> list[Evidence]:
        """Every run, oldest first."""
        return list(all_runs(self._runs, self._store))

    @cached_property
    def registered(self) -> list[tuple[LogLine, ModelEntry]]:
        """Every registered model; one whose entry cannot be read is told in `notes`."""
        found = []
        for line in list_models(self._store):
            try:
                found.append((line, read_entry(self._store, line)))
            except (UsageError, ValidationError) as error:
                self.notes.append(f"model {line.reference} cannot be read: {str(error).splitlines()[0]}")
        return found

    def _holding(self, where: Where) -> list[Training]:
        splits: dict[str, str] = {}
        found = []
        for evidence in self.evidence:
            for manifest in _datasets(evidence):
                table = manifest.tables["clips"]
                if table.sha256 not in splits:
                    splits[table.sha256] = self._split(table, where)
                if splits[table.sha256]:
                    found.append(
                        Training(
                            run=evidence.folder.name,
                            dataset=manifest.digest,
                            split=splits[table.sha256],
                            models=self._models(evidence, manifest.digest),
                        )
                    )
        return found

    def _split(self, table: TableRef, where: Where) -> str:
        """Split of the clips in a dataset, "" where none is in it or its table is gone."""
        try:
            splits = {split for (split,) in self._lookup.matching(table, where, ["split"])}
        except UsageError:
            return ""
        return "train" if "train" in splits else next(iter(splits), "")

    def _models(self, evidence: Evidence, dataset: str) -> list[str]:
        """What was trained on a dataset: registered models, else the run's training stages."""
        outputs = (stage.task.output_parameters.get("model") for stage in evidence.stages)
        names = {str(name): "" for name in outputs if name}
        for line, entry in self.registered:
            if line.reference in names or entry.description.manifests.get("dataset") == dataset:
                names[line.reference] = line.content
        if not names:
            names = {
                stage.manifest.stage: stage.manifest.digest
                for stage in evidence.stages
                if stage.manifest is not None and stage.manifest.stage in _TRAINING
            }
        return [f"{name} ({digest[:12]})" if digest else name for name, digest in sorted(names.items())]


def all_runs(runs: Path, store: Store) -> Iterator[Evidence]:
    """Every run of a folder, oldest first; what cannot be read is told in its notes."""
    for folder in sorted(path.parent for path in runs.glob(f"*/{RECORD}")):
        yield gather(folder, store)


def _datasets(evidence: Evidence) -> list[Manifest]:
    return [
        stage.manifest
        for stage in evidence.stages
        if stage.manifest is not None and {"clips", "pairs"} <= stage.manifest.tables.keys()
    ]
