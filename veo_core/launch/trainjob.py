"""Run a stage on several machines of Kubeflow, from a step of the pipeline that needs none of them.

    python -m veo_core.launch.trainjob --image IMAGE --nodes 2 --resource nvidia.com/gpu --count 8 \\
        MODULE ARGUMENTS

It creates a TrainJob of Kubeflow Trainer whose pods run the stage through `veo_core.launch.start`, prints the
log of the first one, ends with the stage's exit code and deletes the job. The job's pods get this pod's
service account and references to secrets. Manifests and outputs cross through the stage's store.
"""

import argparse
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from veo_core.commandline import Parser
from veo_core.errors import UsageError
from veo_core.exit_codes import RETRY, USAGE
from veo_core.launch.call import StageCall
from veo_core.launch.exchange import Exchange
from veo_core.launch.follow import Outcome, follow
from veo_core.launch.kubernetes_jobs import TrainJobs
from veo_core.launch.stage_parser import add_stage, launcher_parser
from veo_core.launch.trainjob_spec import Placement, Step, train_job
from veo_core.records.base import sha256_bytes
from veo_core.storage import Store

_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_GONE_SECONDS = 600


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage and return its exit code."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _stop)
    try:
        call = StageCall.parse(arguments.module, arguments.arguments)
        return _run(call, arguments.image, _placement(arguments), TrainJobs(_namespace(arguments.namespace)))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE


def _run(call: StageCall, image: str, placement: Placement, jobs: TrainJobs) -> int:
    """A step that is repeated after its job has ended finds the outputs and starts no other."""
    key = sha256_bytes(f"{image} {call.key}".encode())[:32]
    exchange = Exchange(Store(call.root), key)
    if not exchange.done:
        exchange.send_inputs(call)
        outcome = _run_job(call, key, image, placement, jobs)
        if outcome.code:
            print(f"error: TrainJob of {call.name}: {outcome.reason}", file=sys.stderr)
            return outcome.code
    exchange.receive_outputs(call)
    exchange.clear()
    return 0


def _run_job(call: StageCall, key: str, image: str, placement: Placement, jobs: TrainJobs) -> Outcome:
    name = f"{call.name.replace('_', '-')}-{key[:10]}"
    own = jobs.pod(os.environ.get("KFP_POD_NAME") or socket.gethostname())
    command = ["python", "-m", "veo_core.launch.start", "--exchange", key, call.module, *call.arguments]
    _remove(jobs, name)  # of an earlier try of this step, which was killed
    job = train_job(name, image, command, placement, Step.of(own) if own else Step())
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # a job half created would outlive the step
    jobs.create(job)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        print(f"trainjob: created {name} in {jobs.namespace}", file=sys.stderr, flush=True)
        return follow(jobs, name)
    finally:
        jobs.delete(name)


def _remove(jobs: TrainJobs, name: str) -> None:
    """Delete a job and wait until it is gone: its pods may save their state first."""
    deadline = time.monotonic() + _GONE_SECONDS
    while jobs.find(name) is not None:
        jobs.delete(name)
        if time.monotonic() > deadline:
            raise UsageError(f"TrainJob {name}: it is there already and does not go; delete it")
        time.sleep(1)


def _stop(*_: object) -> None:
    raise SystemExit(RETRY)


def _namespace(given: str | None) -> str:
    if given:
        return given
    if not _NAMESPACE.exists():
        raise UsageError("--namespace: must be given outside of Kubernetes")
    return _NAMESPACE.read_text().strip()


def _placement(arguments: argparse.Namespace) -> Placement:
    requests = {"cpu": arguments.cpu, "memory": arguments.memory}
    return Placement(
        nodes=arguments.nodes,
        resource=arguments.resource,
        count=arguments.count,
        requests={name: amount for name, amount in requests.items() if amount},
        shared_memory=arguments.shared_memory,
        queue=arguments.queue,
        topology=arguments.topology,
        node_selector=dict(arguments.node_selector),
        tolerations=arguments.toleration,
        runtime=arguments.runtime,
    )


def _parser() -> Parser:
    parser = launcher_parser("trainjob", __doc__)
    add = parser.add_argument
    add("--image", required=True, help="the image that carries veo_core, by digest")
    add("--nodes", required=True, type=_positive, metavar="N", help="machines")
    add(
        "--resource",
        required=True,
        metavar="NAME",
        help="accelerator, such as nvidia.com/gpu or google.com/tpu",
    )
    add("--count", required=True, type=_positive, metavar="N", help="accelerators of each machine")
    add("--cpu", metavar="AMOUNT", help="CPUs of each machine")
    add("--memory", metavar="AMOUNT", help="memory of each machine, such as 200Gi")
    add("--shared-memory", metavar="AMOUNT", help="size of /dev/shm, which NCCL needs")
    add("--queue", metavar="NAME", help="Kueue queue")
    add(
        "--node-selector",
        action="append",
        default=[],
        type=_pair,
        metavar="K=V",
        help="label of the machines",
    )
    add("--toleration", action="append", default=[], metavar="KEY", help="taint that the machines may have")
    add("--topology", metavar="AxB", help="shape of the TPU slice, such as 4x4")
    add("--runtime", default="torch-distributed", metavar="NAME", help="ClusterTrainingRuntime of torch")
    add("--namespace", metavar="NAME", help="namespace (default: this pod's)")
    add_stage(parser)
    return parser


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} must be KEY=VALUE")
    return key, value


if __name__ == "__main__":
    sys.exit(main())
