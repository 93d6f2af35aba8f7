"""A run on Kubeflow Pipelines: its pipeline uploaded once a version, its experiment, its tasks."""

import json
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any, TypeVar

import kfp
import kfp_server_api
import urllib3
from kfp.client import KF_PIPELINES_SA_TOKEN_ENV, KF_PIPELINES_SA_TOKEN_PATH
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

from pipelines.submit.compiled import Compiled
from pipelines.submit.errors import RemoteError, one_line
from pipelines.submit.patience import Pause, patiently
from pipelines.submit.progress import End, Look, Task, named
from pipelines.targets.profile import KubeflowProfile
from veo_core.errors import UsageError

Result = TypeVar("Result")
COOKIE_VARIABLE = "KF_PIPELINES_COOKIE"
_ENDS: dict[str, End] = {"SUCCEEDED": "succeeded", "FAILED": "failed", "CANCELED": "cancelled"}
_UNAUTHORIZED, _FORBIDDEN, _CONFLICT, _TOO_MANY, _SERVER_ERROR = 401, 403, 409, 429, 500
_VERSION_CHARACTERS = 16


@dataclass
class Cluster:
    """An installation of Kubeflow Pipelines, called in the name of a profile.

    Attributes:
        namespace: where things are made; empty in an installation for a single user, which has none.
        pause: waits between attempts.
    """

    profile: KubeflowProfile
    client: Any
    namespace: str
    pause: Pause

    @classmethod
    def of(cls, profile: KubeflowProfile, pause: Pause = time.sleep) -> "Cluster":
        """Connect.

        Raises:
            UsageError: the credentials are missing or refused.
            RemoteError: nobody answers at the profile's endpoint.
        """
        cluster = cls(profile, _client(profile, profile.namespace), profile.namespace, pause)
        health = cluster._call(lambda: cluster.client.healthzs.healthz_service_get_healthz())
        if not health.multi_user:
            cluster.namespace = ""
            cluster.client = cluster._call(lambda: _client(profile, ""))
        return cluster

    def upload(self, compiled: Compiled, description: str) -> tuple[str, str]:
        """The ids of the pipeline and of the version with this IR, which is uploaded where it is not yet.

        Raises:
            UsageError: the cluster refuses it.
            RemoteError: the cluster is ill.
        """
        pipeline = self._pipeline(compiled.name)
        name = compiled.digest[:_VERSION_CHARACTERS]
        version = self._version(pipeline, name)
        if version is None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "pipeline.yaml"
                path.write_text(compiled.text)
                self._unless_there(
                    lambda: self.client.upload_pipeline_version(
                        str(path), name, pipeline_id=pipeline, description=description
                    )
                )
            version = self._version(pipeline, name)
        return pipeline, str(version)

    def start(self, pipeline: str, version: str, name: str, parameters: Mapping[str, Any]) -> str:
        """Start a run of a version in the profile's experiment; its id.

        Raises:
            UsageError: the cluster refuses it.
            RemoteError: the cluster is ill.
        """
        experiment = self._call(
            lambda: self.client.create_experiment(self.profile.experiment, namespace=self.namespace)
        )
        run = self._call(
            lambda: self.client.run_pipeline(
                experiment.experiment_id,
                name,
                params=dict(parameters),
                pipeline_id=pipeline,
                version_id=version,
                service_account=self.profile.service_account,
            )
        )
        return str(run.run_id)

    def look(self, run_id: str) -> Look:
        """A run as it is now.

        Raises:
            UsageError: it may not be looked at any more.
            RemoteError: the cluster does not answer.
        """
        run = self._call(lambda: self.client.get_run(run_id))
        details = (run.run_details and run.run_details.task_details) or []
        return Look(
            state=(run.state or "pending").lower(),
            tasks=named((detail.display_name, _task(detail)) for detail in details if not _is_driver(detail)),
            end=_ENDS.get(run.state),
            error=one_line(run.error.message or "") if run.error else "",
        )

    def _pipeline(self, name: str) -> str:
        found = self._find_pipeline(name)
        if found is None:
            made = kfp_server_api.V2beta1Pipeline(display_name=name, name=name, namespace=self.namespace)
            self._unless_there(lambda: self.client.pipelines.pipeline_service_create_pipeline(made))
            found = self._find_pipeline(name)
        return str(found)

    def _find_pipeline(self, name: str) -> str | None:
        found = self._call(
            lambda: self.client.list_pipelines(namespace=self.namespace, filter=_named(name))
        ).pipelines
        return str(found[0].pipeline_id) if found else None

    def _version(self, pipeline: str, name: str) -> str | None:
        found = self._call(
            lambda: self.client.list_pipeline_versions(pipeline, filter=_named(name))
        ).pipeline_versions
        return str(found[0].pipeline_version_id) if found else None

    def _unless_there(self, call: Callable[[], object]) -> None:
        """Make something; it does not matter if a lost answer or another submitter made it already."""

        def make() -> None:
            try:
                call()
            except kfp_server_api.ApiException as error:
                if error.status != _CONFLICT:
                    raise

        self._call(make)

    def _call(self, call: Callable[[], Result]) -> Result:
        try:
            return patiently(call, _passes, pause=self.pause)
        except (kfp_server_api.ApiException, urllib3.exceptions.HTTPError) as error:
            raise _told(error, self.profile.endpoint) from None


