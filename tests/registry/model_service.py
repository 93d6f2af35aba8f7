"""Vertex AI's ModelService over gRPC and TLS, from the SDK's own messages, as strict as the real one."""

import itertools
import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import grpc
import proto
import yaml
from certificates import Authority
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt
from google.cloud import aiplatform_v1 as api
from google.longrunning import operations_pb2
from google.rpc import status_pb2
from openapi_schema_validator import OAS30Validator

PROJECT, NUMBER, REGION = "veo-project", "123456789012", "us-central1"
ACCOUNT = "registrar@veo-project.iam.gserviceaccount.com"
_ALIAS = r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]"


class RefusalError(Exception):
    """What the service answers instead of a result."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def _require(condition: object, message: str) -> None:
    if not condition:
        raise RefusalError(grpc.StatusCode.INVALID_ARGUMENT, message)


class Version:
    """A version of a model, and what is known of it."""

    def __init__(self, number: int, model: api.Model) -> None:
        self.number = number
        self.model = model
        self.aliases = set(model.version_aliases)
        self.evaluations: list[api.ModelEvaluation] = []


class VertexServer:
    """The service, its state, and faults to order.

    Attributes:
        models: versions by model id, in the order of upload.
        calls: methods that were called, in order.
        polls: how often an upload is asked for before it is done.
        upload_error: what the next upload ends in.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.reset()
        self._called = threading.Condition()
        self._account_key = rsa.generate_private_key(65537, 2048)
        self.credentials = folder / "account.json"
        self._tokens = ThreadingHTTPServer(("127.0.0.1", 0), _Tokens)
        threading.Thread(target=self._tokens.serve_forever, daemon=True).start()
        account = _account(self._account_key, f"http://127.0.0.1:{self._tokens.server_port}/token")
        self.credentials.write_text(json.dumps(account))
        self._server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[_Handler(self)])
        chain, key = authority.issue_for("localhost", "127.0.0.1")
        secrets = grpc.ssl_server_credentials([(key, chain)])
        self.endpoint = f"localhost:{self._server.add_secure_port('127.0.0.1:0', secrets)}"
        self._server.start()

    def reset(self) -> None:
        self.models: dict[str, list[Version]] = {}
        self.calls: list[str] = []
        self.polls = 0
        self.upload_error: RefusalError | None = None
        self._faults: dict[str, list[tuple[RefusalError, bool]]] = defaultdict(list)
        self._stop: tuple[int, bool] | None = None
        self._operations: dict[str, operations_pb2.Operation] = {}
        self._commits: dict[str, Callable[[], None]] = {}
        self._numbers = itertools.count(1)

    def close(self) -> None:
        self._server.stop(None).wait()
        self._tokens.shutdown()
        self._tokens.server_close()

    def versions(self, name: str = "veo-world") -> list[Version]:
        return self.models.get(name, [])

    def fail(
        self, method: str, code: grpc.StatusCode, message: str, *, times: int = 1, late: bool = False
    ) -> None:
        """Answer the next calls of a method with an error; a late one comes after the work was done."""
        self._faults[method] += [(RefusalError(code, message), late)] * times

    def stop_at(self, call: int, *, late: bool) -> None:
        """Refuse for good at one call, counted from now on, before or after its work is done."""
        self._stop = (len(self.calls) + call, late)

    def await_call(self, method: str) -> None:
        with self._called:
            assert self._called.wait_for(lambda: method in self.calls, timeout=120)

    def answer(self, method: str, request: Any) -> Any:
        with self._called:
            self.calls.append(method)
            self._called.notify_all()
            refusal, late = self._fault(method)
            if refusal is not None and not late:
                raise refusal
            try:
                return getattr(self, re.sub(r"(?<!^)([A-Z])", r"_\1", method).lower())(request)
            finally:
                if refusal is not None:
                    raise refusal

    def _fault(self, method: str) -> tuple[RefusalError | None, bool]:
        if self._stop is not None and len(self.calls) == self._stop[0]:
            return RefusalError(grpc.StatusCode.PERMISSION_DENIED, "stopped"), self._stop[1]
        return self._faults[method].pop(0) if self._faults[method] else (None, False)

    def check_caller(self, metadata: Any) -> None:
        """The caller signs its token itself, with the key of its account."""
        token = dict(metadata).get("authorization", "").removeprefix("Bearer ")
        public = self._account_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        try:
            claims = jwt.decode(token, certs=public)
        except ValueError as error:
            raise RefusalError(grpc.StatusCode.UNAUTHENTICATED, f"invalid token: {error}") from None
        if claims["iss"] != ACCOUNT:
            raise RefusalError(grpc.StatusCode.UNAUTHENTICATED, "an unknown account")

    def upload_model(self, request: api.UploadModelRequest) -> operations_pb2.Operation:
        _require(_location(request.parent) == "", f"parent {request.parent!r}")
        _require(
            not (request.parent_model and request.model_id), "parent_model and model_id exclude each other"
        )
        if request.parent_model:
            name = _model_id(request.parent_model)
            if name not in self.models:
                raise RefusalError(grpc.StatusCode.NOT_FOUND, f"no model {name}")
        else:
            name = request.model_id
            _require(re.fullmatch(r"[a-z_][a-z0-9_-]{0,62}", name), f"model_id {name!r}")
            if name in self.models:
                raise RefusalError(grpc.StatusCode.ALREADY_EXISTS, f"model {name} exists")
        _check_model(request.model)
        operation = operations_pb2.Operation(
            name=f"{_parent()}/models/{name}/operations/{next(self._numbers)}", done=False
        )
        operation.metadata.Pack(api.UploadModelOperationMetadata.pb(api.UploadModelOperationMetadata()))
        self._operations[operation.name] = operation
        if self.upload_error is not None:
            code, message = self.upload_error.code.value[0], self.upload_error.message
            operation.error.CopyFrom(status_pb2.Status(code=code, message=message))
            operation.done, self.upload_error = True, None
        elif self.polls:
            self._commits[operation.name] = lambda: self._commit(operation, name, request.model)
        else:
            self._commit(operation, name, request.model)
        return operation

    def _commit(self, operation: operations_pb2.Operation, name: str, model: api.Model) -> None:
        versions = self.models.setdefault(name, [])
        version = Version(len(versions) + 1, model)
        for alias in version.aliases:
            self._take(name, alias)
        if not versions:
            version.aliases.add("default")
        versions.append(version)
        response = api.UploadModelResponse(
            model=f"{_parent()}/models/{name}", model_version_id=str(version.number)
        )
        operation.response.Pack(api.UploadModelResponse.pb(response))
        operation.done = True

    def get_model(self, request: api.GetModelRequest) -> api.Model:
        name, version = self._resolve(request.name)
        return self._shown(name, version, f"{_parent()}/models/{name}")

    def list_model_versions(self, request: api.ListModelVersionsRequest) -> api.ListModelVersionsResponse:
        name = _model_id(request.name)
        if name not in self.models:
            raise RefusalError(grpc.StatusCode.NOT_FOUND, f"no model {name}")
        wanted = re.fullmatch(r'labels\.([a-z0-9_]+)="([^"]*)"', request.filter)
        _require(wanted, f"filter {request.filter!r}")
        found = [
            self._shown(name, version, f"{_parent()}/models/{name}@{version.number}")
            for version in self.models[name]
            if version.model.labels.get(wanted[1]) == wanted[2]
        ]
        first = int(request.page_token or 0)
        token = str(first + 1) if first + 1 < len(found) else ""
        return api.ListModelVersionsResponse(models=found[first : first + 1], next_page_token=token)

    def merge_version_aliases(self, request: api.MergeVersionAliasesRequest) -> api.Model:
        name, version = self._resolve(request.name)
        _require(request.name.rpartition("@")[2] == str(version.number), "a version ID must be given")
        for alias in request.version_aliases:
            _require(re.fullmatch(_ALIAS, alias), f"alias {alias!r}")
            self._take(name, alias)
            version.aliases.add(alias)
        return self._shown(name, version, f"{_parent()}/models/{name}")

    def list_model_evaluations(
        self, request: api.ListModelEvaluationsRequest
    ) -> api.ListModelEvaluationsResponse:
        _, version = self._resolve(request.parent)
        return api.ListModelEvaluationsResponse(model_evaluations=version.evaluations)

    def import_model_evaluation(self, request: api.ImportModelEvaluationRequest) -> api.ModelEvaluation:
        name, version = self._resolve(request.parent)
        evaluation = request.model_evaluation
        _require(not evaluation.name, "name is output only")
        _require(evaluation.metrics_schema_uri.startswith("gs://"), "metrics_schema_uri is not on gs://")
        with fsspec.open(evaluation.metrics_schema_uri) as stream:
            schema = yaml.safe_load(stream)
        OAS30Validator.check_schema(schema)
        metrics = json.loads(api.ModelEvaluation.to_json(evaluation))["metrics"]
        problem = next(iter(OAS30Validator(schema).iter_errors(metrics)), None)
        _require(problem is None, f"metrics: {problem}")
        evaluation.name = f"{_parent()}/models/{name}@{version.number}/evaluations/{next(self._numbers)}"
        version.evaluations.append(evaluation)
        return evaluation

    def list_operations(
        self, request: operations_pb2.ListOperationsRequest
    ) -> operations_pb2.ListOperationsResponse:
        prefix = f"{_parent()}/models/{_model_id(request.name)}/operations/"
        found = [operation for name, operation in self._operations.items() if name.startswith(prefix)]
        first = int(request.page_token or 0)
        token = str(first + 1) if first + 1 < len(found) else ""
        return operations_pb2.ListOperationsResponse(
            operations=found[first : first + 1], next_page_token=token
        )

    def get_operation(self, request: operations_pb2.GetOperationRequest) -> operations_pb2.Operation:
        self.polls = max(0, self.polls - 1)
        if not self.polls and request.name in self._commits:
            self._commits.pop(request.name)()
        return self._operations[request.name]

    def _resolve(self, resource: str) -> tuple[str, Version]:
        """(model id, version) of `models/ID`, `models/ID@NUMBER` or `models/ID@ALIAS`."""
        name, _, mark = _model_id(resource, versioned=True).partition("@")
        for version in self.models.get(name, []):
            if (mark or "default") in {str(version.number), *version.aliases}:
                return name, version
        raise RefusalError(grpc.StatusCode.NOT_FOUND, f"no model {resource}")

    def _take(self, name: str, alias: str) -> None:
        for version in self.models[name]:
            version.aliases.discard(alias)

    def _shown(self, name: str, version: Version, resource: str) -> api.Model:
        model = api.Model(version.model)
        model.name, model.version_id = resource, str(version.number)
        model.version_aliases = sorted(version.aliases)
        model.container_spec = None  # input only
        return model


