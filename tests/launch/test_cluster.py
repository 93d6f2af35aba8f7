"""Where a process is among the machines of a job, from the environment of each platform."""

import json

import pytest

from veo_core.errors import UsageError
from veo_core.launch.cluster import Cluster, started_by_torchrun

POOLS = {
    "workerpool0": ["job-workerpool0-0:2222"],
    "workerpool1": ["job-workerpool1-0:2222", "job-workerpool1-1:2222"],
}
KUBEFLOW = {
    "PET_NNODES": "3",
    "PET_NODE_RANK": "2",
    "PET_NPROC_PER_NODE": "8",
    "PET_MASTER_ADDR": "base-node-0-0.base",
    "PET_MASTER_PORT": "29500",
}
TPU = {"TPU_WORKER_HOSTNAMES": "host-0,host-1,host-2,host-3", "TPU_WORKER_ID": "3"}


def vertex(pool: str = "workerpool0", index: int = 0, **changes: object) -> dict[str, str]:
    """The variable as Vertex AI sets it, with more keys than are read."""
    task = {"type": pool, "index": index, "trial": "0"}
    spec = {"cluster": POOLS, "environment": "cloud", "task": task, "job": "{}", **changes}
    return {"CLUSTER_SPEC": json.dumps(spec)}


@pytest.mark.parametrize(
    ("pool", "index", "rank"), [("workerpool0", 0, 0), ("workerpool1", 0, 1), ("workerpool1", 1, 2)]
)
def test_vertex_machines_are_those_of_pool_0_and_then_of_pool_1(pool, index, rank):
    found = Cluster.of(vertex(pool, index))
    assert (found.machines, found.rank, found.processes) == (3, rank, None)
    assert (found.address, found.port) == ("job-workerpool0-0", 2222)
    assert found.hosts == ("job-workerpool0-0", "job-workerpool1-0", "job-workerpool1-1")


def test_vertex_job_of_one_replica_is_one_machine():
    assert Cluster.of(vertex(cluster={"workerpool0": ["host:2222"]})).machines == 1


def test_kubeflow_names_machines_processes_and_the_first_machine():
    assert Cluster.of(KUBEFLOW) == Cluster(3, 2, "base-node-0-0.base", 29500, 8)


def test_kubeflow_leaves_processes_to_the_devices_where_they_are_auto():
    assert Cluster.of(KUBEFLOW | {"PET_NPROC_PER_NODE": "auto"}).processes is None


def test_kubeflow_job_of_one_machine_needs_no_place_to_meet():
    assert Cluster.of({"PET_NNODES": "1", "PET_NPROC_PER_NODE": "4"}) == Cluster(processes=4)


def test_tpu_hosts_run_one_process_each():
    found = Cluster.of(TPU)
    assert (found.machines, found.rank, found.address, found.processes) == (4, 3, "host-0", 1)


def test_tpu_hosts_are_found_in_the_addresses_of_their_processes():
    found = Cluster.of({"TPU_PROCESS_ADDRESSES": "10.0.0.1:8476,10.0.0.2:8476", "TPU_WORKER_ID": "1"})
    assert (found.hosts, found.rank) == (("10.0.0.1", "10.0.0.2"), 1)


def test_tpu_runtime_is_told_of_vertex_hosts_where_the_platform_has_not_told_it():
    found = Cluster.of(vertex("workerpool1", 1))
    assert found.tpu_environment({}) == {
        "TPU_SKIP_MDS_QUERY": "true",
        "TPU_WORKER_ID": "2",
        "TPU_WORKER_HOSTNAMES": "job-workerpool0-0,job-workerpool1-0,job-workerpool1-1",
    }
    assert found.tpu_environment(TPU) == {}
    assert Cluster.of(TPU).tpu_environment(TPU) == {}


def test_no_platform_is_one_machine_with_any_free_port():
    assert Cluster.of({"HOME": "/root", "RANK": "0", "WORLD_SIZE": "1"}) == Cluster(1, 0, "localhost", 0)


def test_torchrun_is_known_by_the_local_rank_that_platforms_do_not_set():
    assert started_by_torchrun({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"})
    assert not started_by_torchrun({"RANK": "0", "WORLD_SIZE": "2"})


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"CLUSTER_SPEC": "{"}, "CLUSTER_SPEC: not valid JSON"),
        ({"CLUSTER_SPEC": "[]"}, "CLUSTER_SPEC"),
        ({"CLUSTER_SPEC": '{"cluster": {}}'}, "CLUSTER_SPEC: task"),
        (vertex("workerpool1", 2), "replica 2 of workerpool1, is not in its cluster"),
        (vertex(cluster={"workerpool0": ["host"]}), "'host' must be HOST:PORT"),
        (vertex(cluster={"chief": ["host:1"]}), "'chief' is no worker pool"),
        ({"PET_NNODES": "1:4"}, "PET_NNODES: '1:4' must be a whole number of at least 1"),
        ({"PET_NNODES": "2"}, "PET_NODE_RANK: '' must be a whole number"),
        (KUBEFLOW | {"PET_NODE_RANK": "3"}, "PET_NODE_RANK: 3 must be below PET_NNODES, which is 3"),
        (KUBEFLOW | {"PET_NPROC_PER_NODE": "0"}, "PET_NPROC_PER_NODE: '0' must be"),
        (KUBEFLOW | {"PET_MASTER_ADDR": ""}, "PET_MASTER_ADDR: must name the first of 3 machines"),
        (KUBEFLOW | {"PET_MASTER_PORT": "http"}, "PET_MASTER_PORT: 'http' must be"),
        (TPU | {"TPU_WORKER_ID": "4"}, "TPU_WORKER_ID: 4 must be below the number of hosts, which is 4"),
        (TPU | {"TPU_WORKER_ID": "one"}, "TPU_WORKER_ID: 'one' must be"),
        (TPU | {"TPU_WORKER_HOSTNAMES": "a,,b"}, "TPU_WORKER_HOSTNAMES: must be names"),
        ({"TPU_PROCESS_ADDRESSES": "10.0.0.1"}, "TPU_PROCESS_ADDRESSES: '10.0.0.1' must be HOST:PORT"),
    ],
)  # fmt: skip
def test_malformed_variable_is_named_in_one_line(environment, message):
    with pytest.raises(UsageError) as error:
        Cluster.of(environment)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
