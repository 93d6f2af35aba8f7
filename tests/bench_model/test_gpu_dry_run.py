"""The scripts for accelerators, run for real on a CPU at a tiny size."""

import pytest

from benchmarks.gpu.__main__ import TINY, parser, sections
from benchmarks.gpu.training import measure
from benchmarks.report import Row
from veo_core.models.flops import training_flops, transformer_flops
from veo_core.train.runtime import RuntimeConfig

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Row]]:
    command = "--sizes tiny --accelerator cpu --steps 2 --no-compile --sections training sampling stages"
    command += " --clips 8 --picture-steps 2 --picture-batch 2 --base-steps 2"
    chosen = sections(parser().parse_args(command.split()), 1)
    return {name: {row.metric: row for row in rows} for name, rows in chosen}


def test_dry_run_gives_throughput_flops_memory_and_sampling_time(found):
    timed = found["tiny training"] | found["tiny sampling"]
    assert [metric.removeprefix("tiny, batch 2") for metric in timed] == [
        ", all activations kept: training",
        ", all activations kept: model FLOPs",
        ", all activations kept: peak memory",
        ", activation checkpointing: training",
        ", activation checkpointing: model FLOPs",
        ", activation checkpointing: peak memory",
        ": a clip in 16 steps with guidance",
    ]
    assert all(row.value > 0 for row in timed.values())


@pytest.mark.parametrize("size", ["base", "full"])
def test_dry_run_measures_the_autoencoder_on_footage_of_its_size(found, size):
    values = {metric: row.value for metric, row in found["tiny autoencoder"].items()}
    label = f"tiny, {size} size, after 2 steps of 2"
    assert 0 < values[f"{label}: PSNR of pictures"] < 30  # after two steps
    assert values[f"{label}: values to a latent value"] == TINY.clip.frames * 3 / (16 * 3) * 4**2
    assert f"{label}: shape, detected after the autoencoders" in values


def test_dry_run_gives_the_trainers_own_account(found):
    speed = found["tiny train_base"]
    assert speed["tiny, 2 steps of 2: training"].value > 0
    assert 0 <= speed["tiny, 2 steps of 2: waiting for batches"].value < 1


def test_flops_a_second_are_those_of_the_clips_a_second():
    speed = measure(TINY, RuntimeConfig(accelerator="cpu", bfloat16=False), batch=2, steps=2, seed=0)
    by_hand = speed.clips_per_second * training_flops(transformer_flops(TINY.transformer())) / 1e12
    assert speed.tflops == pytest.approx(by_hand)
    assert speed.mfu is None  # the peak of a CPU is not known
