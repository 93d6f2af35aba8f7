"""A cluster with Kubeflow Trainer: an HTTP server that speaks the Kubernetes API for TrainJobs and pods.

Pods are processes of this machine, with the environment that the trainer gives them. What the API server
refuses is refused: fields that Kubeflow Trainer 2.3 does not know, and what a role does not allow.
"""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import yaml
from machines import environment, free_port, kubeflow

JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs"
PODS = "/api/v1/namespaces/team/pods"

ANY: dict[str, Any] = {}
_POD = {
    "affinity": ANY,
    "containers": {"name": ANY, "env": ANY, "securityContext": ANY, "volumeMounts": ANY},
    "imagePullSecrets": ANY,
    "initContainers": ANY,
    "nodeSelector": ANY,
    "schedulingGates": ANY,
    "securityContext": ANY,
    "serviceAccountName": ANY,
    "terminationGracePeriodSeconds": ANY,
    "tolerations": ANY,
    "volumes": ANY,
}
_JOB = {"metadata": ANY, "spec": {"template": {"metadata": ANY, "spec": _POD}}}
_JOB_SET = {"metadata": ANY, "spec": {"replicatedJobs": {"name": ANY, "template": _JOB}}}
FIELDS = {
    "apiVersion": ANY,
    "kind": ANY,
    "metadata": ANY,
    "spec": {
        "activeDeadlineSeconds": ANY,
        "initializer": ANY,
        "managedBy": ANY,
        "runtimePatches": {"manager": ANY, "time": ANY, "trainingRuntimeSpec": {"template": _JOB_SET}},
        "runtimeRef": {"apiGroup": ANY, "kind": ANY, "name": ANY},
        "suspend": ANY,
        "trainer": {
            "args": ANY,
            "command": ANY,
            "env": ANY,
            "image": ANY,
            "numNodes": ANY,
            "numProcPerNode": ANY,
            "resourcesPerNode": {"limits": ANY, "requests": ANY, "claims": ANY},
        },
    },
}
"""The fields of a TrainJob in the models of kubeflow-trainer-api 2.3.0, as far as ours go."""


def unknown_field(value: Any, fields: dict[str, Any], where: str = "") -> str | None:
    """The first field that is not among `fields`; None where there is none."""
    if isinstance(value, list):
        found = (unknown_field(item, fields, f"{where}[{index}]") for index, item in enumerate(value))
        return next((path for path in found if path), None)
    if not fields or not isinstance(value, dict):
        return None
    for name, inner in value.items():
        if name not in fields:
            return f"{where}.{name}".lstrip(".")
        if path := unknown_field(inner, fields[name], f"{where}.{name}"):
            return path
    return None


