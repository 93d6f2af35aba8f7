"""Executing a recorded run again from its record, and comparing it stage by stage."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

import veo_core
from veo_core.errors import UsageError
from veo_core.lineage.commits import repository
from veo_core.lineage.diff import diff
from veo_core.lineage.difference import RunDifference
from veo_core.lineage.evidence import Evidence, gather
from veo_core.records.base import canonical_json, read_yaml, sha256_bytes
from veo_core.records.changes import ValueChange, value_changes
from veo_core.records.run import RunRecord
from veo_core.replay import driver
from veo_core.replay.checkout import check_out
from veo_core.replay.part import Part, part_of
from veo_core.runner import runs
from veo_core.runner.engine import IR_COPY
from veo_core.runner.provenance import facts
from veo_core.storage import Store

_NAMED = 4


@dataclass(frozen=True)
class Replay:
    """A run that is to be executed again.

    Attributes:
        evidence: the run.
        part: what of it.
        parameters: the record's, with changes that were asked for.
        here: whether the present code runs in place of the recorded commit's.
        workers: tasks at a time, None for one a CPU.
    """

    evidence: Evidence
    part: Part
    parameters: Mapping[str, Any]
    here: bool = False
    workers: int | None = None

    @classmethod
    def of(
        cls,
        evidence: Evidence,
        *,
        until: str = "",
        overlay: Mapping[str, Any] | None = None,
        here: bool = False,
        workers: int | None = None,
    ) -> "Replay":
        """Plan a replay. Nothing is executed.

        Args:
            evidence: the run.
            until: the last stage to execute; all but the registration where it is empty.
            overlay: values that replace those of the record, by stage and key as `veo run --set` has them.
            here: see the attribute.
            workers: see the attribute.

        Raises:
            UsageError: the record or its copy of the pipeline is damaged, or it is of another platform.
        """
        run = _record(evidence)
        document = read_yaml(evidence.folder / IR_COPY)
        if sha256_bytes(canonical_json(document)) != run.ir_digest:
            raise UsageError(f"{evidence.folder / IR_COPY}: it was altered: its digest is not the record's")
        parameters = _overlaid(run.parameters, overlay or {})
        return cls(evidence, part_of(document, until), parameters, here, workers)

    def remarks(self) -> Iterator[str]:
        """What makes an equal result less certain, or is done otherwise than in the run; one line each."""
        run = _record(self.evidence)
        now = facts()
        if run.state != "SUCCEEDED":
            yield f"the run is {run.state.lower()}: only stages that it finished can be compared"
        if run.git_dirty and not self.here:
            yield f"the run had uncommitted changes over commit {run.git_sha[:12]}, which are not here"
        if self.here:
            yield "the present code runs in place of the recorded commit's"
        for change in value_changes(run.parameters, self.parameters):
            yield f"changed on demand: {change.name}"
        if run.packages:
            here = {name: now["packages"][name] for name in run.packages if name in now["packages"]}
            yield from _others("libraries", list(value_changes(run.packages, here)))
        machine = {name: getattr(run, name) for name in ("python", "platform", "cpu", "accelerators")}
        known = {name: value for name, value in machine.items() if value}
        yield from _others("machine", list(value_changes(known, {name: now[name] for name in known})))
        if run.images:
            images = ", ".join(sorted(run.images.values()))
            yield f"the run's tasks ran in images ({images}); here they are processes"
        if _judge(run) == "external":
            yield "the judge is an outside server: it is asked anew, and may answer otherwise or cost money"
        if self.part.left_out:
            yield f"left out, because a replay publishes nothing: {', '.join(self.part.left_out)}"

    def execute(self, folder: Path) -> RunDifference:
        """Run it, with a store and runs of its own below `folder`, and compare the two runs.

        Raises:
            UsageError: the recorded commit cannot be had, or the run could not start.
        """
        run = _record(self.evidence)
        code = Path(veo_core.__file__).resolve().parents[1]
        if not self.here:
            code = folder / "code"
            check_out(repository(), run.git_sha, code)
        store = Store(str(folder / "store"))
        self._drive(folder, code, store)
        second = gather(runs.run_folder(folder / "runs"), store)
        held = [stage for stage in self.evidence.stages if self.part.holds(stage.task.name)]
        return diff(replace(self.evidence, stages=held), second, repository=repository())

    def _drive(self, folder: Path, code: Path, store: Store) -> None:
        """Run the part on the engine that lies in `code`."""
        run = _record(self.evidence)
        (folder / "runs").mkdir()
        pipeline, parameters, job = (folder / name for name in ("part.yaml", "parameters.json", "job.json"))
        pipeline.write_text(yaml.safe_dump(self.part.document), encoding="utf-8")
        parameters.write_text(json.dumps({**self.parameters, "root": store.root}), encoding="utf-8")
        content: driver.Job = {
            "pipeline": str(pipeline),
            "parameters": str(parameters),
            "runs": str(folder / "runs"),
            "code": str(code),
            "judge": _judge(run) == "world",
            "env": {"VEO_EXECUTOR": run.launch.get("item_executor", "pool")},
            "workers": self.workers,
        }
        job.write_text(json.dumps(content), encoding="utf-8")
        command = [sys.executable, "-P", driver.__file__, str(job)]
        status = _finish(
            subprocess.Popen(command, cwd=code, env=os.environ | {"PYTHONPATH": str(code)}, stdout=sys.stderr)
        )
        if status:
            raise UsageError(f"the replay could not be started: its engine ended with exit code {status}")


def _finish(engine: subprocess.Popen[bytes]) -> int:
    """Its exit code; where the wait is interrupted, the engine and its tasks have ended when this returns."""
    try:
        return engine.wait()
    except BaseException:
        engine.terminate()
        engine.wait()
        raise


def in_folder(folder: Path | None, work: Callable[[Path], RunDifference]) -> RunDifference:
    """Do `work` in a new folder that is kept, or in a temporary one where none is given.

    Raises:
        UsageError: the folder is not empty, or cannot be written.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="veo-replay-") as temporary:
            return work(Path(temporary))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be written: {error.strerror}") from None
    if any(folder.iterdir()):
        raise UsageError(f"--out {folder}: must be empty or not be there yet")
    return work(folder.resolve())


