"""From a watermark back to the registry: which registered models have a 16-bit id."""

from veo_core.generate.identity import model_id_of
from veo_core.registry.local import entries
from veo_core.storage import Store


def models_with_id(store: Store, model_id: int) -> list[str]:
    """References of the registered models whose clips carry this id, in the order of registration.

    Raises:
        UsageError: an entry of the registry is missing or was altered.
    """
    return [
        entry.reference for entry in entries(store) if model_id_of(entry.description.files.digest) == model_id
    ]
