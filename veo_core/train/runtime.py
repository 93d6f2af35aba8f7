"""The one module that knows accelerators and processes: device, number format, sharing of work, waiting.

Accelerators are `cpu`, `cuda`, `xla` (torch-xla, for TPUs; runs on a CPU for tests) and `tpu` (TorchTPU, the
successor of torch-xla). Torch-xla is driven as one program over all devices (SPMD), with one process a host;
the others as one process a device. Both are started by `veo_core.launch.start` or torchrun. `tpu` is wired to
TorchTPU's documented interface; neither it nor several hosts of torch-xla were run on a TPU.
"""

import atexit
import contextlib
import functools
import importlib.util
import os
import resource
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from pydantic import Field
from torch import Tensor, nn

from veo_core.errors import UsageError
from veo_core.records.base import Record

Accelerator = Literal["auto", "cpu", "cuda", "xla", "tpu"]
ModuleT = TypeVar("ModuleT", bound=nn.Module)

# Gloo carries what stays on the CPU, such as whether a process was asked to end.
_BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl", "tpu": "cpu:gloo,tpu:tpu_dist"}

# Dense bfloat16 FLOP/s of a device, from its maker's data sheet, by a part of the device's name.
_PEAK_FLOPS = {
    "B200": 2.25e15,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
}


class RuntimeConfig(Record):
    """Where and how a model runs."""

    accelerator: Accelerator = Field(default="auto", description="auto picks cuda, then tpu, xla, cpu")
    bfloat16: bool | None = Field(
        default=None,
        description="products in bfloat16, weights stay in float32; left out: where the device has those",
    )
    compile: bool = Field(
        default=False, description="torch.compile, where the machine can: on a CPU with a C++ compiler"
    )
    compile_region: Literal["blocks", "model"] = Field(
        default="blocks", description="compile each block, which all share one graph, or the model as a whole"
    )
    recompute: int = Field(
        default=0,
        ge=0,
        description="every n-th block computes its activations again in the backward pass; 0 for none",
    )


