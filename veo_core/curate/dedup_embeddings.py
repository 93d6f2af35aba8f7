"""Embeddings of a model for dedup: from a server that embeds descriptions, or from a file of any model."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, Self

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from veo_core.curate.dedup_files import FlatFile
from veo_core.curate.dedup_vectors import Int8, quantise
from veo_core.errors import UsageError
from veo_core.judges.embed import EmbedderConfig, embed_texts
from veo_core.records.base import Record
from veo_core.records.clip import Clip
from veo_core.storage import Store

_CHUNK = 256


class EmbeddingsConfig(Record):
    """Which embeddings find the candidates."""

    kind: Literal["signature", "descriptions", "file"] = Field(
        default="signature",
        description="what moves, without a model; a server's embeddings of descriptions; or a file",
    )
    server: EmbedderConfig = Field(default_factory=EmbedderConfig, description="for descriptions: the server")
    uri: str = Field(
        default="", description="for file: Parquet with clip_id and embedding (a list of numbers)"
    )
    sha256: str = Field(default="", description="for file: its digest")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "file" and not (self.uri and self.sha256):
            raise ValueError("embeddings of kind 'file' need uri and sha256")
        return self


def embedding_file(
    config: EmbeddingsConfig, clips: Iterable[Clip], ids: Sequence[str], *, store: Store, label: str
) -> FlatFile | None:
    """The clips' embeddings int8 [n, d] in order of `ids`; None for those of the signatures.

    Raises:
        UsageError: a clip has no embedding or description, or the file is not what the recipe says.
    """
    if config.kind == "signature" or not ids:
        return None
    if config.kind == "descriptions":
        texts = embed_texts(_texts(clips), config.server, store=store, label=label)
        chunks: Iterator[Int8] = (quantise(vectors) for vectors in texts)
    else:
        chunks = _from_file(config, ids)
    first = next(iterator := iter(chunks))

    def checked() -> Iterator[Int8]:
        for chunk in chain([first], iterator):
            if chunk.shape[1] != first.shape[1]:
                raise UsageError("dedup: embeddings differ in their number of components")
            yield chunk

    return FlatFile.write(store, checked(), "int8", first.shape[1:])


def _texts(clips: Iterable[Clip]) -> Iterator[str]:
    for clip in clips:
        if clip.description is None:
            raise UsageError(f"clip {clip.clip_id} has no description to embed; enable describe before dedup")
        yield clip.description.text


def _from_file(config: EmbeddingsConfig, ids: Sequence[str]) -> Iterator[Int8]:
    """Embeddings [n, d] of a Parquet file in order of `ids`, a chunk at a time."""
    with TemporaryDirectory(prefix="veo-dedup-") as folder:
        path = Path(folder) / "embeddings.parquet"
        try:
            with fsspec.open(config.uri, "rb") as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
        except (OSError, ImportError, ValueError) as error:
            raise UsageError(f"embeddings {config.uri}: cannot be read: {error}") from None
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != config.sha256:
                raise UsageError(f"embeddings {config.uri}: its sha256 is not the recipe's")
        try:
            with pq.ParquetFile(path) as file:
                vectors = _collected(file, {clip: row for row, clip in enumerate(ids)})
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"embeddings {config.uri}: {error}") from None
    for begin in range(0, len(ids), _CHUNK):
        yield vectors[begin : begin + _CHUNK]


def _collected(file: pq.ParquetFile, row_of: dict[str, int]) -> Int8:
    """Embeddings [n, d] by row.

    Raises:
        ValueError: a clip has none, or they are no vectors of one length.
    """
    vectors = np.zeros((len(row_of), 0), np.int8)
    known = np.zeros(len(row_of), bool)
    for batch in file.iter_batches(batch_size=_CHUNK, columns=["clip_id", "embedding"]):
        ids = batch.column("clip_id").to_pylist()
        values = quantise(np.array(batch.column("embedding").to_pylist(), np.float32))
        if not vectors.shape[1]:
            vectors = np.zeros((len(row_of), values.shape[1]), np.int8)
        places = [place for place, clip in enumerate(ids) if clip in row_of]
        rows = [row_of[ids[place]] for place in places]
        vectors[rows] = values[places]
        known[rows] = True
    if not known.all():
        missing = next(clip for clip, row in row_of.items() if not known[row])
        raise ValueError(f"{int((~known).sum())} clips have no embedding, such as {missing}")
    return vectors
