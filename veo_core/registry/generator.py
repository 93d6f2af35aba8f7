"""A registered model, ready to generate."""

from veo_core.generate.identity import ModelIdentity
from veo_core.generate.pipeline import Generator
from veo_core.registry.local import entry_digest, load
from veo_core.registry.records import ModelEntry
from veo_core.storage import Store
from veo_core.train.runtime import RuntimeConfig


def load_generator(store: Store, reference: str, runtime: RuntimeConfig | None = None) -> Generator:
    """Build the generator of a registered model from verified files.

    Args:
        store: the store that holds the registry.
        reference: `name@version`, `name@default` or `name@latest`.
        runtime: device and precision; chosen by what is there where None.

    Raises:
        UsageError: no such model, or a file of it is missing or was altered.
    """
    return generator_of(load(store, reference), store, runtime)


def generator_of(entry: ModelEntry, store: Store, runtime: RuntimeConfig | None = None) -> Generator:
    """The same of a registry entry that was read already."""
    description, identity = entry.description, identity_of(entry, store)
    return Generator.load(description.files, store, runtime, identity, description.drawing)


def identity_of(entry: ModelEntry, store: Store) -> ModelIdentity:
    """What marks and manifests call a registered model."""
    return ModelIdentity(entry.description.files.digest, entry.reference, entry_digest(store, entry))