@dataclass
class Cluster:
    """The state of the cluster, and what a test makes of it.

    Attributes:
        folder: where pods write their logs.
        program: what pods run in place of their command; None for the command itself.
        forbidden: verbs and resources that the role does not allow, such as "create trainjobs".
        answers: status codes that the next requests get in place of an answer.
        creation_delay: seconds that a creation takes to be answered, after it is done.
        created, deleted: the TrainJobs that were, in order.
    """

    folder: Path
    program: list[str] | None = None
    forbidden: set[str] = field(default_factory=set)
    answers: list[int] = field(default_factory=list)
    creation_delay: float = 0
    created: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        cluster = self

        class Handler(_Handler):
            state = cluster

        self._server = ThreadingHTTPServer(("localhost", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
                process.wait()
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self) -> Path:
        """The file with which a client finds the cluster."""
        url = f"http://localhost:{self._server.server_port}"
        path = self.folder / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                    "clusters": [{"name": "test", "cluster": {"server": url}}],
                    "users": [{"name": "test", "user": {}}],
                }
            )
        )
        return path

    def create(self, job: dict[str, Any]) -> None:
        """What the trainer's controller does with a new job."""
        name, trainer = job["metadata"]["name"], job["spec"]["trainer"]
        self.created.append(job)
        with self.changed:
            self.jobs[name] = job | {"status": {"conditions": []}}
        port, nodes = free_port(), trainer["numNodes"]
        for index in range(nodes):
            pod = f"{name}-node-0-{index}-{len(self.created):05d}"
            platform = kubeflow(port, index, nodes, trainer["numProcPerNode"])
            command = self.program or [argument.replace("$$(", "$(") for argument in trainer["command"]]
            command = [sys.executable if part == "python" else part for part in command]
            with (self.folder / f"{pod}.log").open("wb") as log:
                self.processes[pod] = subprocess.Popen(
                    command, env=environment(**platform), stdout=log, stderr=subprocess.STDOUT
                )
            self._set_pod(pod, name, index, {"running": {}})
        threading.Thread(target=self._tend, args=(name,), daemon=True).start()

    def _tend(self, job: str) -> None:
        """Note how the pods end, and then the job."""
        names = [pod for pod, found in self.pods.items() if found["metadata"]["labels"].get(JOBSET) == job]
        running = set(names)
        while running:
            for pod in sorted(running):
                code = self.processes[pod].poll()
                if code is None:
                    continue
                running.remove(pod)
                if pod in self.pods:
                    index = int(self.pods[pod]["metadata"]["labels"][INDEX])
                    end = {
                        "exitCode": code % 256,
                        "finishedAt": now(),
                        "reason": "Error" if code else "Completed",
                    }
                    self._set_pod(pod, job, index, {"terminated": end})
            time.sleep(0.02)
        codes = [self.processes[pod].returncode for pod in names]
        failed = {
            "type": "Failed",
            "reason": "JobsFailed",
            "message": "jobset failed due to one or more job failures",
        }
        complete = {"type": "Complete", "reason": "JobsCompleted", "message": "jobset completed successfully"}
        condition = failed if any(codes) else complete
        with self.changed:
            if job in self.jobs:
                self.jobs[job]["status"]["conditions"] = [{**condition, "status": "True"}]
                self.changed.notify_all()

    def _set_pod(self, pod: str, job: str, index: int, state: dict[str, Any]) -> None:
        phase = "Running"
        if end := state.get("terminated"):
            phase = "Failed" if end["exitCode"] else "Succeeded"
        with self.changed:
            self.pods[pod] = {
                "metadata": {
                    "name": pod,
                    "namespace": "team",
                    "uid": pod,
                    "creationTimestamp": now(),
                    "labels": {JOBSET: job, REPLICATED: "node", INDEX: str(index)},
                },
                "spec": {"containers": [{"name": "node"}]},
                "status": {
                    "phase": phase,
                    "containerStatuses": [
                        {
                            "name": "node",
                            "state": state,
                            "ready": False,
                            "restartCount": 0,
                            "image": "",
                            "imageID": "",
                        }
                    ],
                },
            }
            self.changed.notify_all()

    def delete(self, name: str) -> None:
        """End the job's pods and forget them."""
        with self.changed:
            self.deleted.append(name)
            del self.jobs[name]
            gone = [
                pod for pod, found in self.pods.items() if found["metadata"]["labels"].get(JOBSET) == name
            ]
            for pod in gone:
                del self.pods[pod]
            self.changed.notify_all()
        for pod in gone:
            if self.processes[pod].poll() is None:
                self.processes[pod].terminate()


