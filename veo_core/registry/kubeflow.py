"""The Model Registry of Kubeflow, through its REST API v1alpha3, which is alpha."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from veo_core.errors import UsageError
from veo_core.registry.config import KubeflowConfig
from veo_core.registry.evaluation import metrics_of
from veo_core.registry.remote import Published, Registration, persistently

T = TypeVar("T")
Entity = dict[str, Any]

_API = "/api/model_registry/v1alpha3"
_CALL_SECONDS = 30.0


class _AnswerError(Exception):
    """An answer that is no success."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class _PassingError(_AnswerError):
    """An answer that another try may not get, or none at all."""


class KubeflowRegistry:
    """Models as versions of one registered model a name. A version's external id is its content's digest.

    The registry knows no aliases: one is kept as a property of the registered model, whose value is the id of
    a version.
    """

    def __init__(self, config: KubeflowConfig) -> None:
        self._config = config
        self._client = httpx.Client(base_url=f"{config.endpoint}{_API}", timeout=_CALL_SECONDS)

    def publish(self, model: Registration) -> Published:
        with self._explained():
            parent = self._persistently(lambda: self._registered_model(model))
            version = self._persistently(lambda: self._version(parent, model))
            self._persistently(lambda: self._artifact(version, model))
        name = f"model_versions/{version['id']}"
        return Published(uri=f"{self._config.endpoint}{_API}/{name}", resource_name=name)

    def promote(self, published: Published) -> None:
        with self._explained():
            self._persistently(lambda: self._promote(published.resource_name))

    def _registered_model(self, model: Registration) -> Entity:
        found = self._find("registered_model", name=model.name)
        return found or self._send("POST", "registered_models", {"name": model.name})

    def _version(self, parent: Entity, model: Registration) -> Entity:
        body = {
            "name": str(model.entry.version),
            "registeredModelId": parent["id"],
            "externalId": model.content,
            "description": model.summary,
            "customProperties": _properties(model),
        }
        found = self._find("model_version", externalId=model.content)
        return found or self._send("POST", "model_versions", body)

    def _artifact(self, version: Entity, model: Registration) -> Entity:
        identity = f"{model.content}-files"
        body = {
            "artifactType": "model-artifact",
            "name": model.entry.reference,
            "externalId": identity,
            "uri": model.folder(),
            "modelFormatName": "veo",
            "modelFormatVersion": str(model.entry.schema_version),
        }
        found = self._find("model_artifact", externalId=identity)
        return found or self._send("POST", f"model_versions/{version['id']}/artifacts", body)

    def _promote(self, name: str) -> None:
        version = self._send("GET", name)
        place = f"registered_models/{version['registeredModelId']}"
        properties = self._send("GET", place).get("customProperties") or {}
        key = f"alias.{self._config.alias}"
        holder = int(properties[key]["string_value"]) if key in properties else 0
        if holder < int(version["id"]):
            moved = {**properties, key: _text(version["id"])}
            self._send("PATCH", place, {"customProperties": moved})
        elif holder > int(version["id"]):
            print(f"alias {self._config.alias} stays on version id {holder}, which is newer")

    def _find(self, path: str, **query: str) -> Entity | None:
        """The one entity that a search finds."""
        try:
            return self._send("GET", path, query=query)
        except _AnswerError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def _send(self, method: str, path: str, body: Any = None, query: Any = None) -> Entity:
        try:
            response = self._client.request(
                method, path, json=body, params=query, headers=self._authorization()
            )
        except httpx.TransportError as error:
            raise _PassingError(f"no answer: {error}") from None
        status = response.status_code
        if response.is_success:
            return _entity(response)
        conflict = status == httpx.codes.CONFLICT  # another registration came first: it is found next time
        if conflict or status == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise _PassingError(_message(response), status)
        raise _AnswerError(_message(response), status)

    def _authorization(self) -> dict[str, str]:
        """The header with the token, which is read anew because mounted tokens change."""
        path = self._config.token_file
        if not path:
            return {}
        try:
            return {"Authorization": f"Bearer {Path(path).read_text().strip()}"}
        except OSError as error:
            raise UsageError(f"registry.token_file {path}: cannot be read: {error.strerror}") from None

    def _persistently(self, step: Callable[[], T]) -> T:
        return persistently(step, self._config, (_PassingError,))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what the service answers, and what keeps it from answering, into one line."""
        try:
            yield
        except _AnswerError as error:
            raise UsageError(f"model registry {self._config.endpoint}: {error}") from None


def _properties(model: Registration) -> dict[str, Entity]:
    """Digests, and every figure with its interval."""
    properties = {f"sha256.{role}": _text(digest) for role, digest in model.digests.items()}
    metrics = metrics_of(model.entry.description)
    figures = {
        ".".join(filter(None, (row["metric"], row["split"], row["mode"]))): row for row in metrics["quality"]
    }
    figures |= {row["name"]: row for row in metrics["safety"]}
    for name, row in figures.items():
        for key in ("value", "ci_low", "ci_high"):
            if row[key] is not None:
                properties[f"{name}.{key}"] = {
                    "metadataType": "MetadataDoubleValue",
                    "double_value": row[key],
                }
    return {**properties, "card_uri": _text(model.uri(model.entry.card))}


def _text(value: str) -> Entity:
    return {"metadataType": "MetadataStringValue", "string_value": value}


def _entity(response: httpx.Response) -> Entity:
    try:
        return dict(response.json())
    except (ValueError, TypeError):
        raise _AnswerError("its answer is no JSON: is this the address of a model registry?") from None


def _message(response: httpx.Response) -> str:
    """What the server says, in a line of bounded length."""
    try:
        text = response.json()["message"]
    except (ValueError, TypeError, KeyError):
        text = response.text or response.reason_phrase
    return f"{response.status_code}: {' '.join(str(text).split())[:300]}"
