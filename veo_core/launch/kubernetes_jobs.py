"""TrainJobs of a namespace and their pods, through the Kubernetes API."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3
from kubernetes import client, config, watch

from veo_core.errors import UsageError
from veo_core.launch.trainjob_spec import API_GROUP, API_VERSION, NODE, PLURAL

Object = dict[str, Any]


class UnreachableError(UsageError):
    """The Kubernetes API does not answer now, and may again."""


_OURS = (API_GROUP, API_VERSION)
_BUSY = (429, 500, 502, 503, 504)
_BROKEN = (urllib3.exceptions.HTTPError, ConnectionError)


class TrainJobs:
    """The TrainJobs of a namespace, with the credentials of this pod or of the kubeconfig.

    Every method raises a UsageError where access is refused, the API is not there or it cannot be reached.
    """

    def __init__(self, namespace: str) -> None:
        try:
            config.load_config()
        except config.ConfigException as error:
            raise UsageError(f"Kubernetes: there are no credentials: {error}") from None
        self.namespace = namespace
        self._client = client.ApiClient()
        self._custom, self._core = client.CustomObjectsApi(self._client), client.CoreV1Api(self._client)

    def create(self, job: Object) -> None:
        """Create a job; fields that the cluster does not know are refused, not dropped."""
        with self._access("create trainjobs"):
            self._custom.create_namespaced_custom_object(
                *_OURS, self.namespace, PLURAL, job, field_validation="Strict"
            )

    def find(self, name: str) -> Object | None:
        """A job, or None where there is none of that name."""
        with self._access("get trainjobs"):
            try:
                found: Object = self._custom.get_namespaced_custom_object(
                    *_OURS, self.namespace, PLURAL, name
                )
            except client.ApiException as error:
                if error.status == 404 and _is_status(error):
                    return None
                raise
            return found

    def delete(self, name: str) -> None:
        """Delete a job and its pods; one that is gone already is none."""
        with self._access("delete trainjobs"):
            try:
                self._custom.delete_namespaced_custom_object(
                    *_OURS, self.namespace, PLURAL, name, propagation_policy="Foreground"
                )
            except client.ApiException as error:
                if error.status != 404:
                    raise

    def watch(self, name: str, seconds: int) -> Iterator[Object]:
        """The job as it is and at every change, for so long."""
        with self._access("watch trainjobs"):
            try:
                for event in watch.Watch().stream(
                    self._custom.list_namespaced_custom_object,
                    *_OURS,
                    self.namespace,
                    PLURAL,
                    field_selector=f"metadata.name={name}",
                    timeout_seconds=seconds,
                ):
                    if event["type"] in ("ADDED", "MODIFIED"):
                        yield event["object"]
            except _BROKEN:
                return  # the next watch begins with the state as it is

    def pod(self, name: str) -> Object | None:
        """A pod, or None where there is none of that name."""
        with self._access("get pods"):
            try:
                return self._plain(self._core.read_namespaced_pod(name, self.namespace))
            except client.ApiException as error:
                if error.status != 404:
                    raise
                return None

    def pods_of(self, job: str) -> list[Object]:
        """The job's trainer pods, in the order of their machines, those made later last."""
        labels = f"jobset.sigs.k8s.io/jobset-name={job},jobset.sigs.k8s.io/replicatedjob-name={NODE}"
        with self._access("list pods"):
            found = self._core.list_namespaced_pod(self.namespace, label_selector=labels)
        pods = [self._plain(pod) for pod in found.items]
        return sorted(pods, key=lambda pod: (machine_of(pod), pod["metadata"]["creationTimestamp"]))

    def log(self, pod: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """Lines of a pod's log, to its end or as they come; they break off where the connection does."""
        more = {"follow": follow} | ({} if tail is None else {"tail_lines": tail})
        with self._access("get pods/log"):
            try:
                response = self._core.read_namespaced_pod_log(
                    pod, self.namespace, container=NODE, _preload_content=False, **more
                )
                rest = b""
                for chunk in response.stream(decode_content=True):
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from (line.decode(errors="replace") for line in lines)
                if rest:
                    yield rest.decode(errors="replace")
            except _BROKEN:
                return
            except client.ApiException as error:
                if error.status not in (400, 404):  # its container has not started, or it is gone
                    raise

    def _plain(self, thing: Any) -> Object:
        plain: Object = self._client.sanitize_for_serialization(thing)
        return plain

    @contextmanager
    def _access(self, what: str) -> Iterator[None]:
        try:
            yield
        except client.ApiException as error:
            kind = UnreachableError if error.status in _BUSY else UsageError
            raise kind(f"Kubernetes, namespace {self.namespace}: {what}: {_reason(error)}") from None
        except _BROKEN as error:
            host = self._client.configuration.host
            raise UnreachableError(f"Kubernetes: {host} cannot be reached: {error}") from None


def machine_of(pod: Object) -> int:
    """Which of the job's machines a pod is."""
    return int(pod["metadata"]["labels"].get("batch.kubernetes.io/job-completion-index", 0))


def ended(pod: Object) -> Object | None:
    """How the pod's trainer ended, with `exitCode` and `reason`; None while it has not."""
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if status["name"] == NODE:
            found: Object | None = status["state"].get("terminated")
            return found
    return None


def _is_status(error: client.ApiException) -> bool:
    """Whether the object is missing, and not the whole API."""
    try:
        return bool(json.loads(error.body)["details"]["name"])
    except (TypeError, ValueError, KeyError):
        return False


def _reason(error: client.ApiException) -> str:
    try:
        message = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        message = error.reason
    if error.status == 404:
        return f"{message}; is Kubeflow Trainer v2.3 installed?"
    return f"{message} (HTTP {error.status})"
