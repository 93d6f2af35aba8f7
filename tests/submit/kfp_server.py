"""Kubeflow Pipelines' API, version v2beta1, on loopback, of the models of `kfp-server-api`."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import http_service
import ir_rules
import kfp_server_api as api
import yaml
from google.protobuf import json_format
from http_service import HttpError, Request
from kfp.pipeline_spec import pipeline_spec_pb2
from requests_toolbelt.multipart import decoder

TOKEN = "a-token-of-the-cluster"
CREATED = datetime(2026, 11, 28, 10, 36, 43, tzinfo=UTC)
_MODELS = api.ApiClient(api.Configuration())


@dataclass(frozen=True)
class Look:
    """What `GetRun` answers at one time: the run's state, and each task's state and error."""

    state: str
    tasks: dict[str, tuple[str, str]] = field(default_factory=dict)


SUCCESS = [
    Look("RUNNING", {"collect": ("RUNNING", "")}),
    Look("SUCCEEDED", {"collect": ("SUCCEEDED", ""), "prepare": ("SKIPPED", "")}),
]


@dataclass
class KfpServer:
    """The API of one cluster.

    Attributes:
        multi_user: whether everything belongs to a namespace, and calls need a token.
        refusals: codes and messages of the next answers, by the start of "METHOD path".
        story: what is seen of a run at each look, the last one for ever.
        secrets: strings that no request may contain.
        documents: how many YAML documents each uploaded version had.
    """

    multi_user: bool = True
    refusals: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    story: list[Look] = field(default_factory=lambda: [*SUCCESS])
    secrets: Sequence[str] = ()
    pipelines: dict[str, api.V2beta1Pipeline] = field(default_factory=dict)
    versions: dict[str, api.V2beta1PipelineVersion] = field(default_factory=dict)
    documents: dict[str, list[Any]] = field(default_factory=dict)
    experiments: dict[str, api.V2beta1Experiment] = field(default_factory=dict)
    runs: dict[str, api.V2beta1Run] = field(default_factory=dict)
    terminated: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, request: Request) -> Any:
        asked = f"{request.method} {request.path.removeprefix('/apis/v2beta1')}"
        for start, refusals in self.refusals.items():
            if asked.startswith(start) and refusals:
                code, message = refusals.pop(0)
                raise _error(code, message)
        if self.multi_user and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _error(401, "Unauthenticated: request has no valid token")
        if problem := next(ir_rules.secret_problems(request.body.decode(), list(self.secrets)), None):
            raise _error(400, problem)
        for route, answer in _ROUTES.items():
            if match := re.fullmatch(route, asked):
                return _MODELS.sanitize_for_serialization(answer(self, match, request))
        raise _error(404, f"no such method: {asked}")

    def healthz(self, match: re.Match[str], request: Request) -> Any:
        return api.V2beta1GetHealthzResponse(multi_user=self.multi_user)

    def list_pipelines(self, match: re.Match[str], request: Request) -> Any:
        found = _filtered(self.pipelines.values(), request)
        if self.multi_user:
            found = [item for item in found if item.namespace == request.first("namespace")]
        return api.V2beta1ListPipelinesResponse(pipelines=found or None, total_size=len(found))

    def create_pipeline(self, match: re.Match[str], request: Request) -> Any:
        pipeline = _model(request.body, "V2beta1Pipeline")
        self._in_namespace(pipeline.namespace)
        if any(
            (item.display_name, item.namespace) == (pipeline.display_name, pipeline.namespace)
            for item in self.pipelines.values()
        ):
            raise _error(409, f"pipeline {pipeline.display_name} already exists")
        pipeline.pipeline_id = f"pipeline-{len(self.pipelines) + 1}"
        self.pipelines[pipeline.pipeline_id] = pipeline
        return pipeline

    def list_versions(self, match: re.Match[str], request: Request) -> Any:
        ours = [item for item in self.versions.values() if item.pipeline_id == match["pipeline"]]
        found = _filtered(ours, request)
        return api.V2beta1ListPipelineVersionsResponse(pipeline_versions=found or None, total_size=len(found))

    def upload_version(self, match: re.Match[str], request: Request) -> Any:
        parts = decoder.MultipartDecoder(request.body, request.headers["Content-Type"]).parts
        documents = list(yaml.safe_load_all(parts[0].content))
        problems = list(_document_problems(documents))
        if problems:
            raise _error(400, "; ".join(problems))
        pipeline, name = request.first("pipelineid"), request.first("name")
        if pipeline not in self.pipelines:
            raise _error(404, f"pipeline {pipeline} does not exist")
        if any((item.pipeline_id, item.display_name) == (pipeline, name) for item in self.versions.values()):
            raise _error(409, f"pipeline version {name} already exists")
        version = api.V2beta1PipelineVersion(
            pipeline_id=pipeline,
            pipeline_version_id=f"version-{len(self.versions) + 1}",
            display_name=name,
            description=request.first("description"),
        )
        self.versions[version.pipeline_version_id] = version
        self.documents[version.pipeline_version_id] = documents
        return version

    def get_version(self, match: re.Match[str], request: Request) -> Any:
        version = self.versions.get(match["version"])
        if version is None or version.pipeline_id != match["pipeline"]:
            raise _error(404, f"pipeline version {match['version']} does not exist")
        names = ("pipeline_spec", "platform_spec")
        version.pipeline_spec = dict(zip(names, self.documents[version.pipeline_version_id], strict=False))
        return version

    def list_experiments(self, match: re.Match[str], request: Request) -> Any:
        self._in_namespace(request.first("namespace"))
        found = _filtered(self.experiments.values(), request)
        return api.V2beta1ListExperimentsResponse(experiments=found or None, total_size=len(found))

    def create_experiment(self, match: re.Match[str], request: Request) -> Any:
        experiment = _model(request.body, "V2beta1Experiment")
        self._in_namespace(experiment.namespace)
        experiment.experiment_id = f"experiment-{len(self.experiments) + 1}"
        self.experiments[experiment.experiment_id] = experiment
        return experiment

    def create_run(self, match: re.Match[str], request: Request) -> Any:
        run = _model(request.body, "V2beta1Run")
        reference = run.pipeline_version_reference
        if reference is None or reference.pipeline_version_id not in self.versions:
            raise _error(400, "the run names no version of a pipeline")
        if run.experiment_id not in self.experiments:
            raise _error(400, f"experiment {run.experiment_id} does not exist")
        spec = self.documents[reference.pipeline_version_id][0]
        problems = list(ir_rules.parameter_problems(spec, run.runtime_config.parameters))
        if problems:
            raise _error(400, "; ".join(problems))
        run.run_id, run.state = f"run-{len(self.runs) + 1}", "PENDING"
        run.created_at = CREATED
        self.runs[run.run_id] = run
        return run

    def get_run(self, match: re.Match[str], request: Request) -> Any:
        run = self.runs.get(match["run"])
        if run is None:
            raise _error(404, f"run {match['run']} does not exist")
        seen = self.story[0]
        if len(self.story) > 1:
            self.story.pop(0)
        run.state = seen.state
        run.run_details = api.V2beta1RunDetails(
            task_details=[
                api.V2beta1PipelineTaskDetail(
                    run_id=run.run_id,
                    display_name=task,
                    state=state,
                    error=api.GoogleRpcStatus(code=2, message=error) if error else None,
                )
                for task, (state, error) in seen.tasks.items()
            ]
        )
        return run

    def terminate_run(self, match: re.Match[str], request: Request) -> Any:
        self.terminated.append(match["run"])
        return {}

    def _in_namespace(self, namespace: str | None) -> None:
        if not self.multi_user and namespace:
            raise _error(400, "an installation for a single user has no namespaces")
        if self.multi_user and not namespace:
            raise _error(400, "a namespace is required in multi-user mode")


def _error(code: int, message: str) -> HttpError:
    return HttpError(code, {"error": message, "code": 3, "message": message})


def _model(body: bytes, kind: str) -> Any:
    """A request's body as its model; fields that the model has not are refused, as the gateway does."""
    known = set(getattr(api, kind).attribute_map.values())
    if unknown := set(json.loads(body)) - known:
        raise _error(400, f"{kind}: unknown fields {sorted(unknown)}")
    return _MODELS.deserialize(SimpleNamespace(data=body), kind)


