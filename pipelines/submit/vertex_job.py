"""A pipeline job on Vertex AI: made of a submission, created, and looked at."""

import logging
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google.auth.credentials
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform_v1.types import PipelineState, PipelineTaskDetail

from pipelines.submit.compiled import Compiled
from pipelines.submit.errors import RemoteError, one_line
from pipelines.submit.patience import Pause, patiently
from pipelines.submit.progress import End, Look, Task, named, say
from pipelines.targets.profile import VertexProfile
from veo_core.errors import UsageError

_ENDS: dict[int, End] = {
    PipelineState.PIPELINE_STATE_SUCCEEDED: "succeeded",
    PipelineState.PIPELINE_STATE_FAILED: "failed",
    PipelineState.PIPELINE_STATE_CANCELLED: "cancelled",
}
_PASSING = (
    exceptions.ServiceUnavailable,
    exceptions.TooManyRequests,
    exceptions.InternalServerError,
    exceptions.GatewayTimeout,
    exceptions.DeadlineExceeded,
)
_NO_CAPACITY = re.compile(
    r"resources are insufficient|not have enough resources|RESOURCE_POOL_EXHAUSTED|stock-?out"
    r"|no more capacity",
    re.IGNORECASE,
)
_METRIC = re.compile(r"[a-z]+\.googleapis\.com/[a-z0-9_]+")
_PERMISSION = re.compile(r"'?([a-z]+(?:\.[A-Za-z]+){2})'?")


def pipeline_root(profile: VertexProfile) -> str:
    """Where Vertex puts the artifacts of runs."""
    return f"{profile.bucket}/pipelines"


def job_id(name: str, choice: int) -> str:
    """A name that no other job has: the pipeline's, the time, and the choice of accelerators."""
    return f"{name}-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{choice}"


@dataclass
class VertexJob:
    """One job; it lies with the service once `create` returned."""

    profile: VertexProfile
    name: str
    job: aiplatform.PipelineJob

    @classmethod
    def of(
        cls,
        compiled: Compiled,
        profile: VertexProfile,
        parameters: Mapping[str, Any],
        *,
        name: str,
        labels: Mapping[str, str],
        credentials: google.auth.credentials.Credentials,
    ) -> "VertexJob":
        """The job of a compiled pipeline, still on this machine."""
        _quieten()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pipeline.yaml"
            path.write_text(compiled.text)
            job = aiplatform.PipelineJob(
                display_name=compiled.name,
                template_path=str(path),
                job_id=name,
                pipeline_root=pipeline_root(profile),
                parameter_values=dict(parameters),
                encryption_spec_key_name=profile.cmek_key,
                labels=dict(labels),
                credentials=credentials,
                project=profile.project,
                location=profile.region,
            )
        return cls(profile, name, job)

    @property
    def link(self) -> str:
        profile = self.profile
        return (
            f"https://console.cloud.google.com/vertex-ai/locations/{profile.region}/pipelines/runs/"
            f"{self.name}?project={profile.project}"
        )

    def create(self, pause: Pause = time.sleep) -> None:
        """Send the job.

        Raises:
            UsageError: Vertex AI refuses it: a permission, a quota, a value.
            RemoteError: Vertex AI is ill, or has too much to do.
        """
        try:
            patiently(self._send, _passes, pause=pause)
        except (exceptions.GoogleAPICallError, RuntimeError) as error:
            raise _told(error, self.profile) from None

    def _send(self) -> None:
        try:
            self.job.submit(
                service_account=self.profile.service_account,
                network=self.profile.network,
                experiment=self.profile.experiment,
            )
        except exceptions.AlreadyExists:  # an answer was lost; the name is this job's own
            self.job = aiplatform.PipelineJob.get(
                self.name,
                project=self.profile.project,
                location=self.profile.region,
                credentials=self.job.credentials,
            )
            self._not_in_experiment()
        except RuntimeError:
            if not self._created():
                raise
            self._not_in_experiment()

    def _created(self) -> bool:
        try:
            return bool(self.job.resource_name)
        except RuntimeError:
            return False

    def _not_in_experiment(self) -> None:
        if self.profile.experiment:
            say(f"the job runs, but could not be put into the experiment {self.profile.experiment}")

    def look(self, pause: Pause = time.sleep) -> Look:
        """The job as it is now.

        Raises:
            UsageError: it may not be looked at any more.
            RemoteError: Vertex AI does not answer.
        """
        try:
            details = patiently(lambda: self.job.task_details, _passes, pause=pause)
        except exceptions.GoogleAPICallError as error:
            raise _told(error, self.profile) from None
        resource = self.job.gca_resource
        return Look(
            state=_state(resource.state),
            tasks=named((detail.task_name, _task(detail)) for detail in details),
            end=_ENDS.get(resource.state),
            error=one_line(resource.error.message),
        )


def lacks_capacity(last: Look) -> bool:
    """Whether a run failed because the machines that it asked for were not to be had."""
    return last.end == "failed" and any(
        _NO_CAPACITY.search(message) for message in (last.error, *last.failed.values())
    )


def _state(state: PipelineState) -> str:
    return str(PipelineState(state).name).removeprefix("PIPELINE_STATE_").lower()


def _task(detail: PipelineTaskDetail) -> Task:
    state = PipelineTaskDetail.State(detail.state).name.lower()
    return Task("from the cache" if state == "skipped" else state, one_line(detail.error.message))


def _passes(error: Exception) -> bool:
    cause = error.__cause__ if isinstance(error, RuntimeError) else error
    return isinstance(cause, _PASSING) and not _METRIC.search(str(cause))


def _told(error: Exception, profile: VertexProfile) -> UsageError | RemoteError:
    """What an error of Vertex AI means to the person who submits, in one line."""
    cause = error.__cause__ if isinstance(error.__cause__, exceptions.GoogleAPICallError) else error
    where = f"Vertex AI in {profile.region}"
    text = one_line(getattr(cause, "message", cause))
    match cause:
        case exceptions.Forbidden():
            permission = _PERMISSION.search(text)
            what = permission[1] if permission else text
            return UsageError(f"{where}: permission {what} is denied: ask for roles/aiplatform.user")
        case exceptions.Unauthenticated() | exceptions.Unauthorized():
            return UsageError(f"{where}: the credentials are refused: {text}")
        case exceptions.TooManyRequests() if found := _METRIC.findall(text):
            return UsageError(
                f"{where}: quota {', '.join(found)} is used up: wait for other jobs, ask for more at "
                f"https://console.cloud.google.com/iam-admin/quotas?project={profile.project}, or name other "
                "accelerators in the profile"
            )
        case exceptions.TooManyRequests():
            return RemoteError(f"{where}: too many requests, also after waiting: {text}; submit again later")
        case exceptions.ClientError():
            return UsageError(f"{where} refuses the job: {text}")
        case exceptions.ServerError():
            return RemoteError(f"{where} is not available: {cause.code} {text}; submit again later")
    return RemoteError(f"{where}: {text}")


def _quieten() -> None:
    """The SDK writes hints for notebooks, and tracebacks of what does not matter, to standard output."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith("google.cloud.aiplatform.") and isinstance(logger, logging.Logger):
            logger.disabled = True
