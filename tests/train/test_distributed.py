"""Several processes that train one model, started by torchrun as a user starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import SPEC
from made_latents import made_latents
from safetensors.torch import load
from small_run import CONFIG, SmallRun, context

from veo_core.records.manifest import Manifest
from veo_core.stage import Context, read_manifest
from veo_core.storage import Store
from veo_core.train import base
from veo_core.train.checkpoint import Checkpoints

ROOT = Path(__file__).parents[2]
TINY = {
    "steps": 20, "batch": 4, "log_every": 5, "warmup": 2, "text_length": 8,
    "width": 32, "depth": 2, "heads": 2,
    "runtime": {"accelerator": "cpu", "bfloat16": False},
}  # fmt: skip


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine, which meet at a free port."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)


def files_of(manifest: Manifest, store: Store) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    lines = store.get_bytes(manifest.files["history"]).decode().splitlines()
    return load(store.get_bytes(manifest.files["weights"])), [json.loads(line) for line in lines]


@pytest.mark.thorough
def test_base_model_trained_by_two_processes_equals_that_of_one(tmp_path, store):
    latents = made_latents(store)
    alone = base.run(
        latents=latents,
        config=base.BaseTraining.model_validate(TINY),
        context=Context(stage="base", store=store, seed=5, key="alone", workers=1),
    )
    (tmp_path / "latents.json").write_bytes(latents.to_bytes())
    result = torchrun(
        "-m", "veo_core.train.base", "--root", store.root, "--seed", "5", "--config", json.dumps(TINY),
        "--latents", str(tmp_path / "latents.json"), "--latents-digest", latents.digest,
        "--manifest", str(tmp_path / "base.json"),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    together = read_manifest(tmp_path / "base.json")
    expected, rows = files_of(alone, store)
    found, found_rows = files_of(together, store)
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, atol=1e-4, rtol=0, msg=lambda m, n=name: f"{n}: {m}")
    for row, other in zip(rows, found_rows, strict=True):
        assert other == pytest.approx(row, abs=1e-4)
    assert together.metrics == pytest.approx(alone.metrics, abs=1e-4)
    assert result.stderr.count("s a step") == 1  # the first process alone tells


@pytest.mark.slow
def test_latents_and_clips_shared_by_two_processes_equal_those_of_one(tmp_path, store, dataset, trained):
    inputs = {"dataset": dataset, **trained}
    for name, manifest in inputs.items():
        (tmp_path / f"{name}.json").write_bytes(manifest.to_bytes())
    runtime = {"accelerator": "cpu", "bfloat16": False}
    sampler = {"steps": 2}
    stages = {
        "veo_core.train.encode_latents": (
            ["dataset", "video_vae", "audio_vae"],
            {"clip_spec": SPEC, "keep_frames": 2, "runtime": runtime},
        ),
        "veo_core.generate.generate": (
            ["video_vae", "audio_vae", "latents", "base", "upsampler"],
            {"seen": 2, "held_out": 1, "two_objects": 0, "image_to_video": 0, "sampler": sampler}
            | {"batch": 1, "runtime": runtime},  # kernels round by the size of a batch
        ),
    }
    for module, (names, config) in stages.items():
        made = []
        for start in (lambda *line: subprocess.run([sys.executable, *line], env=ENVIRONMENT), torchrun):
            arguments = ["-m", module, "--root", store.root, "--config", json.dumps(config)]
            for name in names:
                arguments += [f"--{name.replace('_', '-')}", str(tmp_path / f"{name}.json")]
            path = tmp_path / f"{module}-{len(made)}.json"
            result = start(*arguments, "--manifest", str(path))
            assert result.returncode == 0, result
            made.append(read_manifest(path))
        assert made[0] == made[1]


@pytest.mark.thorough
def test_run_goes_on_in_another_number_of_processes(tmp_path):
    """Steps 1 to 7 in one process, to 14 in two, the rest in one again."""
    whole, store = SmallRun(), Store(str(tmp_path / "stopped"))
    expected = whole.fit(Store(str(tmp_path / "whole")))
    first = SmallRun()
    first.at[7] = "terminate"
    with pytest.raises(SystemExit):
        first.fit(store)
    program = str(Path(__file__).with_name("small_run.py"))
    result = torchrun(program, store.root, CONFIG.model_dump_json(), "--at", "7", "terminate")
    assert result.returncode != 0
    assert "exitcode  : 143" in result.stderr
    _, checkpoint = Checkpoints(context(store)).load()
    assert (checkpoint.step, len(checkpoint.shards)) == (14, 2)
    resumed = SmallRun()
    history = resumed.fit(store)
    assert resumed.calls == CONFIG.steps - 14
    for row, other in zip(expected, history, strict=True):
        assert other == pytest.approx(row, abs=1e-4)
    for name, weight in whole.weights().items():
        torch.testing.assert_close(resumed.weights()[name], weight, atol=1e-4, rtol=0)
