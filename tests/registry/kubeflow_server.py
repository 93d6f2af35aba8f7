"""Kubeflow's Model Registry over HTTP: the part of its API v1alpha3 that registration needs, as strict."""

import itertools
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Entity = dict[str, Any]

TOKEN = "mounted-token"
_API = "/api/model_registry/v1alpha3/"
_RESOURCE = {"name", "externalId", "description", "customProperties"}
_FIELDS = {
    "registered_models": _RESOURCE | {"owner", "state", "readme"},
    "model_versions": _RESOURCE | {"registeredModelId", "state", "author"},
    "artifacts": _RESOURCE | {"artifactType", "uri", "state", "modelFormatName", "modelFormatVersion"},
}
_VALUES = {
    "MetadataStringValue": ("string_value", str),
    "MetadataDoubleValue": ("double_value", float),
}


class RefusalError(Exception):
    """What the service answers instead of a result."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def _require(condition: object, message: str, status: int = 400) -> None:
    if not condition:
        raise RefusalError(status, message)


class KubeflowServer:
    """The service, its entities by collection and id, and faults to order.

    Attributes:
        calls: method and path of each call, in order.
        guarded: whether callers must show the token.
    """

    def __init__(self) -> None:
        self.reset()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def reset(self) -> None:
        self.entities: dict[str, dict[str, Entity]] = {name: {} for name in _FIELDS}
        self.calls: list[str] = []
        self.guarded = False
        self._fault: tuple[str, int, int, bool] | None = None
        self._stop: tuple[int, bool] | None = None
        self._ids = itertools.count(1)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def all(self, collection: str) -> list[Entity]:
        return list(self.entities[collection].values())

    def fail(self, call: str, status: int, *, times: int = 1, late: bool = False) -> None:
        """Answer the next calls of a kind with a status; a late one comes after the work was done."""
        self._fault = (call, status, times, late)

    def stop_at(self, call: int, *, late: bool) -> None:
        """Refuse for good at one call, counted from now on, before or after its work is done."""
        self._stop = (len(self.calls) + call, late)

    def answer(self, call: str, path: str, query: dict[str, str], body: Any, token: str) -> Entity:
        self.calls.append(call)
        _require(not self.guarded or token == f"Bearer {TOKEN}", "no valid token", 401)
        refusal, late = self._trouble(call)
        if refusal is not None and not late:
            raise refusal
        try:
            return self._work(call.split()[0], path, query, body)
        finally:
            if refusal is not None:
                raise refusal

    def _trouble(self, call: str) -> tuple[RefusalError | None, bool]:
        if self._stop is not None and len(self.calls) == self._stop[0]:
            return RefusalError(403, "stopped"), self._stop[1]
        if self._fault is not None and self._fault[0] == call and self._fault[2]:
            _, status, times, late = self._fault
            self._fault = (call, status, times - 1, late)
            return RefusalError(status, "try again"), late
        return None, False

    def _work(self, method: str, path: str, query: dict[str, str], body: Any) -> Entity:
        if method == "GET" and path in ("registered_model", "model_version", "model_artifact"):
            return self._search("artifacts" if path == "model_artifact" else f"{path}s", query)
        collection, _, rest = path.partition("/")
        if method == "POST" and re.fullmatch(r"model_versions/\d+/artifacts", path):
            self._get("model_versions", rest.split("/")[0])
            _require(body.get("artifactType") == "model-artifact", "artifactType")
            return self._create("artifacts", body)
        _require(collection in _FIELDS, f"no path {path}", 404)
        if method == "POST" and not rest:
            if collection == "model_versions":
                self._get("registered_models", body.get("registeredModelId", ""))
            return self._create(collection, body)
        entity = self._get(collection, rest)
        if method == "PATCH":
            _check(body, _FIELDS[collection] - {"name"})
            entity |= body
        return entity

    def _search(self, collection: str, query: dict[str, str]) -> Entity:
        _require(query and query.keys() <= {"name", "externalId", "parentResourceId"}, f"query {query}")
        for entity in self.all(collection):
            if all(entity.get(key) == value for key, value in query.items()):
                return entity
        raise RefusalError(404, f"no {collection} {query}")

    def _create(self, collection: str, body: Entity) -> Entity:
        _require(body.get("name"), "name is required")
        _check(body, _FIELDS[collection])
        parent = body.get("registeredModelId")
        for other in self.all(collection):
            same_name = (other["name"], other.get("registeredModelId")) == (body["name"], parent)
            taken = body.get("externalId") and other.get("externalId") == body["externalId"]
            _require(not (same_name or taken), f"{collection} {body['name']} exists", 409)
        entity = {**body, "id": str(next(self._ids))}
        self.entities[collection][entity["id"]] = entity
        return entity

    def _get(self, collection: str, identity: str) -> Entity:
        _require(identity in self.entities[collection], f"no {collection}/{identity}", 404)
        return self.entities[collection][identity]


def _check(body: Entity, fields: set[str]) -> None:
    _require(body.keys() <= fields, f"unknown fields {body.keys() - fields}")
    for name, value in body.get("customProperties", {}).items():
        kind, python = _VALUES.get(value.get("metadataType"), ("", str))
        _require(value.keys() == {"metadataType", kind}, f"property {name}")
        _require(isinstance(value[kind], python), f"property {name}")


def _handler(server: KubeflowServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = address.path.removeprefix(_API)
            call = f"{self.command} {re.sub('[0-9]+', 'ID', path)}"
            try:
                _require(path != address.path, "no such API", 404)
                token = self.headers.get("Authorization", "")
                reply = server.answer(call, path, dict(parse_qsl(address.query)), body, token)
                self._reply(201 if self.command == "POST" else 200, reply)
            except RefusalError as refusal:
                self._reply(refusal.status, {"code": str(refusal.status), "message": refusal.message})

        do_POST = do_PATCH = do_GET  # noqa: N815 (names of the base class)

        def _reply(self, status: int, value: Entity) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
