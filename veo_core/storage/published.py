"""Records that a stage published as files of its manifest."""

from typing import TypeVar

from pydantic import ValidationError

from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.records.manifest import Manifest
from veo_core.storage.store import Store

RecordT = TypeVar("RecordT", bound=Record)


def published(manifest: Manifest, name: str, record: type[RecordT], store: Store) -> RecordT:
    """The record in a manifest's file `name`.

    Raises:
        UsageError: the manifest has no such file, it is gone or altered, or is of another version.
    """
    if name not in manifest.files:
        raise UsageError(
            f"the manifest of stage {manifest.stage!r} holds no file {name!r}; run that stage again"
        )
    try:
        return record.model_validate_json(store.get_bytes(manifest.files[name]))
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise UsageError(f"{name} of stage {manifest.stage!r} is of another version: {problem}") from None


def published_if_any(manifest: Manifest, name: str, record: type[RecordT], store: Store) -> RecordT | None:
    """As `published`, but None where the manifest has no such file, as those of earlier versions may not."""
    return published(manifest, name, record, store) if name in manifest.files else None
