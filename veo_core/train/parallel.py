"""A model made ready to train: activation recomputation, then compilation, then sharding, in place.

The order is torchtitan's. All three work on the blocks that a model lists as `model.blocks`, and none changes
what the model computes or the names of its weights.

The classes of sharded models and tensors take seconds to import, which one process alone need not spend: they
are told by a method that no other model or tensor has.
"""

import functools
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from veo_core.errors import UsageError
from veo_core.train.runtime import Runtime

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The repeated blocks that a model lists as `blocks`; none where it lists none."""
    return list(getattr(model, "blocks", ()))


def parallelize(model: nn.Module, runtime: Runtime) -> None:
    """Recompute, compile and shard `model` as the runtime's configuration and its processes ask.

    Raises:
        UsageError: the model has no blocks to recompute, or is to be compiled whole over several processes.
    """
    config, blocks = runtime.config, blocks_of(model)
    if config.recompute:
        if not blocks:
            raise UsageError(f"runtime.recompute: {type(model).__name__} has no blocks; set it to 0")
        for block in blocks[:: config.recompute]:
            _replace_forward(block, functools.partial(checkpoint, block.forward, use_reentrant=False))
    if runtime.compiles:
        whole = config.compile_region == "model" or not blocks
        if whole and runtime.world > 1:
            raise UsageError("runtime.compile_region: several processes compile by blocks only")
        for part in [model] if whole else blocks:
            _replace_forward(part, torch.compile(part.forward, fullgraph=True, dynamic=False))
    elif config.compile and runtime.accelerator == "cpu" and runtime.first:
        print("runtime.compile: there is no C++ compiler with Python's headers; runs without compiling")
    if runtime.world > 1:
        _shard(model, blocks, runtime)
    elif runtime.accelerator == "xla":
        runtime.spread(model.parameters())


def _replace_forward(module: nn.Module, forward: Any) -> None:
    """Put `forward` in place of the module's own, so that its hooks stay outside and names do not change."""
    module.forward = forward


def _shard(model: nn.Module, blocks: list[nn.Module], runtime: Runtime) -> None:
    """FSDP2: each process keeps a slice of every weight, and gathers a block's while it is at work.

    On CUDA the blocks gather bfloat16; gradients are summed in float32. What is outside the blocks, such as
    noise levels and the output, stays in float32.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(runtime.accelerator, (runtime.world,))
    half = torch.bfloat16 if runtime.bfloat16 and runtime.accelerator == "cuda" else None
    policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for block in blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh)


def is_sharded(tensor: Tensor) -> TypeGuard["DTensor"]:
    """Whether a process has but a slice of a tensor."""
    return hasattr(tensor, "full_tensor")


def _is_sharded_model(model: nn.Module) -> TypeGuard["FSDPModule"]:
    return hasattr(model, "unshard")


def sync_gradients(model: nn.Module, wanted: bool) -> None:
    """Whether the next backward pass sums gradients over processes; only the last of a step need do so."""
    if _is_sharded_model(model):
        model.set_requires_gradient_sync(wanted)


def reshard(model: nn.Module) -> None:
    """Forget gathered weights, which a forward pass without a backward pass leaves, before they change."""
    if _is_sharded_model(model):
        model.reshard()


def gather(model: nn.Module) -> None:
    """Keep the weights outside the blocks whole from now on: methods besides `forward` can be called."""
    if _is_sharded_model(model):
        model.set_reshard_after_forward(False, recurse=False)
        model.unshard()


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's state dict with whole tensors; all processes must ask."""
    return {name: whole(tensor) for name, tensor in model.state_dict().items()}


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor as a whole one; others as they are."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """This process's slice of a sharded tensor, sharing its memory; others as they are."""
    return tensor.to_local() if is_sharded(tensor) else tensor


def slice_like(value: Tensor, tensor: Tensor) -> Tensor:
    """This process's slice of `value`, if that is whole and shaped as `tensor`, which is sharded; others as
    they are. FSDP2 cuts the first dimension into equal parts, the last of which may be shorter or empty.
    """
    if not is_sharded(tensor) or value.shape != tensor.shape:
        return value
    mesh = tensor.device_mesh
    size = -(-len(value) // mesh.size())
    return value[mesh.get_local_rank() * size :][:size]


def sharded_like(piece: Tensor, tensor: Tensor) -> Tensor:
    """`piece`, a process's slice, as a tensor sharded like `tensor`; as it is where that is not sharded."""
    if not is_sharded(tensor) or piece.dim() == 0:
        return piece
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(
        piece, tensor.device_mesh, tensor.placements, shape=tensor.shape, stride=tensor.stride()
    )
