"""A run of the pipeline whose models are measured: a finished one, or one made for the benchmark."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veo_core.data.clips import SPLITS, Sample, dataset_shards, read_shard
from veo_core.errors import UsageError
from veo_core.generate.generate import Generation
from veo_core.generate.pipeline import Generator, model_files
from veo_core.records.clip import Split
from veo_core.records.manifest import Manifest
from veo_core.records.run import RunRecord, TaskRecord
from veo_core.runner.journal import RECORD
from veo_core.runner.runs import find_task, load_run, run_folder
from veo_core.storage import Store
from veo_core.train.runtime import RuntimeConfig

TRAINING = ("train-video-vae", "train-audio-vae", "encode-latents", "train-base", "train-upsampler")
"""Tasks whose time is training, the encoding of latents among them."""


@dataclass(frozen=True)
class TrainedRun:
    """A run and the store of its data.

    Attributes:
        record: what ran.
        store: a copy of the run's store, by links, so that a benchmark may write there.
        preset: name of its preset, which says what it must reach.
        anew: whether the benchmark made it, so that no task came from a cache.
        runs: the folder of its runs.
    """

    record: RunRecord
    store: Store
    preset: str
    anew: bool
    runs: Path

    def manifest(self, task: str) -> Manifest:
        """What a task such as "train-base" published."""
        return Manifest.load(_task(self.record, task).outputs["manifest"][0].uri)

    def config(self, stage: str) -> dict[str, Any]:
        """The configuration of a stage such as "train_base"."""
        value = self.record.parameters[f"{stage}_config"]
        config: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
        return config

    def seconds(self) -> dict[str, float]:
        """Wall time of each task by its name; of a cached one, in the run that made it where that is kept."""
        tasks = {task.name: task for task in self.record.tasks if task.state == "SUCCEEDED"}
        for task in self.record.tasks:
            if task.state == "CACHED" and (self.runs / task.cached_from / RECORD).is_file():
                tasks[task.name] = find_task(load_run(self.runs, task.cached_from), task.name)
        return {
            name.rsplit("/", 1)[-1]: task.finished - task.started
            for name, task in tasks.items()
            if task.started is not None and task.finished is not None
        }

    def generation(self) -> Generation:
        """How the run drew its clips."""
        return Generation.parse(self.config("generate"), where="generate_config")

    def model_manifests(self) -> dict[str, Manifest]:
        """The manifests of the four models, as the stage `generate` takes them."""
        names = {"video_vae": "train-video-vae", "audio_vae": "train-audio-vae"}
        names |= {"base": "train-base", "upsampler": "train-upsampler"}
        return {name: self.manifest(task) for name, task in names.items()}

    def generator(self, changes: Mapping[str, Manifest] | None = None) -> Generator:
        """The run's models, some of them exchanged for others."""
        files = model_files(**{**self.model_manifests(), **(changes or {})})
        return Generator.load(files, self.store, RuntimeConfig.model_validate(self._runtime()))

    def samples(self) -> dict[Split, list[Sample]]:
        """The packaged clips of the bucket that is trained on, by split."""
        buckets = dataset_shards(self.manifest("package"), self.store)
        shards = next(iter(buckets.values()))
        return {
            split: [sample for shard in shards[split] for sample in read_shard(shard, self.store)]
            for split in SPLITS
        }

    def _runtime(self) -> Any:
        return self.config("generate").get("runtime") or {}


def _task(record: RunRecord, name: str) -> TaskRecord:
    return find_task(record, name)


def obtain(folder: Path, *, seed: int, quick: bool) -> TrainedRun:
    """The run that `RUN` names (an id or a folder; `ROOT` is its store), or a new one of `PRESET`.

    Args:
        folder: for the copy of the store and for a new run.
        seed: seed of a new run and of the footage that it films.
        quick: whether a new run is one of the preset `smoke`.

    Raises:
        UsageError: there is no such run, or it did not succeed.
    """
    named = os.environ.get("RUN", "")
    preset = os.environ.get("PRESET") or ("smoke" if quick else "world")
    if named:
        path = Path(named) if Path(named, "run.json").is_file() else run_folder(Path("runs"), named)
        runs, record = path.parent, load_run(path.parent, path.name)
        root = Path(os.environ.get("ROOT") or record.parameters["root"])
    else:
        root, runs = folder / "original", folder / "runs"
        _run(preset, seed, runs=runs, root=root)
        record = load_run(runs)
    if record.state != "SUCCEEDED":
        raise UsageError(f"run {record.run_id}: it is {record.state}; give RUN= a run that succeeded")
    linked = folder / "store"
    shutil.copytree(root, linked, copy_function=_link)
    return TrainedRun(record, Store(str(linked)), preset, anew=not named, runs=runs)


def _run(preset: str, seed: int, *, runs: Path, root: Path) -> None:
    command = [sys.executable, "-m", "veo_core.cli.main", "run", "--preset", preset, "--seed", str(seed)]
    places = ["--set", f"collect.world.seed={seed}", "--runs", str(runs), "--root", str(root)]
    subprocess.run([*command, *places], check=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
