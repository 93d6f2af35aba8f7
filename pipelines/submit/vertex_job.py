"""A pipeline job on Vertex AI: made of a submission, created, and looked at."""

import logging
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

from pipelines.submit import vertex_errors
from pipelines.submit.compiled import Compiled
from pipelines.submit.errors import one_line
from pipelines.submit.patience import Pause, patiently
from pipelines.submit.progress import End, Look, Task, named, say
from pipelines.targets.profile import VertexProfile

_ENDS: dict[int, End] = {
    PipelineState.PIPELINE_STATE_SUCCEEDED: "succeeded",
    PipelineState.PIPELINE_STATE_FAILED: "failed",
    PipelineState.PIPELINE_STATE_CANCELLED: "cancelled",
}


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
            patiently(self._send, vertex_errors.passes, pause=pause)
        except (exceptions.GoogleAPICallError, RuntimeError) as error:
            raise vertex_errors.told(error, self.profile) from None

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
            details = patiently(lambda: self.job.task_details, vertex_errors.passes, pause=pause)
        except exceptions.GoogleAPICallError as error:
            raise vertex_errors.told(error, self.profile) from None
        resource = self.job.gca_resource
        return Look(
            state=_state(resource.state),
            tasks=named((detail.task_name, _task(detail)) for detail in details),
            end=_ENDS.get(resource.state),
            error=one_line(resource.error.message),
        )


def _state(state: PipelineState) -> str:
    return str(PipelineState(state).name).removeprefix("PIPELINE_STATE_").lower()


def _task(detail: PipelineTaskDetail) -> Task:
    state = PipelineTaskDetail.State(detail.state).name.lower()
    return Task("from the cache" if state == "skipped" else state, one_line(detail.error.message))


def _quieten() -> None:
    """The SDK writes hints for notebooks, and tracebacks of what does not matter, to standard output."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith("google.cloud.aiplatform.") and isinstance(logger, logging.Logger):
            logger.disabled = True
