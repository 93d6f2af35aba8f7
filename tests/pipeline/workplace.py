"""A folder in which the pipeline runs."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from veo_core.records.manifest import Manifest
from veo_core.records.run import RunRecord, TaskRecord
from veo_core.storage import Store

CURATION = (
    "collect", "prepare", "describe", "dedup", "safety-filter", "quality-filter", "annotate", "package",
)  # fmt: skip


@dataclass(frozen=True)
class Workplace:
    """A folder with a store and runs of its own."""

    folder: Path
    library: Path | None = None
    subcommand: str = "run"

    def command(self, *arguments: str) -> list[str]:
        places = ["--root", str(self.folder / "store"), "--runs", str(self.folder / "runs")]
        return [
            sys.executable,
            "-m",
            "veo_core.cli.main",
            self.subcommand,
            "--preset",
            "smoke",
            *places,
            *arguments,
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a run: marked, so that its processes can be told from others."""
        library = {"PYTHONPATH": str(self.library)} if self.library else {}
        return os.environ | {"VEO_TEST_PLACE": str(self.folder)} | library

    def run(self, *arguments: str, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, env=self.environment, timeout=timeout,
            cwd=self.folder,
        )  # fmt: skip

    def processes(self) -> list[int]:
        """The processes that belong to runs of this place."""
        mark = f"VEO_TEST_PLACE={self.folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
        return found

    @property
    def store(self) -> Store:
        return Store(str(self.folder / "store"))

    @property
    def latest(self) -> RunRecord:
        folders = sorted(path.parent for path in (self.folder / "runs").glob("*/run.json"))
        return RunRecord.load(folders[-1] / "run.json")

    @property
    def latest_folder(self) -> Path:
        return self.folder / "runs" / self.latest.run_id

    def tasks(self) -> dict[str, TaskRecord]:
        """The stages of the latest run by short name."""
        return {task.name.rsplit("/", 1)[-1]: task for task in self.latest.tasks}

    def manifest(self, stage: str) -> Manifest:
        (artifact,) = self.tasks()[stage].outputs["manifest"]
        path = Path(artifact.uri.removeprefix("file://"))
        return Manifest.load(path if path.is_absolute() else self.latest_folder / path)

    def curation_digests(self) -> dict[str, str]:
        return {stage: self.manifest(stage).digest for stage in CURATION}
