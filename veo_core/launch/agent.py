"""Processes of this machine under torchrun's elastic agent, with the exit codes of a stage.

The agents of all machines meet at the first one. When a process is lost, every agent stops its own and starts
them anew, and the trainer goes on from its last complete checkpoint. A stage that cannot be mended by that,
because its input is wrong or because it saved its state for a retry, ends at once.
"""

import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch._C._distributed_c10d import PrefixStore, TCPStore
from torch.distributed import DistError
from torch.distributed.elastic.agent.server.api import RunResult, Worker, WorkerGroup, WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
from torch.distributed.elastic.rendezvous import (
    RendezvousError,
    RendezvousParameters,
    RendezvousStoreInfo,
    registry,
)

from veo_core.exit_codes import RETRY, UNEXPECTED, USAGE
from veo_core.launch.cluster import Cluster

_JOIN_SECONDS = 900
"""How long machines wait for each other, which may still pull their image."""

_SAVE_SECONDS = 300
"""How long processes may take to save after SIGTERM; platforms that grant less kill them earlier."""

_LAST_LINES = 20


def run_processes(
    cluster: Cluster, processes: int, command: Sequence[str], *, restarts: int, environment: dict[str, str]
) -> int:
    """Run `command` in so many processes of this machine, in step with the other machines.

    The output of the machine's first process is passed on; of another one that fails, its last lines.

    Args:
        restarts: how often all processes are started anew after a loss.
        environment: variables that the processes get in addition.

    Returns:
        The exit code of the stage: 0, or that of the process that failed first, 128 + N for signal N.
    """
    os.environ.update(environment)
    _mute_torch()
    _heed_termination()
    with tempfile.TemporaryDirectory(prefix="veo-launch-") as folder:
        try:
            address = _address_of(cluster)
            spec = _spec(cluster, address, processes, command, restarts)
            agent = _StageAgent(spec, cluster.rank, address, folder)
            failures = agent.run_to_end()
        except SignalException as stopped:
            return 128 + stopped.sigval
        except (RendezvousError, DistError) as error:
            _say(f"error: the other machines cannot be reached, or gave up: {error}")
            return UNEXPECTED
        if not failures:
            return 0
        failure = culprit(failures.values())
        if failure.local_rank:
            for line in last_lines(agent.log_of(failure.local_rank)):
                _say(f"[{failure.local_rank}] {line}")
        _say(f"launch: {_ended(failure)}")
        return exit_code(failure)


class _StageAgent(LocalElasticAgent):
    """The elastic agent of a machine, which numbers processes in the order of the machines.

    It knows which ends of a stage are final, and gives processes time to save.
    """

    def __init__(self, spec: WorkerSpec, machine: int, address: str, folder: str) -> None:
        told = dict.fromkeys(range(1, spec.local_world_size), Std.ALL)
        super().__init__(spec, DefaultLogsSpecs(log_dir=folder, redirects=told))
        self._machine, self._address = machine, address

    def run_to_end(self) -> dict[int, ProcessFailure]:
        """The processes that failed, by rank; none where all ended well.

        Raises:
            SignalException: the machine was asked to stop before they ended well, and they have stopped.
            RendezvousError, DistError: the other machines cannot be reached, or gave up.
        """
        try:
            result = self.run()
        except SignalException:
            handlers = getattr(self._pcontext, "subprocess_handlers", {}).values()
            if {handler.proc.poll() for handler in handlers} != {0}:
                raise  # without leaving: the others may wait for a machine in place of this one
            return {}
        except BaseException:
            self._rdzv_handler.shutdown()
            raise
        self._rdzv_handler.shutdown()
        return result.failures if result else {}  # none for a machine that another one has replaced

    def log_of(self, local_rank: int) -> Path:
        """Where the error stream of a process went that was started last, other than the first."""
        assert self._pcontext is not None
        return Path(self._pcontext.stderrs[local_rank])

    def _rendezvous(self, worker_group: WorkerGroup) -> None:
        """Meet the other agents, and give the processes a store on the first machine to find each other in.

        It is a new one for every start. Torch keeps one for all of them, in which processes find addresses
        that lost ones left there (pytorch/pytorch#135712).
        """
        super()._rendezvous(worker_group)
        port = None
        if self._machine == 0:
            self._processes_store = TCPStore(self._address, 0, is_master=True, wait_for_workers=False)
            port = self._processes_store.port
        assert worker_group.store is not None
        place = RendezvousStoreInfo.build(
            self._machine, PrefixStore("processes", worker_group.store), self._address, port
        )
        worker_group.master_addr, worker_group.master_port = place.master_addr, place.master_port

    def _assign_worker_ranks(
        self, store: Any, group_rank: int, group_world_size: int, spec: WorkerSpec
    ) -> list[Worker]:
        """The rendezvous numbers machines by their addresses; here the platform's order counts."""
        workers: list[Worker] = super()._assign_worker_ranks(store, self._machine, group_world_size, spec)
        return workers

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        result: RunResult = super()._monitor_workers(worker_group)
        if result.is_failed() and self._remaining_restarts:
            failure = culprit(result.failures.values())
            if exit_code(failure) in (USAGE, RETRY):
                self._remaining_restarts = 0
            else:
                left = self._remaining_restarts - 1
                _say(f"launch: {_ended(failure)}; starting all processes anew, {left} more times if need be")
        return result

    def _shutdown(self, death_sig: signal.Signals | None = None) -> None:
        if death_sig is not None and self._pcontext is not None:  # the machine is asked to stop
            self._pcontext.close(death_sig, timeout=_SAVE_SECONDS)
        super()._shutdown()


