"""Each metric moves with what it must see, on every step, and does not with what it must not."""

import pytest

from benchmarks.degrade import LADDERS, climb, failures, impact_footage, measured, world_footage
from veo_core.evaluate.metrics.catalogue import BY_NAME, CLIP_METRICS, METRICS, listing
from veo_core.evaluate.summary import summarise
from veo_core.storage import Store

FAST = ("sound late by 0 to 90 ms", "noise in the sound")
FOOTAGE = {"world": world_footage, "impacts": impact_footage}


@pytest.mark.parametrize(
    "ladder",
    [
        pytest.param(
            ladder,
            id=f"{ladder.name} {ladder.footage}",
            marks=pytest.mark.thorough if ladder.name in FAST else pytest.mark.slow,
        )
        for ladder in LADDERS
    ],
)
def test_metrics_move_on_every_rung(ladder, tmp_path):
    store, film = Store(str(tmp_path)), FOOTAGE[ladder.footage]
    clips = film(10 if ladder.name in FAST else 20, 0)
    real = measured(film(10, 1), store, group="real")
    assert failures(ladder, climb(ladder, clips, real, store, seed=0)) == []


def test_names_are_unique_and_every_figure_of_a_summary_is_declared(tmp_path):
    assert len(BY_NAME) == len(METRICS)
    store = Store(str(tmp_path))
    everything = [*measured(world_footage(8, 2), store), *measured(world_footage(8, 3), store, group="real")]
    rows = summarise(
        [row.score for row in everything], seed=0, features=[f for row in everything for f in row.features]
    )
    assert {row.metric for row in rows} <= set(BY_NAME)
    for row in rows:
        metric = BY_NAME[row.metric]
        assert (row.unit, row.better, row.tier) == (metric.unit, metric.better, metric.tier)
        for value in (row.value, row.reference, row.control):
            if value is not None:
                assert metric.low is None or value >= metric.low
                assert metric.high is None or value <= metric.high


def test_every_metric_says_what_it_is_and_where_it_comes_from():
    text = listing()
    assert len(text.splitlines()) == len(METRICS) + 1
    for metric in METRICS:
        assert metric.says
        assert metric.source
        assert metric.tier == 0 or metric.needs
        assert metric.name in text


def test_the_listing_of_clip_metrics_is_what_a_summary_goes_through():
    assert [m.name for m in CLIP_METRICS] == [m.name for m in METRICS[: len(CLIP_METRICS)]]


def test_jumps_after_the_end_of_a_clip_have_no_click():
    """Of 32 clips of this seed some have their last jump after the end."""
    for clip in impact_footage(32, 78):
        assert len(clip.sound) == round(len(clip.frames) / clip.fps * clip.rate)
        assert abs(clip.sound).max() > 0.1
