"""Rows of tensors that lie in stored safetensors files, read through memory maps.

A file costs no memory until its rows are read, and the system's page cache keeps what is read often. So a
dataset may be larger than the memory, and several processes share one copy of it.
"""

import hashlib
import math
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from veo_core.errors import UsageError
from veo_core.records.base import canonical_json
from veo_core.records.files import FileRef
from veo_core.storage import Store

_NUMPY: dict[str, np.dtype[Any]] = {"U8": np.dtype("u1"), "I16": np.dtype("<i2")}


def store_tensors(tensors: Mapping[str, Tensor], suffix: str, store: Store) -> FileRef:
    """Store tensors as a safetensors file whose name ends in `suffix`."""
    with tempfile.TemporaryDirectory(prefix="veo-tensors-") as folder:
        path = Path(folder) / "tensors"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
        return store.put_file(path, suffix)


@contextmanager
def filled_tensors(
    shapes: Mapping[str, tuple[str, tuple[int, ...]]], suffix: str, store: Store
) -> Iterator["FilledTensors"]:
    """Store a safetensors file whose tensors the block fills, without holding them in memory.

    Args:
        shapes: type of numbers, as in "U8" or "I16", and shape by name; wider types first, so that each
            tensor starts at a multiple of its numbers' size.
        suffix: end of the object's name.
        store: where it goes when the block ends without an error.
    """
    starts, end = {}, 0
    header: dict[str, Any] = {}
    for name, (kind, shape) in shapes.items():
        starts[name], end = end, end + math.prod(shape) * _NUMPY[kind].itemsize
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [starts[name], end]}
    text = canonical_json(header)
    text += b" " * (-len(text) % 8)
    with tempfile.TemporaryDirectory(prefix="veo-tensors-") as folder:
        path = Path(folder) / "tensors"
        with path.open("wb") as stream:
            stream.write(len(text).to_bytes(8, "little") + text)
            stream.truncate(8 + len(text) + end)
        arrays = {
            name: np.memmap(path, _NUMPY[kind], "r+", 8 + len(text) + starts[name], shape)
            for name, (kind, shape) in shapes.items()
        }
        filled = FilledTensors(arrays)
        yield filled
        for array in arrays.values():
            array.flush()
        filled.ref = store.put_file(path, suffix)


class FilledTensors:
    """Arrays by name, to be written to; `ref` is the stored file once the block that fills them has ended."""

    ref: FileRef

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self.arrays = arrays


class MappedShard:
    """One stored safetensors file of `rows` rows, checked and mapped when it is first needed.

    Args:
        ref: the file.
        rows: the first dimension of its tensors.
        store: where it is. A file of a bucket is copied to a temporary folder of this machine.
        made_by: the stage to run again where the file is damaged.
    """

    def __init__(self, ref: FileRef, rows: int, store: Store, made_by: str) -> None:
        self.ref, self.rows = ref, rows
        self._store, self._made_by = store, made_by
        self._lock = threading.Lock()
        self._tensors: dict[str, Tensor] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The file's tensors by name; they must not be written to.

        Raises:
            UsageError: the file is missing or damaged.
        """
        with self._lock:
            if self._tensors is None:
                self._tensors = self._map()
            return self._tensors

    def _map(self) -> dict[str, Tensor]:
        self._folder = tempfile.TemporaryDirectory(prefix="veo-shard-")
        try:
            path = self._store.local_path(self.ref, Path(self._folder.name))
            with path.open("rb") as stream:
                whole = hashlib.file_digest(stream, "sha256").hexdigest() == self.ref.sha256
            if not whole:
                raise UsageError(
                    f"store {self._store.root}: object {self.ref.path} was altered: its sha256 does not match"
                )
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (UsageError, SafetensorError) as error:
            raise UsageError(f"{error}; delete it and run {self._made_by} again") from None


class Rows:
    """Tensors of one name in several shards as if they were one, [n, ...].

    Args:
        shards: the files, in order; at least one.
        name: the tensor in each.
    """

    def __init__(self, shards: Sequence[MappedShard], name: str) -> None:
        self._shards, self._name = shards, name
        self._starts = np.cumsum([0, *(shard.rows for shard in shards)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self._tensor(0).shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        return self._tensor(0).dtype

    def __getitem__(self, index: int | slice | Tensor) -> Tensor:
        """One row as a view of the map, or several [b, ...] as a copy."""
        if isinstance(index, int):
            return self._row(index)
        numbers = range(len(self))[index] if isinstance(index, slice) else index.tolist()
        out = torch.empty((len(numbers), *self.shape[1:]), dtype=self.dtype)
        self.read_into(out, numbers)
        return out

    def read_into(self, out: Tensor, numbers: Sequence[int]) -> None:
        """Copy rows into `out` [b, ...], in the calling thread alone."""
        target = _as_bytes(out)
        shards, rows = self._places(numbers)
        sources = {shard: _as_bytes(self._tensor(shard)) for shard in set(shards)}
        for place, (shard, row) in enumerate(zip(shards, rows, strict=True)):
            np.copyto(target[place], sources[shard][row])

    def __iter__(self) -> Iterator[Tensor]:
        return (self._row(number) for number in range(len(self)))

    def _row(self, number: int) -> Tensor:
        if not 0 <= number < len(self):
            raise IndexError(f"row {number} of {len(self)}")
        (shard,), (row,) = self._places([number])
        return self._tensor(shard)[row]

    def _places(self, numbers: Sequence[int]) -> tuple[list[int], list[int]]:
        """Shard of each row, and its place there."""
        wanted = np.asarray(numbers, np.int64)
        shards = np.searchsorted(self._starts, wanted, side="right") - 1
        return shards.tolist(), (wanted - self._starts[shards]).tolist()

    def _tensor(self, shard: int) -> Tensor:
        return self._shards[shard].tensors[self._name]


def _as_bytes(rows: Tensor) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """Rows [n, ...] of any type as bytes [n, m]: NumPy copies in one thread, and knows no bfloat16."""
    view: np.ndarray[tuple[int, int], np.dtype[np.uint8]] = rows.flatten(1).view(torch.uint8).numpy()
    return view
