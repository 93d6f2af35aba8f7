"""The model that a server is started with."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import fsspec

from veo_core.errors import UsageError
from veo_core.generate.pipeline import Generator
from veo_core.registry.generator import generator_of
from veo_core.registry.local import load
from veo_core.storage import Store
from veo_core.storage.access import access_to


@dataclass(frozen=True)
class ServedModel:
    """A loaded model. name: NAME@VERSION, or the name of an exported folder."""

    name: str
    generator: Generator


def load_model(reference: str, root: str) -> ServedModel:
    """A registered model, or one that `veo export model` wrote to a folder.

    Args:
        reference: NAME@VERSION, NAME@default, a folder, or the URI of one.
        root: the store of the registry; a folder needs none.

    Raises:
        UsageError: there is no such model, or a file of it is missing, damaged or of another configuration.
    """
    return _exported(reference) if _is_folder(reference) else _registered(reference, root)


def _registered(reference: str, root: str) -> ServedModel:
    store = Store(root, written=False)
    entry = load(store, reference)
    return ServedModel(entry.reference, generator_of(entry, store))


def _exported(reference: str) -> ServedModel:
    from veo_core.export.folder import load_folder  # imports diffusers, which registered models do without

    name = reference.rstrip("/").rpartition("/")[2]
    if "://" not in reference:
        return ServedModel(name, load_folder(Path(reference)))
    with tempfile.TemporaryDirectory(prefix="veo-model-") as folder:
        _download(reference.rstrip("/"), folder)
        return ServedModel(name, load_folder(Path(folder)))


def _is_folder(reference: str) -> bool:
    return "://" in reference or Path(reference).is_dir()


def _download(uri: str, folder: str) -> None:
    try:
        files, base = fsspec.core.url_to_fs(uri)
        with access_to(f"model {uri}"):
            files.get(f"{base}/", f"{folder}/", recursive=True)
    except (ImportError, ValueError, FileNotFoundError) as error:
        raise UsageError(f"model {uri}: cannot be read: {error}") from None
