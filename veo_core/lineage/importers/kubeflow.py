"""Runs of Kubeflow Pipelines, from its API v2beta1.

Source: https://www.kubeflow.org/docs/components/pipelines/reference/api/kubeflow-pipeline-api-spec/. Up to
version 2.18 the API names no artifacts of tasks (kubeflow/pipelines issue 9858), so they are looked for where
its driver puts them: ROOT/PIPELINE/RUN/TASK/[SALT/]ARTIFACT.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from os import environ
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import httpx

from veo_core.errors import UsageError
from veo_core.lineage.importers.artifacts import ArtifactFolder
from veo_core.lineage.importers.platform import PlatformArtifact, PlatformRun, PlatformTask
from veo_core.records.run import RunState, TaskState

Json = dict[str, Any]

TOKEN_VARIABLE, COOKIE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH", "KF_PIPELINES_COOKIE"
_TOKEN_PLACE = Path("/var/run/secrets/kubeflow/pipelines/token")
_API = "/apis/v2beta1"
_CALL_SECONDS = 30.0
_RUN_STATES: dict[str, RunState] = {
    "SUCCEEDED": "SUCCEEDED",
    "FAILED": "FAILED",
    "CANCELED": "CANCELLED",
    "CANCELING": "RUNNING",
    "RUNNING": "RUNNING",
    "PENDING": "RUNNING",
    "PAUSED": "RUNNING",
}
_TASK_STATES: dict[str, TaskState] = {
    "SUCCEEDED": "SUCCEEDED",
    "FAILED": "FAILED",
    "CANCELED": "CANCELLED",
    "CANCELING": "RUNNING",
    "RUNNING": "RUNNING",
    "PENDING": "PENDING",
    "PAUSED": "PENDING",
}
_UNKNOWN = [
    "exit codes, attempts, memory, library versions, hardware: Kubeflow Pipelines does not tell them",
    "which run made cached outputs, and where these are: Kubeflow Pipelines does not tell it",
]
_LABEL = re.compile(r"(ir-digest|git-sha|git-dirty|preset) ([^,\s]+)")


def fetch(endpoint: str, run_id: str) -> tuple[Json, Json]:
    """A run and the version of its pipeline, as the API answers.

    Credentials are those of `make submit-kfp`: the file of a token that KF_PIPELINES_SA_TOKEN_PATH names, or
    the cookie of a login in KF_PIPELINES_COOKIE.

    Args:
        endpoint: address of Kubeflow Pipelines, as in the profile.
        run_id: the id that its page shows.

    Raises:
        UsageError: nobody answers, the credentials are refused, or there is no such run.
    """
    with httpx.Client(headers=_credentials(), timeout=_CALL_SECONDS) as client:
        run = _get(client, endpoint, f"/runs/{quote(run_id, safe='')}")
        reference = run.get("pipeline_version_reference") or {}
        pipeline, version = reference.get("pipeline_id"), reference.get("pipeline_version_id")
        if not (pipeline and version):
            return run, {}
        place = f"/pipelines/{quote(pipeline, safe='')}/versions/{quote(version, safe='')}"
        return run, _get(client, endpoint, place)


def read(run: Json, version: Json, endpoint: str, artifacts: ArtifactFolder | None = None) -> PlatformRun:
    """A run as Kubeflow Pipelines tells it.

    Args:
        run: a `V2beta1Run`, as JSON.
        version: the `V2beta1PipelineVersion` that it ran, as JSON; empty where it is not at hand.
        endpoint: address of Kubeflow Pipelines; empty where it is not known.
        artifacts: where its artifacts are; looked for nowhere where None.

    Raises:
        UsageError: it is no such run.
    """
    try:
        spec = run.get("pipeline_spec") or version["pipeline_spec"]
        spec = spec.get("pipeline_spec", spec)  # beside a platform's own specification
        details = (run.get("run_details") or {}).get("task_details") or []
        found = _published(run, spec, artifacts) if artifacts is not None else {}
        config = run.get("runtime_config") or {}
        state = _RUN_STATES[run.get("state") or "PENDING"]
        conditional = _conditional(spec)
        return PlatformRun(
            target="kubeflow",
            id=run["run_id"],
            address=f"{endpoint}/#/runs/details/{run['run_id']}" if endpoint else "",
            state=state,
            created=_required_time(run["created_at"]),
            finished=_time(run.get("finished_at")),
            spec=spec,
            arguments=config.get("parameters") or {},
            root=config.get("pipeline_root") or "",
            labels=dict(_LABEL.findall(version.get("description") or "")),
            tasks=[
                _task(
                    one,
                    endpoint,
                    conditional=one["display_name"] in conditional,
                    run_state=state,
                    outputs=found.get(one["display_name"], {}),
                )
                for one in details
                if not _is_inner(one)
            ],
            unknown=[*_UNKNOWN],
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"not understood as a run of Kubeflow Pipelines: {type(error).__name__} {error}"
        ) from None


def _task(
    detail: Json,
    endpoint: str,
    *,
    conditional: bool,
    run_state: RunState,
    outputs: Mapping[str, PlatformArtifact],
) -> PlatformTask:
    word = detail.get("state") or "PENDING"
    error = ((detail.get("error") or {}).get("message") or "").strip()
    state, meaning = _TASK_STATES.get(word, "SKIPPED"), error
    if word == "SKIPPED" and conditional:
        meaning = "its condition does not hold"
    elif word == "SKIPPED" and run_state == "SUCCEEDED":
        state, meaning = "CACHED", "its outputs were in the cache"
    elif word == "SKIPPED":
        meaning = "its outputs were in the cache, or it was left out because another task failed"
    return PlatformTask(
        name=detail["display_name"],
        state=state,
        reason=f"Kubeflow Pipelines: {word}" + (f": {meaning}" if meaning else ""),
        started=_time(detail.get("start_time")),
        finished=_time(detail.get("end_time")),
        log=f"{endpoint}/#/runs/details/{detail['run_id']}" if endpoint and detail.get("run_id") else "",
        outputs={key: [artifact] for key, artifact in outputs.items()},
    )


def _conditional(spec: Json) -> set[str]:
    """Names of the tasks and groups that have a condition."""
    dags = [spec["root"]["dag"], *(one["dag"] for one in spec["components"].values() if "dag" in one)]
    return {name for dag in dags for name, task in dag["tasks"].items() if "triggerPolicy" in task}


def _is_inner(detail: Json) -> bool:
    """Whether a task is one that Kubeflow Pipelines adds to those of the pipeline."""
    name = str(detail.get("display_name"))
    return name in ("root", "executor") or name.endswith("-driver")


def _published(run: Json, spec: Json, artifacts: ArtifactFolder) -> dict[str, dict[str, PlatformArtifact]]:
    """The artifacts below the run's own folder, by task and name: a task publishes where it ends well."""
    folder = f"{artifacts.root.rstrip('/')}/{spec['pipelineInfo']['name']}/{run['run_id']}"
    names = {
        name
        for component in spec["components"].values()
        for name in component.get("outputDefinitions", {}).get("artifacts", {})
    }
    found: dict[str, dict[str, PlatformArtifact]] = {}
    for uri in artifacts.below(folder):
        parts = PurePosixPath(uri.removeprefix(folder).strip("/")).parts
        if parts[-1] in names:
            found.setdefault(parts[0], {})[parts[-1]] = PlatformArtifact(uri)
    return found


