"""Pretrained models of others: a folder or URI in the layout of diffusers and transformers, opened safely.

Weights are safetensors only, nothing is ever unpickled, and no code of a model's folder is run.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import fsspec
import torch
from safetensors import SafetensorError

from veo_core.errors import UsageError
from veo_core.storage.access import access_to

ModelT = TypeVar("ModelT")

_WANTED = {".json", ".safetensors", ".txt", ".model"}
"""What is fetched of a folder: configurations, weights, tokenizers. Pickles and code stay where they are."""


@contextlib.contextmanager
def opened_folder(path: str, *, where: str) -> Iterator[Path]:
    """A local folder with the files of a model: the one that `path` names, or a copy of a URI's.

    Raises:
        UsageError: there is no such folder, or no access to it.
    """
    if "://" not in path:
        folder = Path(path)
        if not folder.is_dir():
            raise UsageError(f"{where}: {path} is no folder; name the one with the model's config.json")
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="veo-model-") as temporary:
        with access_to(f"{where}: {path}"):
            try:
                fs, base = fsspec.core.url_to_fs(path)
                files = [file for file in fs.find(base) if PurePosixPath(file).suffix in _WANTED]
            except (ImportError, ValueError, FileNotFoundError) as error:
                raise UsageError(f"{where}: {path} cannot be read: {error}") from None
            if not files:
                raise UsageError(f"{where}: {path} holds no model; name the folder with its config.json")
            for file in files:
                target = Path(temporary) / PurePosixPath(file).relative_to(base)
                target.parent.mkdir(parents=True, exist_ok=True)
                fs.get_file(file, str(target))
        yield Path(temporary)


def component(folder: Path, name: str, *, where: str) -> Path:
    """The folder of one model: the sub-folder `name` of a pipeline's folder, or the folder itself.

    Raises:
        UsageError: it has no configuration, or no safetensors.
    """
    found = folder / name if (folder / name).is_dir() else folder
    if not (found / "config.json").is_file():
        raise UsageError(f"{where}: {found} holds no config.json, nor a sub-folder {name} that does")
    if not any(found.glob("*.safetensors")):
        raise UsageError(
            f"{where}: {found} holds no .safetensors; weights of another format are pickles, which are never "
            "loaded: save the model anew with safe_serialization=True"
        )
    return found


def from_folder(model: Any, folder: Path, name: str, *, where: str) -> Any:
    """A model of diffusers in float32, from a pipeline's sub-folder `name` or from its own folder.

    Raises:
        UsageError: its files are missing, damaged or of another model.
    """
    place = component(folder, name, where=where)
    return complete(
        lambda: model.from_pretrained(
            place,
            local_files_only=True,
            use_safetensors=True,
            torch_dtype=torch.float32,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        ),
        where=where,
    )


def read_config(folder: Path, *, where: str) -> dict[str, Any]:
    """The configuration of a model's folder.

    Raises:
        UsageError: it is no JSON object.
    """
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{where}: {folder}/config.json is not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise UsageError(f"{where}: {folder}/config.json is no JSON object")
    return config


def loaded(load: Callable[[], ModelT], *, where: str) -> ModelT:
    """What `load` gives.

    Raises:
        UsageError: its files are missing, damaged or of another model.
    """
    try:
        return load()
    except (OSError, ValueError, RuntimeError, TypeError, LookupError, ImportError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{where}: cannot be loaded: {reason[:300]}") from None


def complete(load: Callable[[], tuple[Any, dict[str, Any]]], *, where: str) -> Any:
    """The model that `load` gives with its loading info, where every weight came from its files.

    Raises:
        UsageError: files are missing, damaged or of another model, or a weight of the model is in none.
    """
    model, info = loaded(load, where=where)
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise UsageError(
            f"{where}: the weights belong to another configuration: {missing[0]} and "
            f"{len(missing) - 1} more are not in them"
        )
    return model


def plain_config(config: Any) -> dict[str, Any]:
    """The values of diffusers' configuration that rebuild the model, as JSON keeps them."""
    values = {key: value for key, value in dict(config).items() if not key.startswith("_")}
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain
