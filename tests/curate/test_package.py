import pytest
from curation import context, ledger_of, manifest_of

from veo_core.curate.decisions import read_clips
from veo_core.curate.package import DatasetSpec, PackageConfig, run
from veo_core.errors import UsageError


@pytest.fixture
def pack(curated):
    def run_on(clips, **config):
        return run(
            clips=manifest_of(curated.store, clips),
            config=PackageConfig(**config),
            context=context(curated.store, "package"),
        )

    return run_on


def test_packaging_twice_gives_equal_manifests_whatever_the_order(curated, pack):
    clips = curated.clips("annotate")
    assert pack(clips) == pack(clips[::-1])


def test_too_few_clips_are_a_usage_error(curated, pack):
    with pytest.raises(UsageError, match="at least 100 are needed"):
        pack(curated.clips("annotate")[:20], min_clips=100)
    with pytest.raises(UsageError, match="no clip is left"):
        pack([])


def test_shards_hold_no_more_clips_than_asked(curated, pack):
    clips = curated.clips("annotate")
    manifest = pack(clips, clips_per_shard=10, validation_share=0.0)
    assert len(manifest.shards) == -(-len(clips) // 10)
    assert list(manifest.files) == ["spec.json"]


def test_specification_says_what_every_clip_is(curated, pack):
    manifest = pack(curated.clips("annotate"))
    spec = DatasetSpec.model_validate_json(curated.store.get_bytes(manifest.files["spec.json"]))
    assert spec == DatasetSpec(height=64, width=64, fps=8, frames=17, seconds=2.0, audio_rate=48_000)


def test_clip_of_another_shape_or_without_caption_is_dropped(curated, pack):
    first, second, *rest = curated.clips("annotate")
    wide = first.model_copy(update={"facts": first.facts.model_copy(update={"width": 86})})
    mute = second.model_copy(update={"annotation": None})
    manifest = pack([wide, mute, *rest])
    ledger = {decision.item: decision for decision in ledger_of(manifest, curated.store)}
    assert (ledger[first.clip_id].rule, ledger[first.clip_id].value) == ("other_shape", "86x64")
    assert ledger[second.clip_id].rule == "no_caption"
    assert len(read_clips(manifest, curated.store)) == len(rest)


def test_share_held_back_follows_the_configuration(curated, pack):
    clips = curated.clips("annotate")
    held = {
        share: {
            c.clip_id
            for c in read_clips(pack(clips, validation_share=share), curated.store)
            if c.split == "validation"
        }
        for share in (0.1, 0.4)
    }
    assert held[0.1] < held[0.4]
    assert 0.2 < len(held[0.4]) / len(clips) < 0.6
