"""Registries besides the store's own: one interface, whichever service is behind it."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from veo_core.errors import UsageError
from veo_core.records.files import FileRef
from veo_core.registry.config import KubeflowConfig, LocalConfig, RegistryConfig, RemoteConfig, VertexConfig
from veo_core.registry.records import ModelEntry
from veo_core.storage import Store

T = TypeVar("T")

_FIRST_WAIT = 1.0
_EXTRAS = {"vertex": "vertex", "kubeflow": "curate"}


@dataclass(frozen=True)
class Registration:
    """A model as the store's registry holds it."""

    store: Store
    entry: ModelEntry

    @property
    def name(self) -> str:
        return self.entry.description.name

    @property
    def content(self) -> str:
        """Digest that equal models share, and that no other model has."""
        return self.entry.description.digest

    @property
    def digests(self) -> dict[str, str]:
        """sha256 of the description, of its card and of every manifest behind it, by role."""
        description = self.entry.description
        return {"content": self.content, "card": self.entry.card.sha256, **description.manifests}

    @property
    def summary(self) -> str:
        """What it is and where its card is, in a line."""
        card = self.entry.card
        return f"{self.entry.reference}; model card {self.uri(card)}, sha256 {card.sha256}"

    def uri(self, ref: FileRef) -> str:
        return f"{self.store.root.rstrip('/')}/{ref.path}"

    def folder(self) -> str:
        """URI of a folder with the entry, the model card and the bill of materials, written on call.

        The weights stay where the entry says, named by their content, and are copied nowhere.
        """
        folder = f"registry/models/{self.name}/{self.entry.version}"
        self.store.set_mark(f"{folder}/entry.json", self.entry.to_bytes())
        self.store.set_mark(f"{folder}/card.md", self.store.get_bytes(self.entry.card))
        if self.entry.ml_bom is not None:
            self.store.set_mark(f"{folder}/ml-bom.cdx.json", self.store.get_bytes(self.entry.ml_bom))
        return f"{self.store.root.rstrip('/')}/marks/{folder}"


@dataclass(frozen=True)
class Published:
    """A version in another registry.

    Attributes:
        uri: its address.
        resource_name: its name as the registry's own clients take it.
    """

    uri: str
    resource_name: str


class RemoteRegistry(Protocol):
    """A registry that models are published in.

    Both methods may be called again after a crash at any point: what is there already is found and kept.

    Both raise:
        UsageError: the registry refuses, or cannot be reached; one line says why.
    """

    def publish(self, model: Registration) -> Published:
        """Make the model a version with its card and evaluation. Nobody gets it yet who names no version."""
        ...

    def promote(self, published: Published) -> None:
        """Move the alias to this version, unless it is on a newer one."""
        ...


def open_remote(config: RegistryConfig, store: Store) -> RemoteRegistry | None:
    """The registry that a configuration names; None where the store's own is enough.

    Raises:
        UsageError: its client library is not installed, it finds no credentials, or cannot read the store.
    """
    # Each imports a client library that the other one's users may lack.
    try:
        match config:
            case LocalConfig():
                return None
            case VertexConfig():
                from veo_core.registry.vertex import VertexRegistry

                return VertexRegistry(config, store)
            case KubeflowConfig():
                from veo_core.registry.kubeflow import KubeflowRegistry

                return KubeflowRegistry(config)
    except ModuleNotFoundError as error:
        extra = f"pip install 'veo-from-scratch[{_EXTRAS[config.kind]}]'"
        raise UsageError(f"registry.kind {config.kind}: there is no module {error.name}; {extra}") from None


def persistently(step: Callable[[], T], config: RemoteConfig, passing: tuple[type[Exception], ...]) -> T:
    """Take a step until no `passing` error stops it, which the last try's may.

    The step must find what an earlier try of it did: an error may hide that the server went on.
    """
    for attempt in range(config.max_attempts - 1):
        try:
            return step()
        except passing:
            time.sleep(random.uniform(0.5, 1.0) * min(_FIRST_WAIT * 2.0**attempt, config.max_wait_seconds))
    return step()
