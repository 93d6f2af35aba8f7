"""What `--model` may name: a registered model, a run, or a folder that `veo export model` wrote."""

from pathlib import Path
from typing import NamedTuple

from veo_core.errors import UsageError
from veo_core.generate.identity import ModelIdentity
from veo_core.generate.pipeline import Generator, model_files
from veo_core.lineage.evidence import gather
from veo_core.records.drawing import Drawing
from veo_core.records.generated import ModelFiles
from veo_core.registry.generator import identity_of
from veo_core.registry.local import list_models, load
from veo_core.runner import runs
from veo_core.storage import Store
from veo_core.storage.published import published_if_any
from veo_core.train.runtime import RuntimeConfig

_PARTS = ("video_vae", "audio_vae", "base", "upsampler")


class StoredModel(NamedTuple):
    """What a generator is loaded from: files, what the model is called, and how its evaluated clips were
    drawn, None where no clips were or an earlier version drew them."""

    files: ModelFiles
    identity: ModelIdentity
    drawing: Drawing | None


def open_model(
    reference: str, *, root: str, runs_dir: Path, runtime: RuntimeConfig | None = None
) -> Generator:
    """The generator that a reference names.

    Args:
        reference: as in `find_model`, or a folder that `veo export model` wrote.
        root: the store of registry and runs; a folder needs none.
        runs_dir: the folder of the runs.

    Raises:
        UsageError: there is no such model, or a file of it is missing, damaged or of another configuration.
    """
    if Path(reference).is_dir():
        from veo_core.export.folder import load_folder  # imports diffusers, which other references do without

        return load_folder(Path(reference), runtime)
    store = Store(root)
    found = find_model(reference, store=store, runs_dir=runs_dir)
    return Generator.load(found.files, store, runtime, found.identity, found.drawing)


def find_model(reference: str, *, store: Store, runs_dir: Path) -> StoredModel:
    """What is stored of a model: `NAME@VERSION`, `NAME` for the version promoted last, or a run that trained
    one.

    Raises:
        UsageError: there is no such model.
    """
    names = sorted({line.name for line in list_models(store)})
    if "@" in reference or reference in names:
        entry = load(store, reference if "@" in reference else f"{reference}@default")
        return StoredModel(entry.description.files, identity_of(entry, store), entry.description.drawing)
    if reference == runs.LATEST or any(runs_dir.glob(f"{reference}*/run.json")):
        return _of_run(runs.run_folder(runs_dir, reference), store)
    raise UsageError(
        f"model {reference!r}: no registered model, no run in {runs_dir}, and no folder has this name; "
        f"registered: {', '.join(names) or 'none'}"
    )


def _of_run(folder: Path, store: Store) -> StoredModel:
    evidence = gather(folder, store)
    parts = {part: evidence.last(part) for part in _PARTS}
    missing = [part for part, manifest in parts.items() if manifest is None]
    if missing:
        raise UsageError(f"run {folder.name} has trained no {missing[0]}: it holds no whole model")
    files = model_files(**{part: manifest for part, manifest in parts.items() if manifest is not None})
    generated = evidence.last("generate")
    drawing = published_if_any(generated, "drawing", Drawing, store) if generated else None
    return StoredModel(files, ModelIdentity(files.digest), drawing)
