import numpy as np
import pytest
from curation import context, ledger_of
from scripted import completion

from veo_core.curate.decisions import ClipTable
from veo_core.curate.dedup import DedupConfig, run
from veo_core.errors import UsageError
from veo_core.media.signature import SIDE, STEPS, Signature
from veo_core.records.clip import Clip, ClipSignature, MediaFacts, NearPair, Signals, Source
from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest
from veo_core.records.similarity import SimilarityReport

REF = FileRef(path="objects/00/0", sha256="0" * 64, bytes=0)
SIGNALS = Signals(
    motion=1, sharpness=0.7, luma=50, contrast=20, text=0, bars=0, loudness=-25, clipped=0, sync=0.0
)
FACTS = MediaFacts(
    width=64, height=64, fps=8, frames=17, seconds=2.125, audio_rate=48000, audio_seconds=2.125
)


def pictures(path=1.0, level=40.0, noise=0.0, begin=0.0, end=1.0, margin=0.0, radius=0.17):
    """A bright disc that crosses a graded picture.

    path: how far it gets. begin, end: the shown part of its way. margin: share that is cut off each side.
    """
    y, x = margin + (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE * (1 - 2 * margin)
    frames = np.full((STEPS, SIDE, SIDE, 3), level) + 20 * x[None, :, :, None]
    for step, frame in enumerate(frames):
        way = begin + (end - begin) * (step + 0.5) / STEPS
        distance = np.hypot(x - 0.2 - 0.6 * path * way, y - 0.4)
        inside = np.clip((radius - distance) * SIDE / (1 - 2 * margin) + 0.5, 0, 1)[:, :, None]
        frame[:] = frame * (1 - inside) + np.array((230, 60, 60)) * inside
    frames += np.random.default_rng(0).normal(0, noise, frames.shape)
    return np.clip(frames, 0, 255).astype(np.uint8)


def clip(name, packets="", permission="allowed", hashes=(), key_frames=(), **signals):
    source = Source(source_id=f"of {name}", name=name, file=REF, origin="test", ml_training=permission)
    return Clip(
        clip_id=name,
        source=source,
        shot=0,
        start=0,
        media=REF,
        facts=FACTS,
        signals=SIGNALS.model_copy(update=signals),
        packet_hash=packets or name,
        frame_hashes=list(hashes),
        key_frames=list(key_frames),
    )


def shown(name, seen, *arguments, seconds=2.0, **more):
    signature = ClipSignature(clip_id=name, signature=Signature(seen).to_text(), seconds=seconds)
    return clip(name, *arguments, **more), signature


def prepared(store, items):
    ordered = sorted(items, key=lambda item: item[0].clip_id)
    tables = {
        "clips": store.put_table([item for item, _ in ordered], Clip),
        "signatures": store.put_table([signature for _, signature in ordered], ClipSignature),
    }
    return Manifest(stage="prepare", config_digest="", rows=len(ordered), tables=tables)


@pytest.fixture
def dedup(store):
    def run_on(*items, key="key", workers=1, **config):
        manifest = run(
            clips=prepared(store, items),
            config=DedupConfig(**config),
            context=context(store, "dedup", workers=workers, key=key),
        )
        kept = {kept.clip_id for kept in list(ClipTable(manifest, store))}
        run_on.manifest = manifest
        return kept, {decision.item: decision for decision in ledger_of(manifest, store)}

    return run_on


def test_equal_packets_are_an_exact_duplicate_whatever_they_show(dedup):
    kept, ledger = dedup(shown("a", pictures(), "p"), shown("b", pictures(0.1, 90), "p"))
    assert len(kept) == 1
    (dropped,) = {"a", "b"} - kept
    assert ledger[dropped].rule == "exact_duplicate"
    assert kept.pop() in ledger[dropped].evidence


@pytest.mark.parametrize(
    "alter",
    [
        lambda seen: seen,
        lambda seen: seen[:, :, ::-1],
        lambda seen: seen[:, ::-1],
        lambda seen: np.clip(seen + np.random.default_rng(1).normal(0, 2, seen.shape), 0, 255).astype(
            np.uint8
        ),
    ],
    ids=["same", "mirrored", "upside down", "noisy"],
)
def test_altered_copy_is_a_near_duplicate(dedup, alter):
    kept, ledger = dedup(shown("a", pictures()), shown("b", alter(pictures())))
    assert len(kept) == 1
    (dropped,) = {"a", "b"} - kept
    assert ledger[dropped].rule == "near_duplicate"


@pytest.mark.parametrize("other", [pictures(level=52), pictures(path=0.2)], ids=["background", "motion"])
def test_scene_that_differs_in_one_respect_is_kept(dedup, other):
    kept, _ = dedup(shown("a", pictures()), shown("b", other))
    assert kept == {"a", "b"}


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"permission": "allowed", "sharpness": 0.6}, {"permission": "unknown", "sharpness": 0.9}),
        ({"bars": 0.0, "sharpness": 0.6}, {"bars": 0.2, "sharpness": 0.9}),
        ({"text": 0.0, "sharpness": 0.6}, {"text": 0.011, "sharpness": 0.9}),
        ({"sharpness": 0.8, "loudness": -40}, {"sharpness": 0.6, "loudness": -20}),
        ({"loudness": -20}, {"loudness": -40}),
    ],
    ids=["rights", "bars", "overlay", "sharpness", "loudness"],
)
def test_best_copy_is_kept_by_rights_then_quality(dedup, better, worse):
    for names in (("a", "b"), ("b", "a")):
        kept, _ = dedup(shown(names[0], pictures(), **better), shown(names[1], pictures(noise=1), **worse))
        assert kept == {names[0]}


