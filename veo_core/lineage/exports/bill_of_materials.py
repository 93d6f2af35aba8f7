"""The bill of materials of the model that a run registered, with what the run's record tells of its making.

CycloneDX 1.6 calls that the formulation: https://cyclonedx.org/docs/1.6/json/#formulation. Libraries are
those that were installed where the run was started.
"""

import json
import re
import shlex
import uuid
from pathlib import Path
from typing import Any

from veo_core.lineage.evidence import Evidence
from veo_core.lineage.exports.subject import model_of, moment, record_of
from veo_core.records.run import ArtifactRecord, RunRecord, TaskRecord
from veo_core.registry.ml_bom import bill_of_materials, properties

Json = dict[str, Any]

FILE = "ml-bom.cdx.json"
_KINDS = {"evaluate": "test", "safety-evaluation": "test", "register": "release"}
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def run_bill_of_materials(evidence: Evidence, out: Path) -> dict[str, bytes]:
    """The bill of materials of a run's model.

    Raises:
        MissingError: the run registered none.
    """
    run, entry = record_of(evidence), model_of(evidence)
    bill = bill_of_materials(entry.reference, entry.description)
    root = bill["metadata"]["component"]
    if run.git_sha:
        root["pedigree"] = {"commits": [{"uid": run.git_sha}]}
        if run.git_dirty:
            root["pedigree"]["notes"] = "Files differed from this commit."
    if run.finished is not None:
        bill["metadata"]["timestamp"] = moment(run.finished)
    libraries = [_library(name, version) for name, version in run.packages.items()]
    bill["components"] += libraries
    bill["dependencies"][0]["dependsOn"] += [library["bom-ref"] for library in libraries]
    bill["formulation"] = [_formula(run)]
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{bill['serialNumber']} {run.digest}")
    bill["serialNumber"] = f"urn:uuid:{identity}"
    return {FILE: json.dumps(bill, indent=1, sort_keys=True).encode()}


def _library(name: str, version: str) -> Json:
    purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version.replace('+', '%2B')}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _formula(run: RunRecord) -> Json:
    """The run as a workflow of its tasks, in the images that they ran in."""
    workflow: Json = {
        "bom-ref": f"run:{run.run_id}",
        "uid": run.run_id,
        "name": run.pipeline,
        "description": f"{run.state} run of the pipeline whose IR has the sha256 {run.ir_digest}",
        "taskTypes": sorted({_kind(task) for task in run.tasks}) or ["build"],
        "inputs": _parameters(run.parameters),
        "tasks": [_task(task) for task in run.tasks],
        "taskDependencies": [
            {"ref": _ref(task.name), "dependsOn": _depends_on(task, run)} for task in run.tasks
        ],
        **_times(run.created, run.finished),
    }
    return {
        "bom-ref": f"formula:{run.run_id}",
        "components": [_image(pool, image) for pool, image in run.images.items()],
        "workflows": [workflow],
        "properties": properties(
            {
                "python": run.python or "not recorded",
                "platform": run.platform or "not recorded",
                "cpus": run.cpus or "not recorded",
                "memory_bytes": run.memory_bytes or "not recorded",
            }
        ),
    }


def _image(pool: str, image: str) -> Json:
    found = _DIGEST.search(image)
    hashes = {"hashes": [{"alg": "SHA-256", "content": found[1]}]} if found else {}
    return {"type": "container", "bom-ref": f"image:{pool}", "name": image, "description": pool, **hashes}


def _task(task: TaskRecord) -> Json:
    facts = {
        "state": task.state,
        "reason": task.reason,
        "attempts": task.attempts,
        "exit_code": task.exit_code,
        "cache_key": task.cache_key,
        "peak_rss_bytes": task.peak_rss_bytes,
    }
    return {
        "bom-ref": _ref(task.name),
        "uid": task.name,
        "name": task.name.rsplit("/", 1)[-1],
        "taskTypes": [_kind(task)],
        "steps": [{"commands": [{"executed": shlex.join(task.command)}]}] if task.command else [],
        "inputs": [{"resource": _artifact(name, a)} for name, given in task.inputs.items() for a in given]
        + _parameters(task.parameters),
        "outputs": [
            {"type": "artifact", "resource": _artifact(name, a)}
            for name, made in task.outputs.items()
            for a in made
        ],
        "properties": properties({name: value for name, value in facts.items() if value not in ("", None)}),
        **_times(task.started, task.finished),
    }


def _kind(task: TaskRecord) -> str:
    return _KINDS.get(task.component, "build")


def _artifact(name: str, artifact: ArtifactRecord) -> Json:
    """An artifact, named by its content where it has one, so that no path of a machine is needed."""
    reference: Json = {"type": "other", "comment": name, "url": artifact.uri}
    if artifact.sha256:
        reference["url"] = f"urn:sha256:{artifact.sha256}"
        reference["hashes"] = [{"alg": "SHA-256", "content": artifact.sha256}]
    return {"externalReference": reference}


def _parameters(values: dict[str, Any]) -> list[Json]:
    if not values:
        return []
    named = [
        {"name": name, "value": v if isinstance(v, str) else json.dumps(v, sort_keys=True)}
        for name, v in values.items()
    ]
    return [{"parameters": named}]


def _depends_on(task: TaskRecord, run: RunRecord) -> list[str]:
    """The tasks that it waited for; of a group, all that are in it."""
    return [
        _ref(other.name)
        for other in run.tasks
        if any(other.name == name or other.name.startswith(f"{name}/") for name in task.depends_on)
    ]


def _ref(name: str) -> str:
    return f"task:{name}"


def _times(start: float | None, end: float | None) -> Json:
    moments = {"timeStart": start, "timeEnd": end}
    return {key: moment(seconds) for key, seconds in moments.items() if seconds is not None}