class _Tokens(BaseHTTPRequestHandler):
    """Google's token endpoint, as far as a client of buckets needs it."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"access_token": "token", "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, server: VertexServer) -> None:
        self._server = server

    def service(self, details: Any) -> Any:
        service, _, method = details.method.rpartition("/")
        if service == "/google.cloud.aiplatform.v1.ModelService":
            parse = getattr(api, f"{method}Request").deserialize
        elif service == "/google.longrunning.Operations":
            parse = getattr(operations_pb2, f"{method}Request").FromString
        else:
            return None

        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                self._server.check_caller(context.invocation_metadata())
                return self._server.answer(method, request)
            except RefusalError as refusal:
                context.abort(refusal.code, refusal.message)

        return grpc.unary_unary_rpc_method_handler(handle, parse, _serialize)


def _serialize(reply: Any) -> bytes:
    return bytes(
        type(reply).serialize(reply) if isinstance(reply, proto.Message) else reply.SerializeToString()
    )


def _parent() -> str:
    return f"projects/{NUMBER}/locations/{REGION}"


def _location(resource: str) -> str:
    """What follows the location of this server in a resource's name."""
    found = re.fullmatch(rf"projects/(?:{PROJECT}|{NUMBER})/locations/{REGION}(/.*)?", resource)
    if found is None:
        raise RefusalError(grpc.StatusCode.PERMISSION_DENIED, f"resource {resource} (or it may not exist)")
    return found[1] or ""