def _credentials() -> dict[str, str]:
    place = Path(environ.get(TOKEN_VARIABLE) or _TOKEN_PLACE)
    headers = {}
    if place.is_file():
        headers["Authorization"] = f"Bearer {place.read_text(encoding='utf-8').strip()}"
    elif TOKEN_VARIABLE in environ:
        raise UsageError(f"{TOKEN_VARIABLE}: {place}: no such file")
    if COOKIE_VARIABLE in environ:
        headers["Cookie"] = environ[COOKIE_VARIABLE]
    return headers


def _get(client: httpx.Client, endpoint: str, path: str) -> Json:
    where = f"Kubeflow Pipelines at {endpoint}"
    try:
        response = client.get(f"{endpoint.rstrip('/')}{_API}{path}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UsageError(f"{where} cannot be reached: {error}") from None
    if response.status_code in (401, 403):
        raise UsageError(
            f"{where} refuses the credentials: set {TOKEN_VARIABLE} to the file of a token, or "
            f"{COOKIE_VARIABLE} to the cookie of a login"
        )
    try:
        answer = response.json()
    except json.JSONDecodeError:
        answer = None
    if response.is_error or not isinstance(answer, dict):
        message = answer.get("message", "") if isinstance(answer, dict) else ""
        raise UsageError(f"{where}: {response.status_code} {message or 'no JSON'}")
    return answer


def _time(text: str | None) -> float | None:
    """RFC 3339; the zero time of Go stands for none."""
    if not text or text.startswith(("0001-", "1970-01-01T00:00:00")):
        return None
    return datetime.fromisoformat(text).timestamp()


def _required_time(text: str) -> float:
    found = _time(text)
    if found is None:
        raise ValueError("created_at says no time")
    return found
