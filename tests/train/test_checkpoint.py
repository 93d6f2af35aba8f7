import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_run import CONFIG, Residual, SmallRun, context
from torch import nn

from veo_core.errors import UsageError
from veo_core.storage import Store
from veo_core.train.checkpoint import Checkpoints
from veo_core.train.loop import FitConfig

ONES = {"a": torch.ones(2)}
PROGRAM = Path(__file__).with_name("small_run.py")


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


@pytest.fixture
def checkpoints(store) -> Checkpoints:
    return Checkpoints(context(store))


def start(store: Store, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Run `small_run.py` with as many threads as here, so that sums come out alike."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROGRAM.parents[2]),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    command = [sys.executable, str(PROGRAM), store.root, CONFIG.model_dump_json(), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, **options)


def test_checkpoint_when_its_tensors_were_altered_then_it_is_refused(store, checkpoints):
    checkpoints.save(1, ONES, {})
    store.set_mark("small/k/checkpoint-0-1-of-1.safetensors", b"other")
    with pytest.raises(UsageError, match=r"is damaged; delete marks/small/k/checkpoint.json"):
        checkpoints.load()


def test_checkpoint_when_a_shard_is_missing_then_it_is_refused(store, checkpoints):
    checkpoints.save(1, ONES, {})
    store.remove_mark("small/k/checkpoint-0-1-of-1.safetensors")
    with pytest.raises(UsageError, match="is missing"):
        checkpoints.load()


def test_checkpoint_when_a_save_is_cut_short_then_the_one_before_counts(store, checkpoints):
    checkpoints.save(1, ONES, {})
    store.set_mark("small/k/checkpoint-1-1-of-1.safetensors", b"half of the next one")
    tensors, checkpoint = checkpoints.load()
    assert checkpoint.step == 1
    assert torch.equal(tensors["a"], torch.ones(2))


def test_checkpoint_of_a_named_step_is_found_and_one_that_is_absent_is_an_error(checkpoints):
    for step in (10, 20, 30):
        checkpoints.save(step, {"a": torch.full((2,), float(step))}, {})
    tensors, checkpoint = checkpoints.load(20)
    assert checkpoint.step == 20
    assert torch.equal(tensors["a"], torch.full((2,), 20.0))
    assert checkpoints.load()[1].step == 30
    with pytest.raises(UsageError, match="none at step 10; there are 30, 20"):
        checkpoints.load(10)


def test_checkpoints_when_cleared_then_nothing_of_them_is_left(store, checkpoints):
    for step in (10, 20, 30):
        checkpoints.save(step, ONES, {})
    assert len(store.marks()) == 5
    checkpoints.clear()
    assert store.marks() == []
    assert checkpoints.load() is None


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("learning_rate", {"learning_rate": 5e-4}),
        ("optimiser", {"optimiser": "muon"}),
        ("steps", {"steps": 40}),
    ],
)
def test_checkpoint_of_another_configuration_is_refused_naming_the_key(store, key, change):
    SmallRun().fit(store)
    other = FitConfig.model_validate({**CONFIG.model_dump(), **change})
    with pytest.raises(UsageError, match=rf"small/k: it was made with {key} \S+, this run has") as error:
        SmallRun(other).fit(store)
    assert "\n" not in str(error.value)


def test_checkpoint_when_only_the_runtime_changed_then_the_run_goes_on(store):
    SmallRun().fit(store)
    changed = {"checkpoint_seconds": 1e9, "runtime": {**CONFIG.runtime.model_dump(), "recompute": 1}}
    run = SmallRun(FitConfig.model_validate({**CONFIG.model_dump(), **changed}))
    run.fit(store)
    assert run.calls == 0


def test_checkpoint_of_another_model_is_refused_naming_the_weight(store):
    SmallRun().fit(store)
    with pytest.raises(
        UsageError, match=r"another model: enter.weight is of shape \(15, 4\), expected \(16, 4\)"
    ):
        SmallRun(model=Residual(width=16)).fit(store)
    with pytest.raises(UsageError, match="another model: weight is absent"):
        SmallRun(model=nn.Linear(4, 1)).fit(store)


def test_run_that_was_killed_goes_on_to_the_very_weights_of_one_that_was_not(tmp_path):
    step = random.SystemRandom().randint(1, CONFIG.steps)
    whole, store = SmallRun(), Store(str(tmp_path / "killed"))
    expected = whole.fit(Store(str(tmp_path / "whole")))
    assert start(store, "--at", str(step), "kill").returncode == -signal.SIGKILL, step
    resumed = SmallRun()
    assert resumed.fit(store) == expected
    assert resumed.calls == CONFIG.steps - (step - 1) // 5 * 5
    assert all(torch.equal(resumed.weights()[name], weight) for name, weight in whole.weights().items())
    logs = [Store(str(tmp_path / name)).get_mark("small/k/tensorboard/learning/events.tfevents")
            for name in ("whole", "killed")]  # fmt: skip
    assert logs[0] == logs[1]


def test_run_that_was_terminated_exits_with_143(store):
    assert start(store, "--at", "7", "terminate").returncode == 143
    assert Checkpoints(context(store)).load()[1].step == 7


def stop_at(store: Store, step: int) -> None:
    """Leave a checkpoint at `step`."""
    run = SmallRun()
    run.at[step] = "terminate"
    with pytest.raises(SystemExit):
        run.fit(store)


def assert_full(message: str, store: Store, step: int) -> None:
    assert f"no space left in store {store.root}; the one of step {step} is kept. Make room" in message
    assert Checkpoints(context(store)).load()[1].step == step
    assert not [path for path in Path(store.root).rglob("*") if path.name.startswith(".")]


def no_large_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_checkpoint_when_no_file_can_grow_then_the_one_before_is_kept(store):
    stop_at(store, 12)
    assert_full(start(store, preexec_fn=no_large_files).stderr.strip().splitlines()[-1], store, 12)


def test_checkpoint_when_the_disk_is_full_then_the_one_before_is_kept_and_the_run_can_go_on(tmp_path):
    mount = shutil.which("mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mount or subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]).returncode:
        pytest.skip("this user cannot mount a small disk")
    try:
        store = Store(str(disk / "store"))
        stop_at(store, 12)
        room = os.statvfs(disk)
        (disk / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize - 8192))
        with pytest.raises(UsageError) as error:
            SmallRun().fit(store)
        assert_full(str(error.value), store, 12)
        (disk / "filler").unlink()
        resumed = SmallRun()
        resumed.fit(store)
        assert resumed.calls == CONFIG.steps - 12
    finally:
        subprocess.run([shutil.which("umount"), str(disk)], check=True)