def _spec(
    cluster: Cluster, address: str, processes: int, command: Sequence[str], restarts: int
) -> WorkerSpec:
    """What the agent runs. Raises RendezvousError where the first machine cannot be reached."""
    meeting = RendezvousParameters(
        backend="c10d",
        endpoint=f"{cluster.address}:{cluster.port}",
        run_id="stage",
        min_nodes=cluster.machines,
        max_nodes=cluster.machines,
        local_addr=address,
        is_host=cluster.rank == 0,
        join_timeout=_JOIN_SECONDS,
        read_timeout=_JOIN_SECONDS,
    )
    return WorkerSpec(
        role="stage",
        local_world_size=processes,
        entrypoint=command[0],
        args=tuple(command[1:]),
        rdzv_handler=registry.get_rendezvous_handler(meeting),
        max_restarts=restarts,
        local_addr=address,
    )


def _address_of(cluster: Cluster) -> str:
    """Where the other machines reach this one: its address in the network that leads to the first."""
    if cluster.rank == 0:
        return cluster.address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((cluster.address, cluster.port))  # sends nothing
        except OSError:  # the first machine has no name yet
            return socket.gethostname()
        address: str = probe.getsockname()[0]
        return address


def _mute_torch() -> None:
    """The agent's own log repeats what is told here; torch's variable LOGLEVEL brings it back."""
    if "LOGLEVEL" not in os.environ:
        logger = logging.getLogger("torch.distributed.elastic")
        logger.addHandler(logging.NullHandler())
        logger.propagate = False


def _heed_termination() -> None:
    """SIGTERM counts before the agent has started anything, also in the first process of a container, which
    ignores it by default.
    """

    def stop(number: int, _: object) -> None:
        raise SignalException("stopped", signal.Signals(number))

    signal.signal(signal.SIGTERM, stop)


def culprit(failures: Iterable[ProcessFailure]) -> ProcessFailure:
    """The failure that the others follow from.

    Processes whose peer is lost fail too, and those that still run are ended with SIGTERM: bad input comes
    first, then a state saved for a retry, then other signals than SIGTERM.
    """

    def rank(failure: ProcessFailure) -> tuple[bool, int, bool]:
        code = failure.exitcode
        return code == -signal.SIGTERM, {USAGE: 0, RETRY: 1}.get(code, 2), code > 0

    return min(failures, key=rank)


def exit_code(failure: ProcessFailure) -> int:
    """The exit code as a shell gives it: 128 + N for signal N."""
    return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode


def last_lines(log: Path) -> list[str]:
    """The end of a log; of progress bars, what was last to be seen."""
    lines = log.read_text(errors="replace").rstrip().split("\n")
    return [line.rsplit("\r", 1)[-1] for line in lines[-_LAST_LINES:]]


def _ended(failure: ProcessFailure) -> str:
    code = failure.exitcode
    if code == RETRY:
        return f"process {failure.local_rank} of this machine was asked to stop; the same command goes on"
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return f"process {failure.local_rank} of this machine {how}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
