"""The registry in the store: an append-only log of models.

Line k of the log is the mark `registry/k`. A model's version is one more than the lines that its name had
before, and the version `default` is the last that was promoted, so there is no index that could disagree with
the log. One registration runs at a time.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import count

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.evaluate.records import Promotion
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.records.files import FileRef
from veo_core.records.generated import ModelFiles
from veo_core.registry.records import ModelDescription, ModelEntry
from veo_core.storage import Store

NAME_PATTERN = r"^[a-z][a-z0-9-]{0,61}[a-z0-9]$"


class LogLine(Record):
    """One registration: the model, and the digest of its description."""

    name: str
    version: int
    content: str
    entry: FileRef
    promoted: bool = Field(default=True, description="whether it became the version `default` of its name")

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.version}"


def list_models(store: Store) -> list[LogLine]:
    """Every registered version, in the order of registration."""
    return list(_log(store))


def add(
    store: Store,
    description: ModelDescription,
    promotion: Callable[[ModelEntry | None], Promotion],
    card: Callable[[str, Promotion], str],
    ml_bom: Callable[[str], bytes],
) -> tuple[FileRef, ModelEntry]:
    """Register a model; one that is registered already keeps its version.

    Args:
        store: the store that holds the model's files and the registry.
        description: the model.
        promotion: judges the model against the version of its name that was promoted last, if there is one;
            other papers on the same generated clips are not what it is held against.
        card: gives the model card for the reference `name@version` and that verdict.
        ml_bom: gives the bill of materials, CycloneDX JSON, for it.

    Returns:
        The entry's file and the entry.
    """
    lines = list_models(store)
    mine = [line for line in lines if line.name == description.name]
    for line in mine:
        if line.content == description.digest:
            return line.entry, read_entry(store, line)
    version = len(mine) + 1
    reference = f"{description.name}@{version}"
    verdict = promotion(_promoted_before(store, mine, description))
    entry = ModelEntry(
        version=version,
        description=description,
        promotion=verdict,
        card=store.put_bytes(card(reference, verdict).encode(), ".md"),
        ml_bom=store.put_bytes(ml_bom(reference), ".cdx.json"),
    )
    ref = store.put_bytes(entry.to_bytes(), ".json")
    line = LogLine(
        name=description.name,
        version=version,
        content=description.digest,
        entry=ref,
        promoted=verdict.promote,
    )
    store.set_mark(_mark(len(lines) + 1), line.to_bytes())
    return ref, entry


def load(store: Store, reference: str) -> ModelEntry:
    """A registered model, after its entry, card, bill of materials, weights and configurations were verified.

    Args:
        store: the store that holds the registry.
        reference: `name@version`, `name@default` for the version promoted last, or `name@latest`.

    Raises:
        UsageError: no such model, or a file of it is missing or was altered.
    """
    entry = read_entry(store, find(store, reference))
    store.get_bytes(entry.card)
    if entry.ml_bom is not None:
        store.get_bytes(entry.ml_bom)
    for name in ModelFiles.model_fields:
        store.get_bytes(getattr(entry.description.files, name))
    return entry


def entries(store: Store) -> Iterator[ModelEntry]:
    """Every registered model, in the order of registration; only the entries themselves are verified.

    Raises:
        UsageError: an entry is missing or was altered.
    """
    return (read_entry(store, line) for line in _log(store))


def entry_digest(store: Store, entry: ModelEntry) -> str:
    """sha256 of a registered model's entry, as the log names it."""
    return next(line.entry.sha256 for line in _log(store) if line.reference == entry.reference)


def _promoted_before(store: Store, versions: list[LogLine], model: ModelDescription) -> ModelEntry | None:
    """The version promoted last that was found good on other clips than the model's."""
    promoted = (read_entry(store, line) for line in reversed(versions) if line.promoted)
    generated = model.manifests["generated"]
    return next((entry for entry in promoted if entry.description.manifests["generated"] != generated), None)


def find(store: Store, reference: str) -> LogLine:
    """The registration that a reference names, as in `load`.

    Raises:
        UsageError: there is none.
    """
    name, separator, version = reference.partition("@")
    if not separator or not re.fullmatch(r"default|latest|[1-9][0-9]*", version):
        raise UsageError(f"model {reference!r}: expected NAME@VERSION, NAME@default or NAME@latest")
    lines = list_models(store)
    mine = [line for line in lines if line.name == name]
    if not mine:
        known = ", ".join(sorted({line.name for line in lines})) or "none"
        raise UsageError(f"model {reference!r}: no model of this name is registered; there are: {known}")
    if version == "latest":
        return mine[-1]
    if version == "default":
        return next(line for line in reversed(mine) if line.promoted)
    found = next((line for line in mine if line.version == int(version)), None)
    if found is None:
        raise UsageError(f"model {reference!r}: the versions of {name} are 1 to {len(mine)}")
    return found


def read_entry(store: Store, line: LogLine) -> ModelEntry:
    """A registered model; only the entry itself is verified.

    Raises:
        UsageError: the entry is missing or was altered.
    """
    data = store.get_bytes(line.entry)
    entry = ModelEntry.model_validate_json(data)
    # The digest is of what was written: the records of today may have fields that it had not.
    content = sha256_bytes(canonical_json(json.loads(data)["description"]))
    if entry.reference != line.reference or content != line.content:
        raise UsageError(f"model {line.reference}: the registry's log and the entry disagree")
    return entry


def _log(store: Store) -> Iterator[LogLine]:
    for number in count(1):
        data = store.get_mark(_mark(number))
        if data is None:
            return
        yield LogLine.model_validate_json(data)


def _mark(number: int) -> str:
    return f"registry/{number:08d}"
