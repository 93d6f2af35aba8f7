"""Checkpoints of a training run: safetensors with a JSON note that commits them."""

import json
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from veo_core.errors import UsageError
from veo_core.records.base import canonical_json, sha256_bytes
from veo_core.stage import Context


class Checkpoints:
    """The last checkpoint of the run that `context.key` names, kept in two slots that take turns.

    The note holds the slot and the sha256 of its tensors, and is written last: a run that is killed
    while it saves still has the checkpoint before.
    """

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._prefix = f"{context.stage}/{context.key}/checkpoint"

    def save(self, tensors: dict[str, Tensor], note: dict[str, Any]) -> None:
        data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
        latest = self._note()
        slot = 0 if latest is None else 1 - int(latest["slot"])
        self._store.set_mark(f"{self._prefix}-{slot}.safetensors", data)
        committed = {**note, "slot": slot, "sha256": sha256_bytes(data)}
        self._store.set_mark(f"{self._prefix}.json", canonical_json(committed))

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The last checkpoint's tensors and note; None where there is none.

        Raises:
            UsageError: its tensors are not those that were saved.
        """
        note = self._note()
        if note is None:
            return None
        name = f"{self._prefix}-{note['slot']}.safetensors"
        data = self._store.get_mark(name)
        if data is None or sha256_bytes(data) != note["sha256"]:
            raise UsageError(f"checkpoint {name} is damaged; delete {self._prefix}.json to train anew")
        return load(data), note

    def clear(self) -> None:
        """Free the space of a run that has published its result."""
        if self._note() is not None:
            self._store.set_mark(f"{self._prefix}.json", b"")
            for slot in (0, 1):
                self._store.set_mark(f"{self._prefix}-{slot}.safetensors", b"")

    def _note(self) -> dict[str, Any] | None:
        data = self._store.get_mark(f"{self._prefix}.json")
        note: dict[str, Any] | None = json.loads(data) if data else None
        return note