JOBSET = "jobset.sigs.k8s.io/jobset-name"
REPLICATED = "jobset.sigs.k8s.io/replicatedjob-name"
INDEX = "batch.kubernetes.io/job-completion-index"


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class _Handler(BaseHTTPRequestHandler):
    state: Cluster

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path, query = self._asked()
        name = path.rsplit("/", 1)[-1]
        if path == JOBS and query.get("watch") == "True":
            if self._allowed("watch trainjobs"):
                self._stream(
                    self._watched(query["fieldSelector"].split("=")[1], int(query["timeoutSeconds"]))
                )
        elif path.startswith(f"{JOBS}/"):
            if self._allowed("get trainjobs"):
                self._object(self.state.jobs.get(name), "trainjobs", name)
        elif path == PODS:
            if self._allowed("list pods"):
                wanted = dict(part.split("=") for part in query["labelSelector"].split(","))
                found = [
                    p for p in self.state.pods.values() if wanted.items() <= p["metadata"]["labels"].items()
                ]
                self._answer(200, {"apiVersion": "v1", "kind": "PodList", "items": found})
        elif match := re.fullmatch(f"{PODS}/([^/]+)/log", path):
            if self._allowed("get pods/log"):
                self._stream(self._logged(match[1], query))
        elif path.startswith(f"{PODS}/") and self._allowed("get pods"):
            self._object(self.state.pods.get(name), "pods", name)

    def do_POST(self) -> None:
        _, query = self._asked()
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._allowed("create trainjobs"):
            return
        unknown = unknown_field(job, FIELDS)
        if unknown and query.get("fieldValidation") == "Strict":
            self._refuse(400, f'strict decoding error: unknown field "{unknown}"')
        elif job["metadata"]["name"] in self.state.jobs:
            self._refuse(409, f'trainjobs "{job["metadata"]["name"]}" already exists')
        else:
            self.state.create(job)
            time.sleep(self.state.creation_delay)
            self._answer(201, job)

    def do_DELETE(self) -> None:
        path, _ = self._asked()
        name = path.rsplit("/", 1)[-1]
        if self._allowed("delete trainjobs"):
            if name in self.state.jobs:
                self.state.delete(name)
            self._answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def _asked(self) -> tuple[str, dict[str, str]]:
        url = urlsplit(self.path)
        return url.path, {name: values[0] for name, values in parse_qs(url.query).items()}

    def _allowed(self, what: str) -> bool:
        if self.state.answers:
            self._refuse(self.state.answers.pop(0), "the server is busy")
            return False
        if what in self.state.forbidden:
            verb, resource = what.split()
            self._refuse(403, f'User "step" cannot {verb} resource "{resource}" in the namespace "team"')
            return False
        return True

    def _object(self, found: dict[str, Any] | None, kind: str, name: str) -> None:
        if found is None:
            self._refuse(404, f'{kind} "{name}" not found', {"name": name, "kind": kind})
        else:
            self._answer(200, found)

    def _refuse(self, code: int, message: str, details: dict[str, str] | None = None) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
        self._answer(code, status | ({"details": details} if details else {}))

    def _answer(self, code: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, lines: Iterator[bytes]) -> None:
        """Lines as they come; the end of the connection is their end."""
        self.send_response(200)
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            for line in lines:
                self.wfile.write(line)
                self.wfile.flush()

    def _watched(self, name: str, seconds: int) -> Iterator[bytes]:
        """The job as it is, then whenever it or a pod changes, as the trainer's status does."""
        deadline, kind = time.monotonic() + seconds, "ADDED"
        while time.monotonic() < deadline:
            with self.state.changed:
                job = self.state.jobs.get(name)
                data = json.dumps({"type": kind, "object": job}).encode()
            if job is None:
                return
            yield data + b"\n"
            kind = "MODIFIED"
            with self.state.changed:
                self.state.changed.wait(max(0.0, deadline - time.monotonic()))

    def _logged(self, pod: str, query: dict[str, str]) -> Iterator[bytes]:
        path = self.state.folder / f"{pod}.log"
        if "tailLines" in query:
            yield from path.read_bytes().splitlines(keepends=True)[-int(query["tailLines"]) :]
            return
        with path.open("rb") as log:
            while True:
                over = query.get("follow") != "True" or self.state.processes[pod].poll() is not None
                yield log.read()
                if over:
                    return
                time.sleep(0.05)


def step_pod(name: str, secrets: Sequence[str]) -> dict[str, Any]:
    """The pod of a pipeline's step, whose `main` container has variables from these secrets, and others."""
    variables: list[dict[str, Any]] = [{"name": "KFP_POD_NAME", "value": name}]
    variables += [
        {"name": secret.upper(), "valueFrom": {"secretKeyRef": {"name": "store", "key": secret}}}
        for secret in secrets
    ]
    return {
        "metadata": {"name": name, "uid": "1234", "namespace": "team", "labels": {}},
        "spec": {
            "serviceAccountName": "veo-runner",
            "containers": [{"name": "wait"}, {"name": "main", "env": variables}],
        },
    }