class Runtime:
    """An accelerator in use, and this process's place among those that train together.

    Attributes:
        rank, world: this process and how many there are that share batches and weights, as torchrun started
            them. Under XLA each host's process has the whole of both: 0 of 1.
        devices: accelerators over all processes.

    Raises:
        UsageError: the named accelerator is not there.
    """

    def __init__(self, config: RuntimeConfig) -> None:
        self.config = config
        name = _detect() if config.accelerator == "auto" else config.accelerator
        self.accelerator = name
        if name == "cuda" and not torch.cuda.is_available():
            raise UsageError("runtime.accelerator: no CUDA device is there; use auto or cpu")
        self.rank, self.world = 0, 1
        together = int(os.environ.get("WORLD_SIZE", "1")) > 1
        if name == "xla":
            self.device = _xla_device()
            self.devices = _xla_devices()
            if together:
                _meet("gloo")  # the hosts, for what stays on the CPU
            return
        if name == "tpu" and importlib.util.find_spec("torch_tpu") is None:
            raise UsageError("runtime.accelerator: torch_tpu is not installed; use xla, auto or cpu")
        self.device = torch.device(name)
        if together:
            self._join(_BACKENDS[name])
        self.devices = self.world
        if name == "cpu":
            torch.set_flush_denormal(True)  # denormal products are a hundred times slower

    def _join(self, backend: str) -> None:
        """Meet the other processes, and take this one's device."""
        if self.accelerator == "cuda":
            self.device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(self.device)
        _meet(backend)
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and tells."""
        return is_first()

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context of forward passes."""
        if not self.bfloat16:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    @property
    def bfloat16(self) -> bool:
        """Whether products are in bfloat16: as configured, or where that is faster than float32."""
        if self.config.bfloat16 is not None:
            return self.config.bfloat16
        return multiplies_bfloat16(self.accelerator)

    @property
    def compiles(self) -> bool:
        """Whether models are compiled: asked for and possible here; XLA traces without being asked."""
        if not self.config.compile or self.accelerator == "xla":
            return False
        return self.accelerator != "cpu" or _builds_extensions()

    def place(self, model: ModuleT) -> ModuleT:
        """Move a model to the device; convolutions keep channels last where that is faster."""
        model = model.to(self.device)
        if self.accelerator in ("cpu", "cuda"):
            for module in model.modules():
                if isinstance(module, nn.Conv3d):
                    module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        return model

    def send(self, tensor: Tensor) -> Tensor:
        """A CPU tensor on the device."""
        return tensor.to(self.device, non_blocking=True)

    def shard(self, tensor: Tensor) -> Tensor:
        """This process's share of a global batch [b, ...] on the CPU, sent to the device: [b / world, ...].

        Under XLA the one process keeps the whole batch, laid over its devices.

        Raises:
            UsageError: the batch cannot be shared equally.
        """
        if len(tensor) % self.devices:
            raise UsageError(f"batch: {len(tensor)} clips cannot be shared equally by {self.devices} devices")
        if self.accelerator == "xla":
            return _laid_out(self.send(tensor), self.devices)
        return self.send(tensor.chunk(self.world)[self.rank])

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Lay tensors over XLA's devices by their first dimension; whole where it cannot be cut equally."""
        for tensor in tensors:
            if self.devices > 1 and tensor.dim():
                _laid_out(tensor, self.devices, cut=len(tensor) % self.devices == 0)

    def varying(self, number: float) -> float | Tensor:
        """A number that changes from step to step, for arithmetic on the device.

        XLA gets a scalar of the device. Scalars of the host are inputs of its program too, but equal ones are
        one input: where one meets another by chance, the program is another and is compiled anew. That holds
        for tensors without dimensions, so the number travels as a vector of one.
        """
        if self.accelerator != "xla":
            return number
        return torch.tensor([number]).to(self.device).squeeze(0)

    def to_host(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors on the CPU: copies of those that were elsewhere. Waits for the device.

        Tensors that lie over the XLA devices of one host are fetched in pieces and joined: fetched whole,
        each would be gathered by a program of its own, compiled every time.
        """
        if self.accelerator != "xla":
            return {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        import torch_xla  # type: ignore[import-not-found]

        torch_xla.sync(wait=True)
        return {name: _fetched(tensor.detach()) for name, tensor in tensors.items()}

    def step_done(self) -> None:
        """Mark the end of a training step; XLA compiles and runs what it traced since the last one."""
        if self.accelerator == "xla":
            import torch_xla

            torch_xla.sync()

    def fetch(self, scalars: Mapping[str, Tensor]) -> dict[str, float]:
        """Scalars of the device as numbers, the mean of all processes; waits for the device."""
        if self.world > 1:
            stacked = torch.stack([value.detach().float() for value in scalars.values()])
            dist.all_reduce(stacked)
            return dict(zip(scalars, (stacked / self.world).tolist(), strict=True))
        return {name: float(value) for name, value in scalars.items()}

    def any(self, flag: bool) -> bool:
        """Whether `flag` holds in any process; all must ask. Does not wait for the device."""
        if not dist.is_initialized():
            return flag
        answer = torch.tensor(int(flag))
        dist.all_reduce(answer, dist.ReduceOp.MAX)
        return bool(answer)

    def wait(self) -> None:
        """Return once all processes are here."""
        wait_for_all()

    def meeting(self) -> Callable[[], None]:
        """What returns once all processes have called it, if need be days apart; all ask for it at once."""
        if not dist.is_initialized():
            return lambda: None
        group = dist.new_group(backend="gloo", timeout=timedelta(days=30))
        return lambda: dist.barrier(group)

    def peak_flops(self) -> float | None:
        """Dense bfloat16 FLOP/s of one device; None where it is not known."""
        if self.accelerator != "cuda":
            return None
        name = torch.cuda.get_device_name(self.device)
        return next((flops for part, flops in _PEAK_FLOPS.items() if part in name), None)

    def peak_memory(self) -> int:
        """Most bytes held so far: of the CUDA device, else of the process."""
        if self.accelerator == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@functools.cache
def multiplies_bfloat16(accelerator: str) -> bool:
    """Whether a device has instructions for products in bfloat16.

    Of processors those with AVX512-BF16 or AMX have. On others they take 5 to 10 times as long as in float32.
    """
    if accelerator == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if accelerator == "cpu":
        # torch 2.9, which torch-xla needs, cannot say
        known: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return True


def is_first() -> bool:
    """Whether this process is the first, or the only one."""
    return not dist.is_initialized() or dist.get_rank() == 0


def wait_for_all() -> None:
    """Return once all processes are here."""
    if dist.is_initialized():
        dist.barrier()


def _builds_extensions() -> bool:
    """Whether TorchInductor finds what it builds its CPU kernels with."""
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    return shutil.which(compiler) is not None and Path(sysconfig.get_path("include"), "Python.h").exists()


def processes_here() -> int:
    """How many processes this machine runs a model with: one a device, and one for all of XLA's devices."""
    return torch.accelerator.device_count() if _detect() in ("cuda", "tpu") else 1


def _meet(backend: str) -> None:
    """Join the processes that were started together."""
    if not dist.is_initialized():
        dist.init_process_group(backend)
        atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


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
    import torch_xla.runtime  # type: ignore[import-not-found]

    torch_xla.runtime.use_spmd()
    device: torch.device = torch_xla.device()
    return device


def _xla_devices() -> int:
    import torch_xla.runtime

    return int(torch_xla.runtime.global_runtime_device_count())


def _fetched(tensor: Tensor) -> Tensor:
    import torch_xla.distributed.spmd as spmd  # type: ignore[import-not-found]
    import torch_xla.runtime

    laid = spmd.wrap_if_sharded(tensor)
    one_host = torch_xla.runtime.addressable_runtime_device_count() == _xla_devices()
    if laid is tensor or laid.sharding_type != spmd.ShardingType.TILED or not one_host:
        return tensor.cpu()
    joined = torch.empty(tensor.shape, dtype=tensor.dtype)
    for piece in laid.local_shards:
        joined[piece.indices] = piece.data
    return joined


@functools.cache
def _xla_mesh(devices: int) -> Any:
    import torch_xla.distributed.spmd as spmd

    return spmd.Mesh(list(range(devices)), (devices,), ("data",))


def _laid_out(tensor: Tensor, devices: int, *, cut: bool = True) -> Tensor:
    """`tensor` with its first dimension laid over the devices, or whole on each; XLA's partitioner adds the
    communication.
    """
    import torch_xla.distributed.spmd as spmd

    axes = ("data" if cut else None, *[None] * (tensor.dim() - 1))
    spmd.mark_sharding(tensor, _xla_mesh(devices), axes)
    return tensor
