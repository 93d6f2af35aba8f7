"""The stages of curation as commands, run one after the other on a store of their own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from veo_core.records.clip import Clip, Source
from veo_core.records.ledger import Decision
from veo_core.records.manifest import Manifest
from veo_core.storage import Store
from veo_core.world.truth import WorldSpec

PRESET = Path(__file__).parents[2] / "pipelines" / "presets" / "world.yaml"

# Each stage with the name of its input.
INPUTS = {
    "collect": "",
    "prepare": "sources",
    "describe": "clips",
    "dedup": "clips",
    "safety_filter": "clips",
    "quality_filter": "clips",
    "annotate": "clips",
    "package": "clips",
}
STAGES = tuple(INPUTS)

Configs = dict[str, dict[str, Any]]


def configs(world: WorldSpec, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Configs:
    """The configurations of the world preset, filming `world`, with some of their keys changed."""
    preset = yaml.safe_load(PRESET.read_text())
    chosen: Configs = {stage: dict(preset[stage] or {}) for stage in STAGES}
    chosen["collect"]["world"] = world.model_dump(mode="json")
    for stage, values in (changes or {}).items():
        for key, value in values.items():
            old = chosen[stage].get(key)
            chosen[stage][key] = {**old, **value} if isinstance(old, dict) else value
    return chosen


class Curated:
    """What curation left in a store: the manifests of its stages, and their tables."""

    store: Store

    def manifest(self, stage: str) -> Manifest:
        raise KeyError(stage)

    def manifest_bytes(self) -> dict[str, bytes]:
        """The bytes of each stage's manifest."""
        return {stage: self.manifest(stage).to_bytes() for stage in STAGES}

    def ledger(self, stage: str) -> list[Decision]:
        return self.store.get_table(self.manifest(stage).tables["ledger"], Decision)

    def clips(self, stage: str) -> list[Clip]:
        return self.store.get_table(self.manifest(stage).tables["clips"], Clip)

    def sources(self) -> list[Source]:
        return self.store.get_table(self.manifest("collect").tables["sources"], Source)


class Chain(Curated):
    """Curation by commands in `folder`: its store, and the manifest of each stage.

    Args:
        folder: made where it does not exist.
        configs: configuration of each stage.
        judge: base URL of the judge server.
        workers: processes that a stage may use.
        environment: further variables of the commands.
    """

    def __init__(
        self,
        folder: Path,
        configs: Configs,
        judge: str,
        *,
        workers: int = 2,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.configs = configs
        self.store = Store(str(folder / "store"))
        self.environment = os.environ | {"OPENAI_BASE_URL": judge, "VEO_WORKERS": str(workers)}
        self.environment |= environment or {}

    def command(self, stage: str, *options: str) -> list[str]:
        """The command of a stage; the stage before it must have run."""
        source = []
        if INPUTS[stage]:
            source = [f"--{INPUTS[stage]}", str(self.path(STAGES[STAGES.index(stage) - 1]))]
        return [
            sys.executable, "-m", f"veo_core.curate.{stage}", "--root", self.store.root, *source,
            "--config", json.dumps(self.configs[stage]), "--manifest", str(self.path(stage)), *options,
        ]  # fmt: skip

    def start(self, stage: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a stage in a process group of its own; its log goes to `STAGE.log`."""
        with (self.folder / f"{stage}.log").open("ab") as log:
            return subprocess.Popen(
                self.command(stage, *options), env=self.environment, stderr=log, start_new_session=True
            )

    def run(self, stages: Sequence[str] = STAGES, *options: str) -> None:
        """Run stages to their end.

        Raises:
            RuntimeError: a stage did not succeed; the message holds the end of its log.
        """
        for stage in stages:
            process = self.start(stage, *options)
            try:
                self.check(stage, process.wait())
            finally:
                end(process)

    def check(self, stage: str, code: int) -> None:
        """Raise RuntimeError with the end of the stage's log where its exit code is not 0."""
        if code != 0:
            log = (self.folder / f"{stage}.log").read_text(errors="replace")
            raise RuntimeError(f"{stage} ended with {code}:\n{log[-2000:]}")

    def path(self, stage: str) -> Path:
        """Where a stage's manifest goes."""
        return self.folder / f"{stage}.json"

    def manifest(self, stage: str) -> Manifest:
        return Manifest.load(self.path(stage))


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a stage with its process group, unless it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