def _client(profile: KubeflowProfile, namespace: str) -> Any:
    token = environ.get(KF_PIPELINES_SA_TOKEN_ENV) or KF_PIPELINES_SA_TOKEN_PATH
    if KF_PIPELINES_SA_TOKEN_ENV in environ and not Path(token).is_file():
        raise UsageError(f"{KF_PIPELINES_SA_TOKEN_ENV}: {token}: no such file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says at every start which servers it works with
        return kfp.Client(
            host=profile.endpoint,
            namespace=namespace,
            cookies=environ.get(COOKIE_VARIABLE),
            credentials=ServiceAccountTokenVolumeCredentials(token) if Path(token).is_file() else None,
        )


def _named(name: str) -> str:
    predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})


def _task(detail: Any) -> Task:
    state = (detail.state or "pending").lower()
    message = one_line(detail.error.message or "") if detail.error else ""
    return Task("from the cache" if state == "skipped" else state, message)


def _is_driver(detail: Any) -> bool:
    """Whether a task is one that Kubeflow Pipelines adds to those of the pipeline."""
    name = str(detail.display_name)
    return name == "root" or name.endswith("-driver")


def _passes(error: Exception) -> bool:
    if isinstance(error, kfp_server_api.ApiException):
        return int(error.status) == _TOO_MANY or int(error.status) >= _SERVER_ERROR
    return isinstance(error, urllib3.exceptions.HTTPError)


def _told(error: Exception, endpoint: str) -> UsageError | RemoteError:
    """What an error means to the person who submits, in one line."""
    if not isinstance(error, kfp_server_api.ApiException):
        reason = getattr(error, "reason", None) or error
        return RemoteError(f"Kubeflow Pipelines at {endpoint} cannot be reached: {one_line(reason)}")
    where = f"Kubeflow Pipelines at {endpoint}"
    text = f"{error.status} {_message(error)}"
    if error.status in (_UNAUTHORIZED, _FORBIDDEN):
        return UsageError(
            f"{where} refuses the credentials: {text}: set {KF_PIPELINES_SA_TOKEN_ENV} to the file of a "
            f"token, or {COOKIE_VARIABLE} to the cookie of a login"
        )
    if _passes(error):
        return RemoteError(f"{where} is not available: {text}; submit again later")
    return UsageError(f"{where} refuses the run: {text}")


def _message(error: Any) -> str:
    """The API's own message; its whole body where it has none."""
    try:
        message = json.loads(error.body)["message"]
    except (ValueError, TypeError, KeyError):
        message = error.body or error.reason
    return one_line(message or "")
