"""Follow a TrainJob to its end: its state, the log of its first machine, and why it failed."""

import sys
import threading
import time
from dataclasses import dataclass

from veo_core.errors import UsageError
from veo_core.exit_codes import RETRY, UNEXPECTED, USAGE
from veo_core.launch.kubernetes_jobs import Object, TrainJobs, UnreachableError, ended, machine_of

_WATCH_SECONDS = 10
_SILENCE_SECONDS = 600
_QUIET_SECONDS = 5
_LAST_LINES = 20


@dataclass(frozen=True)
class Outcome:
    """How a job ended: 0, or the exit code of the pod that failed first and the reason."""

    code: int
    reason: str = ""


def follow(jobs: TrainJobs, name: str) -> Outcome:
    """Print the first machine's log while the job runs, and return how it ended.

    Raises:
        UsageError: the job is gone, or the Kubernetes API has not answered for ten minutes.
    """
    log = _FirstLog(jobs, name)
    log.start()
    told: dict[str, str] = {}
    answered = time.monotonic()
    try:
        while True:
            try:
                outcome = _look(jobs, name, told)
                answered = time.monotonic()
            except UnreachableError:
                if time.monotonic() - answered > _SILENCE_SECONDS:
                    raise
                time.sleep(1)
                continue
            if outcome is not None:
                break
    finally:
        log.finish()
    if outcome.code:
        _tell_last_lines(jobs, name)
    return outcome


def _look(jobs: TrainJobs, name: str, told: dict[str, str]) -> Outcome | None:
    """The outcome, once there is one; else after some seconds None."""
    there = False
    for job in jobs.watch(name, _WATCH_SECONDS):
        there = True
        pods = jobs.pods_of(name)
        outcome = _outcome(job, pods)
        if outcome is not None:
            return outcome
        _tell_states(pods, told)
    if not there and jobs.find(name) is None:
        raise UsageError(f"TrainJob {name}: it was deleted while it ran")
    return None


def _outcome(job: Object, pods: list[Object]) -> Outcome | None:
    """A job that has failed or is complete; one whose input is bad need not try again."""
    failed = _culprit(pods)
    code, why = UNEXPECTED, ""
    if failed is not None:
        end = ended(failed) or {}
        code = end["exitCode"]
        why = f"; machine {machine_of(failed)} ended with code {code}, {end.get('reason', 'Error')}"
    if code == USAGE:
        return Outcome(code, f"bad input{why}")
    for condition in job.get("status", {}).get("conditions") or ():
        if condition["status"] == "True" and condition["type"] == "Complete":
            return Outcome(0)
        if condition["status"] == "True" and condition["type"] == "Failed":
            return Outcome(code, f"{condition['reason']}: {condition.get('message', '')}{why}")
    return None


def _culprit(pods: list[Object]) -> Object | None:
    """The pod whose end the others' ends follow from: of bad input, then of preemption, then the earliest."""
    failed = [pod for pod in pods if (ended(pod) or {"exitCode": 0})["exitCode"]]

    def rank(pod: Object) -> tuple[int, str]:
        end = ended(pod) or {}
        return {USAGE: 0, RETRY: 1}.get(end["exitCode"], 2), end.get("finishedAt") or ""

    return min(failed, key=rank, default=None)


def _tell_states(pods: list[Object], told: dict[str, str]) -> None:
    """Print what pods wait for, once."""
    for pod in pods:
        name, state = pod["metadata"]["name"], _state(pod)
        if told.get(name) != state:
            told[name] = state
            print(f"trainjob: {name}: {state}", file=sys.stderr, flush=True)


def _state(pod: Object) -> str:
    status = pod.get("status", {})
    waiting = [
        container["state"]["waiting"]
        for container in status.get("containerStatuses") or ()
        if "waiting" in container["state"]
    ]
    reasons = [
        condition
        for condition in status.get("conditions") or ()
        if condition.get("reason") == "Unschedulable"
    ]
    more = [
        f"{found['reason']}: {found.get('message', '')}"
        for found in (*waiting, *reasons)
        if "reason" in found
    ]
    return ", ".join([status.get("phase", "Unknown"), *more]).rstrip(": ")


def _tell_last_lines(jobs: TrainJobs, name: str) -> None:
    """Print the end of the failed machine's log, unless that is the first one, whose log was printed."""
    failed = _culprit(jobs.pods_of(name))
    if failed is None or machine_of(failed) == 0:
        return
    for line in jobs.log(failed["metadata"]["name"], tail=_LAST_LINES):
        print(f"[machine {machine_of(failed)}] {line}", file=sys.stderr, flush=True)


class _FirstLog(threading.Thread):
    """Prints the logs of the pods that are the first machine, one after the other, while it runs."""

    def __init__(self, jobs: TrainJobs, name: str) -> None:
        super().__init__(daemon=True)
        self._jobs, self._name = jobs, name
        self._over = threading.Event()
        self._shown: dict[str, int] = {}
        self._moved = time.monotonic()

    def run(self) -> None:
        last, whole = False, set[str]()
        while not last:
            last = self._over.wait(1.0)  # once the job is over, what is left is shown
            try:
                for pod in self._jobs.pods_of(self._name):
                    if machine_of(pod) == 0 and pod["metadata"]["name"] not in whole:
                        self._show(pod["metadata"]["name"])
                        if ended(pod):
                            whole.add(pod["metadata"]["name"])
            except UsageError:
                continue  # the loop of `follow` tells

    def _show(self, pod: str) -> None:
        """A log that broke off goes on after the lines that were shown."""
        for number, line in enumerate(self._jobs.log(pod, follow=not self._over.is_set()), 1):
            if number > self._shown.get(pod, 0):
                self._shown[pod], self._moved = number, time.monotonic()
                print(line, flush=True)

    def finish(self) -> None:
        """Show what is left of the log, and end; a machine that still runs may say no more."""
        self._over.set()
        self._moved = time.monotonic()
        while self.is_alive() and time.monotonic() - self._moved < _QUIET_SECONDS:
            self.join(timeout=0.1)