def _filtered(items: Any, request: Request) -> list[Any]:
    text = request.first("filter")
    predicates = json.loads(text)["predicates"] if text else []
    for predicate in predicates:
        value = predicate.get("stringValue", predicate.get("string_value"))
        if predicate["operation"] not in (1, "EQUALS"):
            raise _error(400, f"filter: {predicate}")
        items = [item for item in items if getattr(item, predicate["key"]) == value]
    return list(items)


def _document_problems(documents: list[Any]) -> Iterator[str]:
    """A pipeline's spec, and after it at most one platform's."""
    if not 1 <= len(documents) <= 2:
        yield f"{len(documents)} YAML documents"
        return
    yield from ir_rules.spec_problems(documents[0])
    for platform in documents[1:]:
        try:
            json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
        except json_format.ParseError as error:
            yield f"platform_spec: {error}"
        if set(platform["platforms"]) != {"kubernetes"}:
            yield f"platforms: {sorted(platform['platforms'])}"


_ROUTES: dict[str, Callable[[KfpServer, re.Match[str], Request], Any]] = {
    r"GET /healthz": KfpServer.healthz,
    r"GET /pipelines": KfpServer.list_pipelines,
    r"POST /pipelines": KfpServer.create_pipeline,
    r"GET /pipelines/(?P<pipeline>[^/]+)/versions": KfpServer.list_versions,
    r"GET /pipelines/(?P<pipeline>[^/]+)/versions/(?P<version>[^/]+)": KfpServer.get_version,
    r"POST /pipelines/upload_version": KfpServer.upload_version,
    r"GET /experiments": KfpServer.list_experiments,
    r"POST /experiments": KfpServer.create_experiment,
    r"POST /runs": KfpServer.create_run,
    r"GET /runs/(?P<run>[^/:]+)": KfpServer.get_run,
    r"POST /runs/(?P<run>[^/:]+):terminate": KfpServer.terminate_run,
}


@contextmanager
def serving(server: KfpServer) -> Iterator[KfpServer]:
    """The API listens while the block lasts."""
    with http_service.serving(server.answer) as port:
        server.url = f"http://127.0.0.1:{port}"
        yield server
