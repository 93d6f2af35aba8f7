import numpy as np
import pytest
from curation import context, ledger_of, manifest_of

from veo_core.curate.decisions import read_clips
from veo_core.curate.dedup import DedupConfig, run
from veo_core.media.signature import SIDE, STEPS, Signature
from veo_core.records.clip import Clip, MediaFacts, Signals, Source
from veo_core.records.files import FileRef

REF = FileRef(path="objects/00/0", sha256="0" * 64, bytes=0)
SIGNALS = Signals(
    motion=1, sharpness=0.7, luma=50, contrast=20, text=0, bars=0, loudness=-25, clipped=0, sync=0.0
)
FACTS = MediaFacts(
    width=64, height=64, fps=8, frames=17, seconds=2.125, audio_rate=48000, audio_seconds=2.125
)


def pictures(path=1.0, level=40.0, noise=0.0):
    """A bright disc that crosses a graded picture; `path` says how far it gets."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    frames = np.full((STEPS, SIDE, SIDE, 3), level) + 20 * x[None, :, :, None]
    for step, frame in enumerate(frames):
        inside = (x - 0.2 - 0.6 * path * step / STEPS) ** 2 + (y - 0.4) ** 2 < 0.03
        frame[inside] = (230, 60, 60)
    frames += np.random.default_rng(0).normal(0, noise, frames.shape)
    return np.clip(frames, 0, 255).astype(np.uint8)


def clip(name, shown, packets="", permission="allowed", **signals):
    source = Source(source_id=name, name=name, file=REF, origin="test", ml_training=permission)
    return Clip(
        clip_id=name,
        source=source,
        shot=0,
        start=0,
        media=REF,
        facts=FACTS,
        signals=SIGNALS.model_copy(update=signals),
        packet_hash=packets or name,
        frame_hashes=[],
        signature=Signature(shown).to_text(),
        key_frames=[],
    )


@pytest.fixture
def dedup(store):
    def run_on(*clips, **config):
        manifest = run(
            clips=manifest_of(store, clips), config=DedupConfig(**config), context=context(store, "dedup")
        )
        kept = {kept.clip_id for kept in read_clips(manifest, store)}
        return kept, {decision.item: decision for decision in ledger_of(manifest, store)}

    return run_on


def test_equal_packets_are_an_exact_duplicate_whatever_they_show(dedup):
    kept, ledger = dedup(clip("a", pictures(), "p"), clip("b", pictures(0.1, 90), "p"))
    assert len(kept) == 1
    (dropped,) = {"a", "b"} - kept
    assert ledger[dropped].rule == "exact_duplicate"
    assert kept.pop() in ledger[dropped].evidence


@pytest.mark.parametrize(
    "alter",
    [
        lambda shown: shown,
        lambda shown: shown[:, :, ::-1],
        lambda shown: shown[:, ::-1],
        lambda shown: np.clip(shown + np.random.default_rng(1).normal(0, 2, shown.shape), 0, 255).astype(
            np.uint8
        ),
    ],
    ids=["same", "mirrored", "upside down", "noisy"],
)
def test_altered_copy_is_a_near_duplicate(dedup, alter):
    kept, ledger = dedup(clip("a", pictures()), clip("b", alter(pictures())))
    assert len(kept) == 1
    (dropped,) = {"a", "b"} - kept
    assert ledger[dropped].rule == "near_duplicate"


@pytest.mark.parametrize("other", [pictures(level=52), pictures(path=0.4)], ids=["background", "motion"])
def test_scene_that_differs_in_one_respect_is_kept(dedup, other):
    kept, _ = dedup(clip("a", pictures()), clip("b", other))
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
        kept, _ = dedup(clip(names[0], pictures(), **better), clip(names[1], pictures(noise=1), **worse))
        assert kept == {names[0]}


def test_chain_of_look_alikes_does_not_swallow_its_far_end(dedup):
    """b resembles a and c; a and c do not resemble each other, and a is the best."""
    a, b, c = pictures(level=40), pictures(level=41.5), pictures(level=43)
    kept, ledger = dedup(
        clip("a", a, sharpness=0.9), clip("b", b, sharpness=0.8), clip("c", c, sharpness=0.7), max_colour=2.0
    )
    assert kept == {"a", "c"}
    assert "copy of a " in ledger["b"].evidence


def test_result_does_not_depend_on_the_order_of_the_clips(dedup):
    clips = [clip(name, pictures(noise=index)) for index, name in enumerate("abcd")]
    assert dedup(*clips)[0] == dedup(*clips[::-1])[0]


def test_no_clips_give_no_clips(dedup):
    assert dedup() == (set(), {})
