"""A stage on several machines of Kubeflow, from a step that asks for them."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kubernetes_server import Cluster, step_pod
from machines import environment

from veo_core.errors import UsageError
from veo_core.launch.trainjob_spec import Placement, Step, train_job
from veo_core.stage import Context, read_manifest
from veo_core.storage import Store
from veo_core.train import base
from veo_core.train.checkpoint import Checkpoint, Commit
from veo_core.train.pages import training_page

sys.path.append(str(Path(__file__).parents[1] / "train"))

from made_latents import made_latents

TINY = {
    "steps": 4, "batch": 4, "log_every": 2, "warmup": 1, "text_length": 8,
    "width": 32, "depth": 1, "heads": 2,
    "runtime": {"accelerator": "cpu", "bfloat16": False},
}  # fmt: skip


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path) as cluster:
        cluster.pods["step"] = step_pod("step", ["aws_secret_access_key"])
        yield cluster


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def asked(tmp_path, store):
    """The command line of a stage, with its input manifest."""
    latents = made_latents(store)
    (tmp_path / "latents.json").write_bytes(latents.to_bytes())
    return [
        "veo_core.train.base", "--root", store.root, "--seed", "5", "--config", json.dumps(TINY),
        "--latents", str(tmp_path / "latents.json"), "--latents-digest", latents.digest,
        "--manifest", str(tmp_path / "out/base.json"), "--digest", str(tmp_path / "out/digest"),
        "--executor-output", str(tmp_path / "out/executor.json"),
        "--view", "html", str(tmp_path / "out/html"), "--uri", "latents", "s3://bucket/latents",
    ]  # fmt: skip


def step(cluster: Cluster, *arguments: str) -> subprocess.Popen[str]:
    """The step that asks for two machines."""
    flags = "--image registry/train@sha256:1 --namespace team --nodes 2 --resource example.com/chip --count 1"
    return subprocess.Popen(
        [sys.executable, "-m", "veo_core.launch.trainjob", *flags.split(), *arguments],
        env=environment(KUBECONFIG=str(cluster.kubeconfig()), KFP_POD_NAME="step"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def python(program: str) -> list[str]:
    return [sys.executable, "-c", f"import os, sys, time\n{program}"]


@pytest.mark.slow
def test_stage_on_two_machines_gives_the_step_the_outputs_that_one_process_makes(
    cluster, store, asked, tmp_path
):
    config = base.BaseTraining.model_validate(TINY)
    context = Context(stage="base", store=store, seed=5, key="alone", workers=1)
    expected = base.run(latents=made_latents(store), config=config, context=context)
    log, errors = (process := step(cluster, *asked)).communicate()
    assert process.returncode == 0, errors + log
    made = read_manifest(tmp_path / "out/base.json", (tmp_path / "out/digest").read_text())
    assert made.metrics == pytest.approx(expected.metrics, abs=1e-4)
    output = json.loads((tmp_path / "out/executor.json").read_text())
    assert output["artifacts"]["manifest"]["artifacts"][0]["metadata"]["digest"] == made.digest
    shown = output["artifacts"]["html"]["artifacts"][0]["metadata"]
    assert (shown["manifest_digest"], shown["input_latents_uri"]) == (made.digest, "s3://bucket/latents")
    assert (tmp_path / "out/html").read_bytes() == training_page(made, store).content
    (job,) = cluster.created
    assert "base: 4/4 steps" in log  # of the first machine, while it ran
    assert cluster.deleted == [job["metadata"]["name"]]
    assert not [mark for mark in store.marks() if mark.startswith("launch/")]
    trainer = job["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 1)
    secret = {"secretKeyRef": {"name": "store", "key": "aws_secret_access_key"}}
    assert trainer["env"] == [{"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": secret}]


@pytest.mark.thorough
def test_failed_machine_gives_the_step_its_exit_code_and_last_lines(cluster, asked):
    cluster.program = python(
        "print('machine', os.environ['PET_NODE_RANK'])\n"
        "sys.exit({'0': 0, '1': 7}[os.environ['PET_NODE_RANK']])"
    )
    log, errors = (process := step(cluster, *asked)).communicate()
    assert process.returncode == 7
    assert log == "machine 0\n"
    assert "[machine 1] machine 1\n" in errors
    assert "error: TrainJob of base: JobsFailed: jobset failed" in errors
    assert "machine 1 ended with code 7, Error" in errors
    assert cluster.deleted


@pytest.mark.thorough
def test_bad_input_ends_the_step_while_other_machines_still_run(cluster, asked):
    cluster.program = python("if os.environ['PET_NODE_RANK'] == '0': time.sleep(600)\nsys.exit(2)")
    _, errors = (process := step(cluster, *asked)).communicate()
    assert process.returncode == 2
    assert "error: TrainJob of base: bad input; machine 1 ended with code 2" in errors


@pytest.mark.thorough
def test_preempted_machines_give_the_step_the_retry_code(cluster, asked):
    cluster.program = python("sys.exit(143 if os.environ['PET_NODE_RANK'] == '1' else 1)")
    process = step(cluster, *asked)
    process.communicate()
    assert process.returncode == 143


@pytest.mark.slow
def test_preempted_job_goes_on_in_the_next_step_and_ends_the_same(cluster, store, asked, tmp_path):
    longer = {**TINY, "steps": 300, "checkpoint_seconds": 0}
    context = Context(stage="base", store=store, seed=5, key="alone", workers=1)
    config = base.BaseTraining.model_validate(longer)
    expected = base.run(latents=made_latents(store), config=config, context=context)
    asked[asked.index(json.dumps(TINY))] = json.dumps(longer)

    def checkpoints() -> list[Checkpoint]:
        marks = [mark for mark in store.marks() if mark.endswith("/checkpoint.json")]
        return [Commit.model_validate_json(store.get_mark(mark)).checkpoints[0] for mark in marks]

    process = step(cluster, *asked)
    while not checkpoints():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    list(cluster.processes.values())[1].send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 143, errors
    (saved,) = checkpoints()
    elsewhere = [argument.replace("/out/", "/other/") for argument in asked]
    log, errors = (process := step(cluster, *elsewhere)).communicate()
    assert process.returncode == 0, errors + log
    left = longer["steps"] - saved.step
    assert f"base: {left}/{left} steps" in log
    made = read_manifest(tmp_path / "other/base.json")
    assert made.metrics == pytest.approx(expected.metrics, abs=1e-3)
    assert not checkpoints()


@pytest.mark.parametrize("creation_delay", [0, 1], ids=["followed", "being created"])
def test_sigterm_on_the_step_deletes_the_job(cluster, asked, creation_delay):
    cluster.program = python("time.sleep(600)")
    cluster.creation_delay = creation_delay
    process = step(cluster, *asked)
    while not cluster.pods.keys() - {"step"}:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143
    assert cluster.deleted
    assert all(pod.wait() == -signal.SIGTERM for pod in cluster.processes.values())


@pytest.mark.thorough
def test_busy_api_server_does_not_fail_the_step(cluster, asked):
    cluster.program = python("print('done'); sys.exit(7)")
    process = step(cluster, *asked)
    while not cluster.created:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    cluster.answers += [503, 429, 500]
    process.communicate()
    assert process.returncode == 7
    assert not cluster.answers


@pytest.mark.slow
def test_job_that_an_earlier_try_left_is_replaced(cluster, asked):
    cluster.program = python("sys.exit(7)")
    step(cluster, *asked).communicate()
    (left,) = cluster.created
    cluster.program = python("time.sleep(600)")
    cluster.create(left)
    cluster.program = python("sys.exit(8)")
    process = step(cluster, *asked)
    process.communicate()
    assert process.returncode == 8
    assert len(cluster.created) == 3


@pytest.mark.parametrize(
    ("forbidden", "message"),
    [
        ("create trainjobs", 'create trainjobs: User "step" cannot create resource "trainjobs"'),
        ("get pods", 'get pods: User "step" cannot get resource "pods"'),
    ],
)
def test_step_without_a_right_says_which_in_one_line(cluster, asked, forbidden, message):
    cluster.forbidden.add(forbidden)
    _, errors = (process := step(cluster, *asked)).communicate()
    assert process.returncode == 2
    assert errors.startswith(f"error: Kubernetes, namespace team: {message}")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--topology", "2x4", "veo_core.train.base", "--root", "x"], "--topology 2x4: has 8 chips"),
        (["veo_core.train.base", "--root"], "'--root': its arguments must be flags"),
        (["veo_core.train.base", "--seed", "1"], "--root is required"),
    ],
)
def test_bad_usage_is_told_in_one_line(cluster, arguments, message):
    _, errors = (process := step(cluster, *arguments)).communicate()
    assert process.returncode == 2
    assert message in errors
    assert errors.count("\n") == 1


def test_job_names_queue_machines_and_shared_memory():
    placement = Placement(
        nodes=4,
        resource="google.com/tpu",
        count=4,
        requests={"memory": "100Gi"},
        shared_memory="8Gi",
        queue="tpu",
        topology="4x4",
        node_selector={"cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice"},
        tolerations=["google.com/tpu"],
    )
    job = train_job("base-1", "image@sha256:1", ["python", "$(HOME)"], placement, Step())
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "tpu"
    trainer = job["spec"]["trainer"]
    assert trainer["command"] == ["python", "$$(HOME)"]
    assert trainer["numProcPerNode"] == 1
    assert trainer["resourcesPerNode"]["limits"] == {"google.com/tpu": "4", "memory": "100Gi"}
    (patch,) = job["spec"]["runtimePatches"]
    (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = node["template"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice",
        "cloud.google.com/gke-tpu-topology": "4x4",
    }
    assert pod["tolerations"] == [{"key": "google.com/tpu", "operator": "Exists"}]
    assert pod["volumes"][0]["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}


@pytest.mark.parametrize("topology", ["4by4", "x", "2x4"])
def test_topology_that_machines_do_not_make_up_is_refused(topology):
    with pytest.raises(UsageError, match="--topology"):
        Placement(nodes=4, resource="google.com/tpu", count=4, topology=topology)
