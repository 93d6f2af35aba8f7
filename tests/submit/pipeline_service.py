"""Vertex AI's gRPC services as far as a pipeline's submission uses them, from the SDK's own message types."""

import base64
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
import vertex_rules
from google.cloud import resourcemanager_v3
from google.cloud.aiplatform_v1.types import (
    Context,
    MetadataStore,
    PipelineJob,
    PipelineState,
    PipelineTaskDetail,
    metadata_service,
    pipeline_service,
)
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from google_network import Certified

PROJECT, NUMBER, REGION = "veo-project", "123456789012", "us-central1"
LOCATION = f"projects/{PROJECT}/locations/{REGION}"

Tasks = dict[str, tuple[str, str]]
"""The state and the error of each task by name."""


@dataclass(frozen=True)
class Snapshot:
    """What `GetPipelineJob` answers at one time."""

    state: str
    tasks: Tasks = field(default_factory=dict)
    error: str = ""


SUCCESS = [
    Snapshot("RUNNING", {"collect": ("RUNNING", "")}),
    Snapshot("SUCCEEDED", {"collect": ("SUCCEEDED", ""), "prepare": ("SKIPPED", "")}),
]


class Refusal(Exception):  # noqa: N818 - the name of what the service does
    """An answer that is an error."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class VertexServer:
    """PipelineService, MetadataService and Projects on loopback.

    Attributes:
        requests: accepted calls of CreatePipelineJob.
        refusals: answers to the next calls of CreatePipelineJob, in their order; each refuses one call.
        lose_answers: how many of the next jobs are made, but answered with UNAVAILABLE.
        polls: answers that are errors for the next calls of GetPipelineJob.
        stories: what happens to each job made: what is seen at each look, the last one for ever.
        secrets: strings that no request may contain.
        experiments: names of the pipeline runs of each experiment.
        port: where it listens.
    """

    requests: list[pipeline_service.CreatePipelineJobRequest] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    lose_answers: int = 0
    polls: list[Refusal] = field(default_factory=list)
    stories: list[list[Snapshot]] = field(default_factory=list)
    secrets: Sequence[str] = ()
    experiments: dict[str, list[str]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    port: int = 0
    _jobs: dict[str, tuple[PipelineJob, list[Snapshot]]] = field(default_factory=dict)
    _contexts: dict[str, Context] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def create_pipeline_job(self, request: pipeline_service.CreatePipelineJobRequest) -> PipelineJob:
        if self.refusals:
            raise self.refusals.pop(0)
        name = f"{request.parent}/pipelineJobs/{request.pipeline_job_id}"
        if name in self._jobs:
            raise Refusal(grpc.StatusCode.ALREADY_EXISTS, f"{name} already exists.")
        problems = vertex_rules.problems(request, self.secrets)
        if problems:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "; ".join(problems))
        self.requests.append(request)
        job = PipelineJob(request.pipeline_job)
        job.name = f"projects/{NUMBER}/locations/{REGION}/pipelineJobs/{request.pipeline_job_id}"
        job.state = PipelineState.PIPELINE_STATE_PENDING
        job.create_time = datetime(2026, 11, 28, 10, 36, 43, tzinfo=UTC)
        run = Context(name=f"{LOCATION}/metadataStores/default/contexts/{request.pipeline_job_id}")
        run.schema_title, run.display_name = "system.PipelineRun", request.pipeline_job_id
        self._contexts[run.name] = run
        job.job_detail.pipeline_run_context = run
        self._jobs[name] = self._jobs[job.name] = (job, self.stories.pop(0) if self.stories else [*SUCCESS])
        if self.lose_answers:
            self.lose_answers -= 1
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
        return job

    def get_pipeline_job(self, request: pipeline_service.GetPipelineJobRequest) -> PipelineJob:
        if self.polls:
            raise self.polls.pop(0)
        if request.name not in self._jobs:
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"{request.name} does not exist.")
        job, story = self._jobs[request.name]
        seen = story[0]
        if len(story) > 1:
            story.pop(0)
        job.state = PipelineState[f"PIPELINE_STATE_{seen.state}"]
        job.job_detail.task_details = [
            PipelineTaskDetail(
                task_id=number,
                task_name=task,
                state=PipelineTaskDetail.State[state],
                error=status_pb2.Status(code=9, message=error) if error else None,
            )
            for number, (task, (state, error)) in enumerate(seen.tasks.items())
        ]
        if seen.error:
            job.error = status_pb2.Status(code=9, message=seen.error)
        return job

    def cancel_pipeline_job(self, request: pipeline_service.CancelPipelineJobRequest) -> empty_pb2.Empty:
        self.cancelled.append(request.name)
        return empty_pb2.Empty()

    def get_metadata_store(self, request: metadata_service.GetMetadataStoreRequest) -> MetadataStore:
        return MetadataStore(name=request.name)

    def get_context(self, request: metadata_service.GetContextRequest) -> Context:
        if request.name not in self._contexts:
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"{request.name} does not exist.")
        return self._contexts[request.name]

    def create_context(self, request: metadata_service.CreateContextRequest) -> Context:
        context = Context(request.context)
        context.name = f"{request.parent}/contexts/{request.context_id}"
        self._contexts[context.name] = context
        self.experiments[request.context_id] = []
        return context

    def add_context_children(
        self, request: metadata_service.AddContextChildrenRequest
    ) -> metadata_service.AddContextChildrenResponse:
        experiment = request.context.rsplit("/", 1)[-1]
        self.experiments[experiment] += [name.rsplit("/", 1)[-1] for name in request.child_contexts]
        return metadata_service.AddContextChildrenResponse()

    def get_project(self, request: resourcemanager_v3.GetProjectRequest) -> resourcemanager_v3.Project:
        return resourcemanager_v3.Project(name=f"projects/{NUMBER}", project_id=PROJECT)

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        pipelines, metadata = pipeline_service, metadata_service
        return [
            self._service(
                "google.cloud.aiplatform.v1.PipelineService",
                {
                    "CreatePipelineJob": (self.create_pipeline_job, pipelines.CreatePipelineJobRequest),
                    "GetPipelineJob": (self.get_pipeline_job, pipelines.GetPipelineJobRequest),
                    "CancelPipelineJob": (self.cancel_pipeline_job, pipelines.CancelPipelineJobRequest),
                },
            ),
            self._service(
                "google.cloud.aiplatform.v1.MetadataService",
                {
                    "GetMetadataStore": (self.get_metadata_store, metadata.GetMetadataStoreRequest),
                    "GetContext": (self.get_context, metadata.GetContextRequest),
                    "CreateContext": (self.create_context, metadata.CreateContextRequest),
                    "AddContextChildren": (self.add_context_children, metadata.AddContextChildrenRequest),
                },
            ),
            self._service(
                "google.cloud.resourcemanager.v3.Projects",
                {"GetProject": (self.get_project, resourcemanager_v3.GetProjectRequest)},
            ),
        ]

    def _service(self, name: str, methods: dict[str, tuple[Callable[[Any], Any], Any]]) -> Any:
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(
                self._answered(answer),
                request_deserializer=request.deserialize,
                response_serializer=_serialized,
            )
            for method, (answer, request) in methods.items()
        }
        return grpc.method_handlers_generic_handler(name, handlers)

    def _answered(self, answer: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
        def call(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                _check_signed(context)
                with self._lock:
                    return answer(request)
            except Refusal as refusal:
                context.abort(refusal.code, str(refusal))

        return call


def _check_signed(context: grpc.ServicerContext) -> None:
    """The SDK signs a token of its own for service accounts; Google's servers take it as it is."""
    metadata = dict(context.invocation_metadata())
    scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
    if scheme != "Bearer" or token.count(".") != 2:
        raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "Request is missing required credentials.")
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    if not claims["iss"].endswith(".iam.gserviceaccount.com"):
        raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "Request had invalid credentials.")


def _serialized(message: Any) -> bytes:
    if isinstance(message, empty_pb2.Empty):
        return message.SerializeToString()
    serialized: bytes = type(message).serialize(message)
    return serialized


@contextmanager
def serving(server: VertexServer, certified: Certified) -> Iterator[VertexServer]:
    """The server listens, with TLS, while the block lasts."""
    listening = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    listening.add_generic_rpc_handlers(server.handlers())
    credentials = grpc.ssl_server_credentials([(certified.key.read_bytes(), certified.chain.read_bytes())])
    server.port = listening.add_secure_port("127.0.0.1:0", credentials)
    listening.start()
    try:
        yield server
    finally:
        listening.stop(grace=None).wait()
