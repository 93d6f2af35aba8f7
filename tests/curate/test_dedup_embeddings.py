"""Embeddings of a model instead of those of the signatures: a server's, or a file's."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from curation import context, ledger_of
from test_dedup import pictures, prepared, shown

from veo_core.curate.dedup import DedupConfig, run
from veo_core.errors import UsageError
from veo_core.judges.embed import EmbedderConfig, embed_texts
from veo_core.records.clip import Description


def described(name, seen, text, **more):
    clip, signature = shown(name, seen, **more)
    description = Description(text=text, judge="j", judge_version="1")
    return clip.model_copy(update={"description": description}), signature


@pytest.fixture
def items():
    """b is a copy of a; c shows something else."""
    return [
        described("a", pictures(), "A red disc moves right.", sharpness=0.9),
        described("b", pictures(noise=1), "A red disc moves right.", sharpness=0.6),
        described("c", pictures(level=90), "Two blue squares fall."),
    ]


def verdicts(store, items, **embeddings):
    manifest = run(
        clips=prepared(store, items),
        config=DedupConfig.parse({"embeddings": embeddings}, where="recipe"),
        context=context(store, "dedup", workers=1),
    )
    return {decision.item: decision for decision in ledger_of(manifest, store)}


def test_descriptions_embedded_by_a_server_find_the_copy(store, items, judge, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", judge.url)
    found = verdicts(store, items, kind="descriptions")
    assert (found["b"].partner, found["b"].scores["embedding"]) == ("a", 1.0)
    assert found["c"].verdict == "kept"


def test_texts_are_asked_in_batches_and_once(store, judge, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", judge.url)
    texts, config = [f"text {number}" for number in range(5)], EmbedderConfig(batch=2)
    before = judge.stats()["requests"]
    first = list(embed_texts(texts, config, store=store, label="test"))
    between = judge.stats()["requests"]
    again = list(embed_texts(texts, config, store=store, label="test"))
    assert [len(batch) for batch in first] == [2, 2, 1]
    assert np.array_equal(np.concatenate(first), np.concatenate(again))
    assert sum(between.values()) - sum(before.values()) == 3
    assert judge.stats()["requests"] == between


def test_server_that_does_not_know_the_model_is_a_usage_error(store, judge, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", judge.url)
    with pytest.raises(UsageError, match="no embeddings by 'other'"):
        next(embed_texts(["a"], EmbedderConfig(model="other", max_attempts=1), store=store, label="test"))


def test_clip_without_a_description_is_a_usage_error(store, items):
    with pytest.raises(UsageError, match="clip d has no description"):
        verdicts(store, [*items, shown("d", pictures(level=60))], kind="descriptions")


def parquet(tmp_path, rows):
    path = tmp_path / "embeddings.parquet"
    table = {"clip_id": [name for name, _ in rows], "embedding": [vector for _, vector in rows]}
    pq.write_table(pa.table(table), path)
    return {"kind": "file", "uri": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_file_of_embeddings_in_any_order_finds_the_copy(store, items, tmp_path):
    config = parquet(tmp_path, [("c", [0.0, 1.0]), ("x", [1.0, 1.0]), ("b", [2.0, 0.1]), ("a", [1.0, 0.0])])
    found = verdicts(store, items, **config)
    assert found["b"].partner == "a"
    assert found["b"].scores["embedding"] == pytest.approx(0.999, abs=2e-3)


def test_copy_that_the_embeddings_tell_apart_is_not_compared(store, items, tmp_path):
    config = parquet(tmp_path, [("a", [1.0, 0.0]), ("b", [0.0, 1.0]), ("c", [-1.0, 0.0])])
    assert {d.verdict for d in verdicts(store, items, **config).values()} == {"kept"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, "its sha256 is not the recipe's"),
        ({"uri": "/nowhere.parquet"}, "cannot be read"),
        ({"uri": ""}, "need uri and sha256"),
    ],
)
def test_wrong_file_is_a_usage_error(store, items, tmp_path, change, message):
    config = parquet(tmp_path, [(name, [1.0]) for name in "abc"])
    with pytest.raises(UsageError, match=message):
        verdicts(store, items, **config | change)


def test_clip_that_the_file_leaves_out_is_a_usage_error(store, items, tmp_path):
    with pytest.raises(UsageError, match="1 clips have no embedding, such as c"):
        verdicts(store, items, **parquet(tmp_path, [("a", [1.0]), ("b", [1.0])]))
