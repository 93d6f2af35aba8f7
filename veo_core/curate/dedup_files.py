"""Flat files of equal records in the store, of which workers read the records that they need."""

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from veo_core.errors import UsageError
from veo_core.media.signature import SIDE, STEPS, Signature
from veo_core.records.base import Record
from veo_core.records.clip import ClipSignature
from veo_core.records.files import FileRef
from veo_core.storage import Store


class FlatFile(Record):
    """Records of one shape in a file of the store.

    Attributes:
        file: the file.
        dtype: numpy's name of the type of each value.
        shape: of each record.
        rows: how many records there are.
    """

    file: FileRef
    dtype: str
    shape: tuple[int, ...]
    rows: int

    @classmethod
    def write(
        cls, store: Store, chunks: Iterable[npt.NDArray[Any]], dtype: str, shape: Sequence[int]
    ) -> "FlatFile":
        """Store records [n, *shape] that come in chunks."""
        rows = 0
        with TemporaryDirectory(prefix="veo-dedup-") as folder:
            path = Path(folder) / "records.bin"
            with path.open("wb") as stream:
                for chunk in chunks:
                    rows += len(chunk)
                    stream.write(np.ascontiguousarray(chunk, dtype=dtype).tobytes())
            ref = store.put_file(path)
        return cls(file=ref, dtype=dtype, shape=tuple(shape), rows=rows)

    def read(self, store: Store, rows: npt.NDArray[np.integer]) -> npt.NDArray[Any]:
        """The records at `rows` [n, *shape]; only they are read, where the store is a folder."""
        size = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize
        found = np.empty((len(rows), *self.shape), self.dtype)
        with (
            TemporaryDirectory(prefix="veo-dedup-") as folder,
            store.local_path(self.file, Path(folder)).open("rb", buffering=0) as stream,
        ):
            for place, row in enumerate(rows.tolist()):
                stream.seek(row * size)
                found[place] = np.frombuffer(stream.read(size), self.dtype).reshape(self.shape)
        return found

    def span(self, store: Store, begin: int, end: int) -> npt.NDArray[Any]:
        """The records from `begin` on, before `end` [n, *shape]."""
        size = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize
        end = min(end, self.rows)
        with (
            TemporaryDirectory(prefix="veo-dedup-") as folder,
            store.local_path(self.file, Path(folder)).open("rb", buffering=0) as stream,
        ):
            stream.seek(begin * size)
            data = stream.read(max(0, end - begin) * size)
        return np.frombuffer(data, self.dtype).reshape(-1, *self.shape)


def signature_file(
    store: Store, rows: Iterable[ClipSignature], ids: Sequence[str]
) -> tuple[FlatFile, npt.NDArray[np.float64]]:
    """The pictures of the clips' signatures, and the seconds that they span, in the order of the clips.

    Returns:
        Pictures, uint8 [n, t, h, w, 3], and seconds [n].

    Raises:
        UsageError: a clip has no signature, or one of another form.
    """
    seconds = np.ones(len(ids))
    places = {clip_id: place for place, clip_id in enumerate(ids)}
    size = STEPS * SIDE * SIDE * 3
    with TemporaryDirectory(prefix="veo-dedup-") as folder:
        path = Path(folder) / "records.bin"
        with path.open("wb") as stream:
            # Signatures come in the order in which prepare worked.
            for row in rows:
                place = places.pop(row.clip_id, None)
                if place is None:
                    continue
                try:
                    pictures = Signature.from_text(row.signature).pictures
                except ValueError as error:
                    raise UsageError(f"signature of clip {row.clip_id}: {error}; run prepare again") from None
                seconds[place] = row.seconds
                stream.seek(place * size)
                stream.write(np.ascontiguousarray(pictures, np.uint8).tobytes())
        if places:
            raise UsageError(f"clip {min(places)} has no signature; dedup needs the table of prepare")
        file = store.put_file(path)
    return FlatFile(file=file, dtype="uint8", shape=(STEPS, SIDE, SIDE, 3), rows=len(ids)), seconds


def packed(values: npt.NDArray[Any]) -> str:
    """An array's bytes as text for a record; `unpacked` needs its type and shape."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def unpacked(text: str, dtype: str, shape: Sequence[int]) -> npt.NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)
