"""Embeddings of texts by an OpenAI-compatible server, several texts a request, kept once they came."""

import base64
import json
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt
import openai
from pydantic import Field

from veo_core.errors import UsageError
from veo_core.judges.config import JudgeConfig
from veo_core.judges.endpoints import addresses
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.storage import Store

Float32 = npt.NDArray[np.float32]


class EmbedderConfig(Record):
    """Which model embeds, and where."""

    model: str = Field(default="world-embedding-1", description="model name as the server knows it")
    endpoints: list[str] = Field(default_factory=list, description="base URL; empty for OPENAI_BASE_URL")
    batch: int = Field(default=64, ge=1, le=2048, description="texts of one request")
    max_attempts: int = Field(default=6, ge=1, description="tries of one request on 429, 5xx and timeouts")
    timeout_seconds: float = Field(default=60.0, gt=0, description="time that one try may take")


def embed_texts(
    texts: Iterable[str], config: EmbedderConfig, *, store: Store, label: str
) -> Iterator[Float32]:
    """Embeddings float32 [n, d] of the texts in their order, a batch at a time.

    A batch's embeddings are a mark in the store, named by the texts and the model: a run that is killed
    repeats no finished request.

    Raises:
        UsageError: no server is set, or it does not embed the texts after every attempt.
    """
    remaining = iter(texts)
    client: openai.OpenAI | None = None
    while batch := list(islice(remaining, config.batch)):
        key = sha256_bytes(canonical_json({"model": config.model, "texts": batch}))
        mark = f"embeddings/{key[:2]}/{key}"
        kept = store.get_mark(mark)
        if kept is None:
            client = client or _client(config)
            kept = canonical_json(_asked(client, batch, config, label))
            store.set_mark(mark, kept)
        value = json.loads(kept)
        yield np.frombuffer(base64.b64decode(value["vectors"]), "<f4").reshape(len(batch), -1)


def _client(config: EmbedderConfig) -> openai.OpenAI:
    address = addresses(JudgeConfig(model=config.model, endpoints=config.endpoints))[0]
    return openai.OpenAI(
        base_url=address.url,
        api_key=address.key,
        max_retries=config.max_attempts - 1,
        timeout=config.timeout_seconds,
    )


def _asked(client: openai.OpenAI, batch: list[str], config: EmbedderConfig, label: str) -> dict[str, str]:
    """The embeddings of one request, as text."""
    try:
        response = client.embeddings.create(model=config.model, input=batch, encoding_format="float")
    except openai.OpenAIError as error:
        reason = " ".join(str(error).split())[:300]
        raise UsageError(
            f"{label}: the server at {client.base_url} gives no embeddings by {config.model!r}: {reason}; "
            "run again once it does: finished requests are kept"
        ) from None
    vectors = [item.embedding for item in sorted(response.data, key=lambda item: item.index)]
    if len(vectors) != len(batch) or len({len(vector) for vector in vectors}) != 1:
        raise UsageError(f"{label}: {config.model!r} gave {len(vectors)} embeddings for {len(batch)} texts")
    return {"vectors": base64.b64encode(np.array(vectors, "<f4").tobytes()).decode()}
