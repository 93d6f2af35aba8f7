"""Products are in bfloat16 where the device is made for it, or as the recipe says."""

from pathlib import Path

import pytest
import torch

from veo_core.train.muon import StackedMuon
from veo_core.train.runtime import Runtime, RuntimeConfig, multiplies_bfloat16


def product(config: RuntimeConfig) -> torch.Tensor:
    with Runtime(config).autocast():
        return torch.ones(2, 2) @ torch.ones(2, 2)


@pytest.mark.parametrize(("chosen", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_recipe_chooses(chosen, dtype):
    assert product(RuntimeConfig(accelerator="cpu", bfloat16=chosen)).dtype == dtype


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="needs the kernel's word for what the CPU can")
def test_a_processor_without_bfloat16_multiplies_in_float32():
    flags = set(Path("/proc/cpuinfo").read_text().split())
    able = bool(flags & {"avx512_bf16", "amx_bf16"})
    assert multiplies_bfloat16("cpu") == able
    assert product(RuntimeConfig(accelerator="cpu")).dtype == (torch.bfloat16 if able else torch.float32)


def test_muon_moves_alike_in_either_format(monkeypatch):
    moved = []
    for able in (True, False):
        monkeypatch.setattr("veo_core.train.muon.multiplies_bfloat16", lambda device, able=able: able)
        generator = torch.Generator().manual_seed(3)
        weight = torch.nn.Parameter(torch.zeros(24, 48))
        weight.grad = torch.randn(24, 48, generator=generator)
        StackedMuon([weight], lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw").step()
        moved.append(weight.detach())
    assert moved[1].norm() > 0
    assert (moved[0] - moved[1]).norm() < 0.02 * moved[1].norm()
