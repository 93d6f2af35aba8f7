"""The Model Registry of Vertex AI, through the low-level client that every version of the SDK has."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import google.cloud.aiplatform_v1 as api
from google.api_core import exceptions, operation
from google.auth.exceptions import GoogleAuthError
from google.longrunning.operations_pb2 import ListOperationsRequest, Operation

from veo_core.errors import UsageError
from veo_core.records.base import canonical_json, sha256_bytes
from veo_core.registry.config import OWN_LABELS, VertexConfig
from veo_core.registry.evaluation import metrics_of, metrics_schema
from veo_core.registry.remote import Published, Registration, persistently
from veo_core.storage import Store

T = TypeVar("T")

HEALTH_ROUTE, PREDICT_ROUTE, PORT = "/health", "/predict", 8080
_CONTENT, _CONTAINER = f"{OWN_LABELS}content", f"{OWN_LABELS}container"
_PREFIX = 32  # digits of a digest in a label, which may have 63 characters
_CALL_SECONDS = 60.0
_UPLOAD_SECONDS = 1800.0
_PASSING = (
    exceptions.ServiceUnavailable,
    exceptions.GatewayTimeout,
    exceptions.InternalServerError,
    exceptions.Unknown,
    exceptions.TooManyRequests,
    exceptions.Conflict,  # another upload of the same model is under way, or came first
)


class VertexRegistry:
    """Models as versions of one Vertex model a name. A version's label holds the digest it is found by.

    Vertex itself gives the alias `default` to the first version of a name, as soon as that is uploaded.

    Args:
        config: where, and how the model is served.
        store: the store of the models; a gs:// one, which Vertex and the serving container read.

    Raises:
        UsageError: the store is another one, or there are no credentials.
    """

    def __init__(self, config: VertexConfig, store: Store) -> None:
        if not store.root.startswith("gs://"):
            raise UsageError(f"registry.kind vertex: Vertex reads models from gs:// only, not {store.root}")
        self._config = config
        self._host = f"{config.region}-aiplatform.googleapis.com"
        self._location = f"projects/{config.project}/locations/{config.region}"
        with self._explained():
            self._client = api.ModelServiceClient(
                client_options={"api_endpoint": config.endpoint or self._host}
            )

    def publish(self, model: Registration) -> Published:
        with self._explained():
            version = self._persistently(lambda: self._version(model))
            self._persistently(lambda: self._evaluate(version, model))
        return Published(uri=f"https://{self._host}/v1/{version}", resource_name=version)

    def promote(self, published: Published) -> None:
        with self._explained():
            self._persistently(lambda: self._promote(published.resource_name))

    def _version(self, model: Registration) -> str:
        """Resource name of the model's version, uploaded where it is not there yet."""
        name = f"{self._location}/models/{model.name}"
        self._await_uploads(name)
        exists = self._get(name) is not None
        if exists and (found := self._find(name, self._labels(model))):
            return found
        place = {"parent_model": name} if exists else {"model_id": model.name}
        request = api.UploadModelRequest(parent=self._location, model=self._model(model), **place)
        upload = self._client.upload_model(request, timeout=_CALL_SECONDS)
        with _in_time():
            uploaded = upload.result(timeout=_UPLOAD_SECONDS)
        return f"{uploaded.model}@{uploaded.model_version_id}"

    def _await_uploads(self, name: str) -> None:
        """Wait for uploads to a model that are under way: a crashed try's version is found only after it."""
        for pending in self._operations(name):
            if not pending.done and pending.metadata.type_url.endswith(".UploadModelOperationMetadata"):
                upload = operation.from_gapic(
                    pending, self._client.transport.operations_client, api.UploadModelResponse
                )
                with _in_time():
                    upload.exception(timeout=_UPLOAD_SECONDS)

    def _operations(self, name: str) -> Iterator[Operation]:
        request = ListOperationsRequest(name=name)
        while True:
            try:
                page = self._client.list_operations(request, timeout=_CALL_SECONDS)
            except exceptions.NotFound:
                return
            yield from page.operations
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _get(self, name: str) -> api.Model | None:
        try:
            return self._client.get_model(name=name, timeout=_CALL_SECONDS)
        except exceptions.NotFound:
            return None

    def _find(self, name: str, labels: dict[str, str]) -> str | None:
        """The version of a Vertex model that has the content and the container of these labels."""
        request = api.ListModelVersionsRequest(name=name, filter=f'labels.{_CONTENT}="{labels[_CONTENT]}"')
        for version in self._client.list_model_versions(request, timeout=_CALL_SECONDS):
            if all(version.labels.get(key) == labels[key] for key in (_CONTENT, _CONTAINER)):
                return f"{version.name.partition('@')[0]}@{version.version_id}"
        return None

    def _environment(self, model: Registration) -> dict[str, str]:
        """What tells the serving container which model it serves, and where its clips go."""
        root = model.store.root.rstrip("/")
        return {
            "VEO_SERVE_MODEL": model.entry.reference,
            "VEO_SERVE_ROOT": root,
            "VEO_SERVE_OUTPUT": self._config.serving_output or f"{root}/served",
            **self._config.serving_environment,
        }

    def _command(self) -> list[str]:
        """What starts the server in place of the image's own command; empty where it needs no secrets."""
        secrets = [f"--secret={variable}={name}" for variable, name in self._config.serving_secrets.items()]
        server = ["veo_core.serve", "--host", "0.0.0.0"]  # noqa: S104 (a container's own network)
        return ["python", "-m", "veo_core.launch.secrets", *secrets, *server] if secrets else []

    def _labels(self, model: Registration) -> dict[str, str]:
        """Prefixes of the digests of what the model is and comes from, and of how it is served."""
        container: dict[str, Any] = {
            "image": self._config.serving_image,
            "environment": self._environment(model),
        }
        if command := self._command():
            container["command"] = command
        digests = {**model.digests, "container": sha256_bytes(canonical_json(container))}
        labels = {f"{OWN_LABELS}{role}": digest[:_PREFIX] for role, digest in digests.items()}
        return {**labels, f"{OWN_LABELS}version": str(model.entry.version), **self._config.labels}

    def _model(self, model: Registration) -> api.Model:
        config = self._config
        environment = self._environment(model)
        container = api.ModelContainerSpec(
            image_uri=config.serving_image,
            command=self._command(),
            env=[api.EnvVar(name=name, value=value) for name, value in environment.items()],
            ports=[api.Port(container_port=PORT)],
            predict_route=PREDICT_ROUTE,
            health_route=HEALTH_ROUTE,
        )
        return api.Model(
            display_name=model.name,
            description=model.summary,
            version_description=model.summary,
            version_aliases=[f"v{model.entry.version}"],
            container_spec=container,
            artifact_uri=model.folder(),
            labels=self._labels(model),
            encryption_spec=api.EncryptionSpec(kms_key_name=config.cmek_key) if config.cmek_key else None,
        )

    def _evaluate(self, version: str, model: Registration) -> None:
        """Import the model's evaluation where the version has none."""
        imported = self._client.list_model_evaluations(parent=version, timeout=_CALL_SECONDS)
        if any((evaluation.metadata or {}).get("content") == model.content for evaluation in imported):
            return
        schema = model.store.put_bytes(metrics_schema(), ".yaml")
        evaluation = api.ModelEvaluation(
            display_name=model.entry.reference,
            metrics_schema_uri=model.uri(schema),
            metrics=metrics_of(model.entry.description),
            metadata={**model.digests, "card_uri": model.uri(model.entry.card)},
        )
        self._client.import_model_evaluation(
            parent=version, model_evaluation=evaluation, timeout=_CALL_SECONDS
        )

    def _promote(self, version: str) -> None:
        name, _, number = version.rpartition("@")
        alias = self._config.alias
        holder = self._get(f"{name}@{alias}")
        if holder is None or int(holder.version_id) < int(number):
            self._client.merge_version_aliases(name=version, version_aliases=[alias], timeout=_CALL_SECONDS)
        elif int(holder.version_id) > int(number):
            print(f"alias {alias} stays on version {holder.version_id}, which is newer than {number}")

    def _persistently(self, step: Callable[[], T]) -> T:
        return persistently(step, self._config, _PASSING)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what the service answers, and what keeps it from answering, into one line."""
        where = f"Vertex AI {self._location}"
        try:
            yield
        except exceptions.GoogleAPICallError as error:
            raise UsageError(f"{where}: {_explain(error)}") from None
        except GoogleAuthError as error:
            raise UsageError(f"{where}: no credentials: {' '.join(str(error).split())}") from None


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        minutes = f"{_UPLOAD_SECONDS / 60:.0f} minutes"
        raise UsageError(
            f"Vertex AI: an upload is not done after {minutes}; register again to go on waiting"
        ) from None


def _explain(error: exceptions.GoogleAPICallError) -> str:
    """What the service answered last, and how to mend it."""
    text = " ".join(str(error.message).split())
    match error:
        case exceptions.Forbidden():
            return f"access is denied: {text} (needed: the API enabled, and roles/aiplatform.user)"
        case exceptions.Unauthorized():
            return f"the credentials are refused: {text}"
        case exceptions.TooManyRequests():
            return f"the quota is used up: {text}; ask for more of it, or register again later"
        case exceptions.ServerError():
            return f"no answer: {text}; register again later, which repeats nothing"
        case _:
            return f"the request is refused: {text}"
