"""Checkpoints of a training run: a safetensors shard of each process, and a JSON object that commits them."""

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import Field
from safetensors.torch import load, save
from torch import Tensor

from veo_core.errors import UsageError
from veo_core.records.base import Record, sha256_bytes
from veo_core.stage import Context
from veo_core.train.runtime import Runtime

KEPT = 2
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CheckpointShard(Record):
    """What one process saved: a mark of the store and what its bytes must be."""

    mark: str
    sha256: str
    bytes: int


class Checkpoint(Record):
    """A whole checkpoint."""

    step: int
    slot: int
    shards: list[CheckpointShard]
    sharded: list[str] = Field(description="tensors of which each shard holds a slice of the first dimension")
    note: dict[str, Any] = Field(description="what the run keeps besides tensors")


class Commit(Record):
    """The checkpoints that count, newest first."""

    checkpoints: list[Checkpoint] = Field(default_factory=list)


class Checkpoints:
    """The last checkpoints of the run that `context.key` names, kept in slots that take turns.

    The commit object is written last, once every shard is in place: a run that is killed while it saves
    still has the checkpoint before. In a run of several processes all of them must call `save` and `load`.
    """

    def __init__(self, context: Context, runtime: Runtime | None = None) -> None:
        self._store = context.store
        self._runtime = runtime
        self._rank, self._world = (runtime.rank, runtime.world) if runtime else (0, 1)
        self._first = runtime is None or runtime.first
        self._prefix = f"{context.stage}/{context.key}/checkpoint"

    def save(
        self,
        step: int,
        tensors: dict[str, Tensor],
        note: dict[str, Any],
        sharded: frozenset[str] = frozenset(),
    ) -> None:
        """Save this process's tensors, on the CPU; `sharded` names those that are slices of the whole."""
        before = self._commit().checkpoints
        used = {checkpoint.slot for checkpoint in before[: KEPT - 1]}
        slot = next(slot for slot in range(KEPT) if slot not in used)
        data = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        shard = CheckpointShard(mark=self._mark(slot, self._rank), sha256=sha256_bytes(data), bytes=len(data))
        if self._first or self._world > 1:  # under XLA every host's process holds the same
            self._store.set_mark(shard.mark, data)
            self._store.set_mark(f"{shard.mark}.json", shard.to_bytes())
        self._wait()
        if self._first:
            shards = [self._shard(self._mark(slot, rank)) for rank in range(self._world)]
            made = Checkpoint(step=step, slot=slot, shards=shards, sharded=sorted(sharded), note=note)
            kept = [made, *(checkpoint for checkpoint in before if checkpoint.slot != slot)]
            self._store.set_mark(f"{self._prefix}.json", Commit(checkpoints=kept).to_bytes())
            left = {shard.mark for checkpoint in kept for shard in checkpoint.shards}
            self._remove(shard.mark for old in before for shard in old.shards if shard.mark not in left)
        self._wait()

    def load(self, step: int | None = None) -> tuple[dict[str, Tensor], Checkpoint] | None:
        """This process's tensors of the last checkpoint, or of the one at `step`; None where there is none.

        Of a checkpoint that another number of processes saved, every process gets the whole tensors.

        Raises:
            UsageError: a shard is missing or not what was saved, or there is no checkpoint at `step`.
        """
        found = self._commit().checkpoints
        if step is not None:
            found = [checkpoint for checkpoint in found if checkpoint.step == step] or self._absent(
                step, found
            )
        if not found:
            return None
        checkpoint = found[0]
        if len(checkpoint.shards) == self._world:
            return self._read(checkpoint.shards[self._rank]), checkpoint
        parts = [self._read(shard) for shard in checkpoint.shards]
        tensors = dict(parts[0])
        for name in checkpoint.sharded:
            tensors[name] = torch.cat([part[name] for part in parts])
        return tensors, checkpoint

    def clear(self) -> None:
        """Free the space of a run that has published its result."""
        found = self._commit().checkpoints
        if found:
            self._store.remove_mark(f"{self._prefix}.json")
        self._remove(shard.mark for checkpoint in found for shard in checkpoint.shards)

    def _mark(self, slot: int, rank: int) -> str:
        return f"{self._prefix}-{slot}-{rank + 1}-of-{self._world}.safetensors"

    def _commit(self) -> Commit:
        data = self._store.get_mark(f"{self._prefix}.json")
        return Commit.parse(json.loads(data), where=f"{self._prefix}.json") if data else Commit()

    def _shard(self, mark: str) -> CheckpointShard:
        data = self._store.get_mark(f"{mark}.json")
        assert data is not None, mark
        return CheckpointShard.parse(json.loads(data), where=f"{mark}.json")

    def _read(self, shard: CheckpointShard) -> dict[str, Tensor]:
        data = self._store.get_mark(shard.mark)
        if data is None or sha256_bytes(data) != shard.sha256:
            state = "missing" if data is None else "damaged"
            raise UsageError(
                f"checkpoint {shard.mark} is {state}; delete marks/{self._prefix}.json to train anew"
            )
        tensors: dict[str, Tensor] = load(data)
        return tensors

    def _remove(self, marks: Iterator[str]) -> None:
        for mark in marks:
            self._store.remove_mark(mark)
            self._store.remove_mark(f"{mark}.json")

    def _absent(self, step: int, found: list[Checkpoint]) -> list[Checkpoint]:
        there = ", ".join(str(checkpoint.step) for checkpoint in found) or "none"
        raise UsageError(f"checkpoint {self._prefix}: there is none at step {step}; there are {there}")

    def _wait(self) -> None:
        if self._runtime is not None:
            self._runtime.wait()

    @contextmanager
    def room(self) -> Iterator[None]:
        """Says plainly that a store is full, and what is left to go on from.

        Raises:
            UsageError: the block could not write for lack of space.
        """
        try:
            yield
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise
            before = self._commit().checkpoints
            kept = f"the one of step {before[0].step} is kept" if before else "there is none before it"
            raise UsageError(
                f"checkpoint {self._prefix}: no space left in store {self._store.root}; {kept}. "
                f"Make room and run the same command again"
            ) from None


def refuse_other_config(made: dict[str, Any], config: Record, context: Context) -> None:
    """Refuse a checkpoint of another configuration; where and how often a run saves may change.

    Raises:
        UsageError: a key has another value; it is named.
    """
    before, now = _flat(made), _flat(config.model_dump(mode="json"))
    for key in sorted(before | now):
        if before.get(key) != now.get(key) and not key.startswith(("runtime.", "checkpoint_seconds")):
            raise UsageError(
                f"checkpoint {context.stage}/{context.key}: it was made with {key} {before.get(key)!r}, this "
                f"run has {now.get(key)!r}; set it back to go on, or remove the checkpoint to train anew"
            )


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) else {f"{prefix}{key}": inner}
    return flat