def test_chain_of_look_alikes_does_not_swallow_its_far_end(dedup):
    """b resembles a and c; a and c do not resemble each other, and a is the best."""
    a, b, c = pictures(level=40), pictures(level=41.5), pictures(level=43)
    kept, ledger = dedup(
        shown("a", a, sharpness=0.9), shown("b", b, sharpness=0.8), shown("c", c, sharpness=0.7)
    )
    assert kept == {"a", "c"}
    assert ledger["b"].partner == "a"


def test_result_does_not_depend_on_the_order_of_the_clips(dedup):
    clips = [shown(name, pictures(noise=index)) for index, name in enumerate("abcd")]
    assert dedup(*clips, max_judge_calls=0)[0] == dedup(*clips[::-1], max_judge_calls=0)[0]


def test_no_clips_give_no_clips(dedup):
    assert dedup() == (set(), {})


@pytest.mark.parametrize("margin", [0.05, 0.12, 0.2])
def test_cropped_copy_is_a_near_duplicate(dedup, margin):
    kept, ledger = dedup(shown("a", pictures()), shown("b", pictures(margin=margin), sharpness=0.6))
    assert kept == {"a"}
    assert ledger["b"].rule == "near_duplicate"


@pytest.mark.parametrize(("begin", "end"), [(0.0, 0.7), (0.2, 0.9), (0.4, 1.0)])
def test_excerpt_is_a_near_duplicate_only_where_excerpts_are_looked_for(dedup, begin, end):
    part = pictures(begin=begin, end=end)
    items = shown("a", pictures()), shown("b", part, seconds=2.0 * (end - begin), sharpness=0.6)
    kept, _ = dedup(*items)
    assert kept == {"a"}
    kept, _ = dedup(*items, key="whole", excerpts=False, crops=False, min_cosine=0.95)
    assert kept == {"a", "b"}


@pytest.mark.parametrize(("begin", "end"), [(0.0, 0.5), (0.25, 0.75), (0.5, 1.0)])
def test_slow_recording_is_no_excerpt_of_a_fast_one(dedup, begin, end):
    """What takes a part of the one clip takes all of the other, which is as long."""
    kept, ledger = dedup(
        shown("a", pictures()), shown("b", pictures(begin=begin, end=end)), max_judge_calls=0
    )
    assert kept == {"a", "b"}, ledger


@pytest.mark.parametrize("seconds", [1.6, 2.5, 4.0])
def test_copy_that_plays_at_another_speed_is_a_near_duplicate(dedup, seconds):
    kept, _ = dedup(shown("a", pictures()), shown("b", pictures(noise=1), seconds=seconds, sharpness=0.6))
    assert kept == {"a"}


def test_equal_hashes_decide_where_the_pictures_agree_as_they_are(dedup):
    hashes = ["00ff00ff00ff00ff", "0f0f0f0f0f0f0f0f"]
    _, ledger = dedup(
        shown("a", pictures(), hashes=hashes),
        shown("b", pictures(noise=1), hashes=hashes, sharpness=0.6),
        shown("c", pictures(level=90), hashes=hashes),
    )
    assert ledger["b"].evidence.startswith("copy of a by hash")
    assert ledger["b"].scores["hash_distance"] == 0
    assert ledger["c"].verdict == "kept"


def test_dropped_copy_names_its_partner_and_its_scores(dedup, store):
    _, ledger = dedup(shown("a", pictures()), shown("b", pictures()[:, :, ::-1], sharpness=0.6))
    decision = ledger["b"]
    assert decision.partner == "a"
    assert set(decision.scores) == {"embedding", "motion", "colour", "hash_distance"}
    assert decision.scores["motion"] == pytest.approx(1.0, abs=1e-3)
    assert float(decision.value) >= float(decision.threshold)
    (pair,) = store.get_table(dedup.manifest.tables["near_pairs"], NearPair)
    assert (pair.first, pair.second, pair.first_source, pair.second_source) == ("a", "b", "of a", "of b")


