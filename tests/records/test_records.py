import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from veo_core.curate.quality_filter import QualityFilterConfig
from veo_core.errors import UsageError
from veo_core.records.base import canonical_json
from veo_core.records.clip import Clip, MediaFacts, Pair, Signals, Source
from veo_core.records.files import FileRef
from veo_core.records.ledger import Counts, Decision
from veo_core.records.manifest import Manifest
from veo_core.records.tables import table_from_bytes, table_to_bytes

TABLES = settings(max_examples=25, deadline=None)

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
text = st.text(max_size=10)
refs = st.builds(FileRef, path=text, sha256=text, bytes=st.integers(0, 2**40))
sources = st.builds(Source, source_id=text, name=text, file=refs, origin=text, caption=text)
signals = st.builds(
    Signals,
    motion=finite,
    sharpness=finite,
    luma=finite,
    contrast=finite,
    text=finite,
    bars=finite,
    loudness=finite,
    clipped=finite,
    sync=st.none() | finite,
)
facts = st.builds(
    MediaFacts,
    width=st.integers(1, 99),
    height=st.integers(1, 99),
    fps=finite,
    frames=st.integers(1, 99),
    seconds=finite,
    audio_rate=st.integers(1, 99),
    audio_seconds=finite,
)
clips = st.builds(
    Clip,
    clip_id=text,
    source=sources,
    shot=st.integers(0, 9),
    start=finite,
    media=refs,
    facts=facts,
    signals=signals,
    packet_hash=text,
    frame_hashes=st.lists(text, max_size=3),
    key_frames=st.lists(refs, max_size=3),
)
decisions = st.builds(
    Decision,
    item=text,
    source=text,
    stage=text,
    verdict=st.sampled_from(["kept", "dropped", "failed", "quarantined"]),
)
pairs = st.builds(
    Pair,
    pair_id=text,
    mode=st.sampled_from(["t2v", "i2v"]),
    clip_id=text,
    split=st.sampled_from(["train", "validation"]),
    bucket=text,
    caption=text,
    first_frame=st.none() | refs,
    media=refs,
    shard=text,
)


@TABLES
@given(rows=st.lists(clips, max_size=4))
def test_clips_survive_a_round_trip_through_a_table(rows):
    assert table_from_bytes(table_to_bytes(rows, Clip), Clip) == rows


@TABLES
@given(rows=st.lists(pairs, max_size=4), more=st.lists(decisions, max_size=4))
def test_pairs_and_decisions_survive_a_round_trip_through_a_table(rows, more):
    assert table_from_bytes(table_to_bytes(rows, Pair), Pair) == rows
    assert table_from_bytes(table_to_bytes(more, Decision), Decision) == more


@TABLES
@given(rows=st.lists(clips, max_size=3))
def test_equal_rows_give_equal_bytes(rows):
    copies = [Clip.model_validate_json(row.to_bytes()) for row in rows]
    assert table_to_bytes(rows, Clip) == table_to_bytes(copies, Clip)


@given(
    received=st.integers(0, 99),
    added=st.integers(0, 9),
    kept=st.integers(0, 99),
    dropped=st.integers(0, 9),
    failed=st.integers(0, 9),
    quarantined=st.integers(0, 9),
)
def test_counts_are_refused_exactly_when_they_do_not_reconcile(received, added, **out):
    def build():
        return Counts(received=received, added=added, **out)

    if received + added == sum(out.values()):
        build()
    else:
        with pytest.raises(ValidationError, match="does not reconcile"):
            build()


@given(metrics=st.dictionaries(text, finite, max_size=5))
def test_manifest_digest_depends_on_content_and_not_on_order(metrics):
    manifest = Manifest(stage="s", config_digest="c", metrics=metrics)
    turned = Manifest(stage="s", config_digest="c", metrics=dict(reversed(metrics.items())))
    assert manifest.digest == turned.digest
    assert Manifest.model_validate_json(manifest.to_bytes()).digest == manifest.digest
    assert manifest.digest != manifest.model_copy(update={"rows": 1}).digest


@pytest.mark.parametrize(
    ("value", "near"),
    [
        ({"promt": ""}, "prompt"),
        ({"judge": {"max_inflight": 3}}, "max_in_flight"),
        ({"thresholds": {"min_sharpnes": 1.0}}, "min_sharpness"),
    ],
)
def test_unknown_key_names_the_nearest_right_one(value, near):
    with pytest.raises(UsageError, match=f"did you mean '{near}'"):
        QualityFilterConfig.parse(value, where="config.yaml")


def test_canonical_json_refuses_what_is_no_number():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"value": float("nan")})
