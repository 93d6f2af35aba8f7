"""The one module that knows accelerators: which device, which number format, when to compile and wait."""

import contextlib
import importlib.util
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from veo_core.errors import UsageError
from veo_core.records.base import Record

Accelerator = Literal["auto", "cpu", "cuda", "xla", "tpu"]
ModuleT = TypeVar("ModuleT", bound=nn.Module)


class RuntimeConfig(Record):
    """Where and how a model runs."""

    accelerator: Accelerator = Field(default="auto", description="auto picks cuda, then tpu, xla, cpu")
    bfloat16: bool = Field(default=True, description="products in bfloat16; weights stay in float32")
    compile: bool = Field(default=False, description="torch.compile; pays off in long runs on accelerators")


class Runtime:
    """An accelerator in use.

    Raises:
        UsageError: the named accelerator is not there.
    """

    def __init__(self, config: RuntimeConfig) -> None:
        self.config = config
        name = _detect() if config.accelerator == "auto" else config.accelerator
        self.accelerator = name
        if name == "cuda" and not torch.cuda.is_available():
            raise UsageError("runtime.accelerator: no CUDA device is there; use auto or cpu")
        if name == "xla":
            self.device = _xla_device()
        elif name == "tpu":
            self.device = _tpu_device()
        else:
            self.device = torch.device(name)
        if name == "cpu":
            torch.set_flush_denormal(True)  # denormal products are a hundred times slower

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context of forward passes."""
        if not self.config.bfloat16:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def place(self, model: ModuleT) -> ModuleT:
        """Move a model to the device; convolutions keep channels last where that is faster."""
        model = model.to(self.device)
        if self.accelerator in ("cpu", "cuda"):
            for module in model.modules():
                if isinstance(module, nn.Conv3d):
                    module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        return model

    def compile(self, model: ModuleT) -> ModuleT:
        """Compile a model in place where the configuration asks for it; XLA always traces."""
        if self.config.compile and self.accelerator != "xla":
            model.compile(fullgraph=True, dynamic=False)
        return model

    def send(self, tensor: Tensor) -> Tensor:
        """A CPU tensor on the device."""
        return tensor.to(self.device)

    def step_done(self) -> None:
        """Mark the end of a training step; XLA compiles and runs what it traced since the last one."""
        if self.accelerator == "xla":
            import torch_xla  # type: ignore[import-not-found]

            torch_xla.sync()

    def fetch(self, scalars: Mapping[str, Tensor]) -> dict[str, float]:
        """Scalars of the device as numbers; waits for the device."""
        return {name: float(value) for name, value in scalars.items()}


def _detect() -> Accelerator:
    if torch.cuda.is_available():
        return "cuda"
    current = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if current is not None and current.type == "tpu":
        return "tpu"
    return "xla" if importlib.util.find_spec("torch_xla") else "cpu"


def _xla_device() -> torch.device:
    if importlib.util.find_spec("torch_xla") is None:
        raise UsageError("runtime.accelerator: torch_xla is not installed; use the train-tpu image")
    import torch_xla

    device: torch.device = torch_xla.device()
    return device


def _tpu_device() -> torch.device:
    if importlib.util.find_spec("torch_tpu") is None:
        raise UsageError("runtime.accelerator: torch_tpu is not installed; use xla, auto or cpu")
    return torch.device("tpu")