def test_exact_copies_of_a_near_duplicate_go_with_it(dedup):
    kept, ledger = dedup(
        shown("a", pictures(), sharpness=0.9),
        shown("b", pictures(noise=1), "p", sharpness=0.8),
        shown("c", pictures(noise=1), "p", sharpness=0.7),
    )
    assert kept == {"a"}
    assert {ledger[name].partner for name in "bc"} == {"a"}


def test_second_run_drops_nothing(dedup):
    items = {
        name: shown(name, pictures(noise=n % 2, level=40 + 15 * (n // 2))) for n, name in enumerate("abcdef")
    }
    kept, _ = dedup(*items.values())
    assert len(kept) == 3
    again, _ = dedup(*(items[name] for name in kept), key="again")
    assert again == kept


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("clusters", [{}, {"exact_below": 1, "cluster_size": 4}])
def test_clusters_and_processes_change_nothing(dedup, workers, clusters):
    items = [
        shown(f"{n:02d}", pictures(path=0.4 + 0.1 * (n % 6), level=30 + 8 * (n % 5), noise=n % 3))
        for n in range(24)
    ]
    expected = dedup(*items, key="expected", max_judge_calls=0)
    report = dedup.manifest.files["similarity.json"]
    clusters = clusters | {"max_judge_calls": 0}
    assert dedup(*items, key=f"{workers} {clusters}", workers=workers, **clusters) == expected
    assert len(expected[0]) < 24
    if not clusters:
        assert dedup.manifest.files["similarity.json"] == report


def test_disabled_stage_keeps_everything(dedup):
    kept, ledger = dedup(shown("a", pictures()), shown("b", pictures()), enabled=False)
    assert kept == {"a", "b"}
    assert ledger["a"].evidence == "stage not enabled"


def test_report_counts_what_each_layer_dropped(dedup, store):
    dedup(
        shown("a", pictures(), "p", sharpness=0.9),
        shown("b", pictures(), "p"),
        shown("c", pictures(noise=1), sharpness=0.6),
    )
    report = SimilarityReport.model_validate_json(store.get_bytes(dedup.manifest.files["similarity.json"]))
    assert report.layers == {"packets": 1, "hash": 0, "alignment": 1, "judge": 0}
    assert sum(report.motion) == report.pairs["candidates"] == 1
    assert report.thresholds["min_motion"] == 0.92


def test_clip_without_a_signature_is_a_usage_error(store):
    manifest = prepared(store, [shown("a", pictures())])
    orphan = store.put_table([clip("a"), clip("b")], Clip)
    manifest = manifest.model_copy(update={"tables": manifest.tables | {"clips": orphan}})
    with pytest.raises(UsageError, match="clip b has no signature"):
        run(clips=manifest, config=DedupConfig(), context=context(store, "dedup"))


class TestJudge:
    """Scenes in the grey band: a judge is asked, once a pair, and within the budget."""

    @pytest.fixture
    def frames(self, store):
        return lambda name: [store.put_bytes(f"jpeg {name}".encode(), ".jpg")]

    @pytest.fixture
    def pair(self, frames):
        def of(*names):
            return [
                shown(name, pictures(level=40 + 3 * n), sharpness=0.9 - n / 10, key_frames=frames(name))
                for n, name in enumerate(names)
            ]

        return of

    def says(self, serve, same):
        answer = {"same_scene": same, "reason": "the same" if same else "another wall"}
        return serve(lambda body: (200, {}, completion(answer)))

    def test_judge_decides_on_a_doubtful_pair(self, dedup, pair, serve):
        server = self.says(serve, True)
        kept, ledger = dedup(*pair("a", "b"), grey_colour=3.0)
        assert kept == {"a"}
        assert "the judge: the same" in ledger["b"].evidence
        assert (ledger["b"].judge, ledger["b"].partner) == ("world-detector-1", "a")
        assert len(server.requests) == 1

    def test_pair_that_the_judge_tells_apart_is_kept_and_named_as_near(self, dedup, pair, serve, store):
        self.says(serve, False)
        kept, _ = dedup(*pair("a", "b"), grey_colour=3.0)
        assert kept == {"a", "b"}
        (near,) = store.get_table(dedup.manifest.tables["near_pairs"], NearPair)
        assert (near.first, near.second) == ("a", "b")

    def test_no_pair_in_doubt_asks_nobody(self, dedup, pair, monkeypatch):
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        kept, _ = dedup(*pair("a", "b"))
        assert kept == {"a", "b"}

    def test_budget_limits_the_questions(self, dedup, pair, serve):
        server = self.says(serve, True)
        kept, _ = dedup(*pair("a", "b", "c"), grey_colour=3.0, max_judge_calls=1)
        assert len(server.requests) == 1
        assert len(kept) == 2

    def test_grey_band_inside_the_limits_is_refused(self):
        with pytest.raises(UsageError, match="grey band"):
            DedupConfig.parse({"grey_motion": 0.95}, where="recipe")