def _record(evidence: Evidence) -> RunRecord:
    if evidence.run is None:
        raise UsageError(f"{evidence.folder}: {evidence.notes[0]}")
    if evidence.run.target != "embedded":
        raise UsageError(
            f"run {evidence.run.run_id} is of {evidence.run.target}, whose images and machines are not here; "
            "submit it there again, import that run, and compare the two with `veo diff`"
        )
    return evidence.run


def _judge(run: RunRecord) -> str:
    """Who judged; an old record does not say, and then the configuration of `describe` tells."""
    if "judge" in run.launch:
        return run.launch["judge"]
    model = run.parameters.get("describe_config", {}).get("judge", {}).get("model", "")
    return "world" if str(model).startswith("world-") else "external"


def _overlaid(parameters: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with other values; a stage `describe` is the parameter `describe_config`."""
    changed = dict(parameters)
    for name, value in overlay.items():
        key = f"{name}_config" if f"{name}_config" in parameters else name
        changed = _with(changed, key, value, name)
    return changed


def _with(values: Mapping[str, Any], key: str, value: Any, path: str) -> dict[str, Any]:
    if key not in values:
        known = ", ".join(sorted(name.removesuffix("_config") for name in values))
        raise UsageError(f"--set {path}: the run has no such parameter; here are: {known}")
    old = values[key]
    if isinstance(old, dict) and isinstance(value, dict):
        for inner, new in value.items():
            old = _with(old, inner, new, f"{path}.{inner}")
        value = old
    return {**values, key: value}


def _others(title: str, changes: list[ValueChange]) -> Iterator[str]:
    if changes:
        told = [f"{c.name} {c.first or '(none)'} -> {c.second or '(none)'}" for c in changes[:_NAMED]]
        more = f" and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
        yield f"other {title} than the run's: {', '.join(told)}{more}"
