"""Models on disk: weights as safetensors, configuration as JSON; nothing is ever unpickled."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from veo_core.errors import UsageError
from veo_core.records.base import Record, canonical_json
from veo_core.records.files import FileRef
from veo_core.storage import Store


class ConfiguredModel(Protocol):
    """A module built from the configuration that it owns."""

    config: Any

    def state_dict(self) -> dict[str, Tensor]: ...


ModelT = TypeVar("ModelT", bound=nn.Module)


def save_model(model: ConfiguredModel, store: Store) -> dict[str, FileRef]:
    """Store a model; the manifest's `weights` and `config` files."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return {
        "weights": store.put_bytes(save(weights), ".safetensors"),
        "config": store.put_bytes(canonical_json(model.config.model_dump(mode="json")), ".json"),
    }


def load_model(model: type[ModelT], config: bytes, weights: bytes, *, where: str) -> ModelT:
    """Build a model from the bytes of its configuration and weights, in evaluation mode.

    Args:
        model: a class with a nested `Config` record.
        config: JSON.
        weights: safetensors.
        where: what the error message calls the files.

    Raises:
        UsageError: the weights are damaged or belong to another configuration.
    """
    config_type: type[Record] = model.Config  # type: ignore[attr-defined]
    built = model(config_type.parse(_json(config, where), where=f"{where} config"))
    try:
        tensors = load(weights)
    except SafetensorError as error:
        raise UsageError(f"{where} weights: not a safetensors file: {error}") from None
    expected = {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != expected:
        name = min(name for name in expected | found if expected.get(name) != found.get(name))
        raise UsageError(
            f"{where} weights: they belong to another configuration: {name} has shape {found.get(name)}, "
            f"expected {expected.get(name)}"
        )
    built.load_state_dict(tensors)
    return built.eval().requires_grad_(False)


def load_stored(model: type[ModelT], files: dict[str, FileRef], store: Store, *, where: str) -> ModelT:
    """`load_model` from a training stage's manifest files.

    Raises:
        UsageError: a file is missing or damaged, or the weights belong to another configuration.
    """
    config, weights = (stored_bytes(name, files, store, where=where) for name in ("config", "weights"))
    return load_model(model, config, weights, where=where)


def stored_bytes(name: str, files: dict[str, FileRef], store: Store, *, where: str) -> bytes:
    """The bytes of a model's file `name`.

    Raises:
        UsageError: it is missing or damaged.
    """
    if name not in files:
        raise UsageError(f"{where}: its stage published no {name}; run the stage again")
    try:
        return store.get_bytes(files[name])
    except UsageError as error:
        raise UsageError(f"{where} {name}: {error}; run its stage again") from None


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _json(data: bytes, where: str) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise UsageError(f"{where} config: not valid JSON: {error}") from None


def digest_of_weights(parts: Mapping[str, nn.Module]) -> str:
    """sha256 over all parameters and buffers: the digest of a model that was read from no files."""
    total = hashlib.sha256()
    for part, model in sorted(parts.items()):
        for name, tensor in sorted(model.state_dict().items()):
            total.update(f"{part}.{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            plain = tensor.detach().cpu().contiguous().flatten()
            total.update(plain.view(torch.uint8).numpy())
    return total.hexdigest()