def _model_id(resource: str, *, versioned: bool = False) -> str:
    mark = r"(?:@[a-zA-Z0-9-]+)?" if versioned else ""
    found = re.fullmatch(rf"/models/([a-z_][a-z0-9_-]{{0,62}}{mark})", _location(resource))
    _require(found, f"resource {resource!r}")
    return str(found[1])


def _check_model(model: api.Model) -> None:
    _require(1 <= len(model.display_name) <= 128, "display_name")
    _require(not (model.name or model.version_id), "name and version_id are output only")
    _require(len(model.labels) <= 64, "too many labels")
    for key, value in model.labels.items():
        _require(re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key), f"label key {key!r}")
        _require(re.fullmatch(r"[a-z0-9_-]{0,63}", value), f"label {key}={value!r}")
    for alias in model.version_aliases:
        _require(re.fullmatch(_ALIAS, alias), f"alias {alias!r}")
        _require(alias != "default", "this client uploads as non-default")
    _require(model.artifact_uri.startswith("gs://"), f"artifact_uri {model.artifact_uri!r}")
    fs, path = fsspec.core.url_to_fs(model.artifact_uri, use_listings_cache=False)
    _require(fs.find(path), f"artifact_uri {model.artifact_uri} holds no file")
    container = model.container_spec
    _require(re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", container.image_uri), f"image {container.image_uri!r}")
    _require([0 < port.container_port < 65536 for port in container.ports] == [True], "one port")
    for route in (container.health_route, container.predict_route):
        _require(re.fullmatch(r"/[\w/.:-]+", route), f"route {route!r}")
    names = [variable.name for variable in container.env]
    _require(len(set(names)) == len(names), "a variable is set twice")
    for name in names:
        _require(re.fullmatch(r"(?!AIP_)[A-Za-z_]\w*", name), f"variable {name!r}")


def _account(key: rsa.RSAPrivateKey, token_uri: str) -> dict[str, str]:
    """A service account's key file."""
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": _pem(key).decode(),
        "client_email": ACCOUNT,
        "client_id": "1",
        "token_uri": token_uri,
    }


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
