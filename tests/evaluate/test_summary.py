"""Figures of sets of clips with known truth."""

import numpy as np
import pytest

from veo_core.evaluate.following import score_attributes
from veo_core.evaluate.records import ClipScore, SeenObject, SummaryRow
from veo_core.evaluate.summary import summarise
from veo_core.records.files import FileRef
from veo_core.world.grammar import parse, prompt_suite

MEDIA = FileRef(path="objects/aa/a.mp4", sha256="a" * 64, bytes=1)


def clip(prompt: str, *, follows: bool = True, **fields: object) -> ClipScore:
    """A clip that shows exactly what its prompt asks for, or nothing."""
    wanted = parse(prompt)
    assert wanted is not None
    objects = [
        SeenObject(shape=item.shape, colour=item.colour, direction=item.direction, size=item.size or "small")
        for item in wanted.objects
        if follows
    ]
    pitch = (wanted.pitch or "") if follows else ""
    values = {
        "clip_id": "a" * 64,
        "group": "generated",
        "prompt": prompt,
        "split": "seen",
        "mode": "t2v",
        "media": MEDIA,
        "objects": objects,
        "pitch": pitch,
        "attributes": score_attributes(wanted, objects, pitch),
        "motion": 3.0,
        "flicker": 0.5,
        "loudness": -20.0,
        "clipped": 0.0,
    }
    return ClipScore.model_validate(values | fields)


def clips(count: int, seed: int = 0, **fields: object) -> list[ClipScore]:
    return [clip(prompt.text, **fields) for prompt in prompt_suite("seen", count, seed)]


def figure(rows: list[SummaryRow], metric: str, split: str = "all", mode: str = "t2v") -> SummaryRow:
    (found,) = [row for row in rows if (row.metric, row.split, row.mode) == (metric, split, mode)]
    return found


def test_clips_that_follow_their_prompts_score_one_and_chance_is_low():
    row = figure(summarise(clips(64), seed=0), "following_all", "seen")
    assert (row.value, row.n, row.ci_high) == (1.0, 64, 1.0)
    assert row.ci_low > 0.94
    assert row.control < 0.05


@pytest.mark.parametrize(
    ("name", "chance"), [("shape", 1 / 3), ("colour", 1 / 4), ("direction", 1 / 4), ("pitch", 1 / 3)]
)
def test_chance_of_an_attribute_is_one_of_its_values(name, chance):
    row = figure(summarise(clips(96), seed=0), f"following_{name}", "seen")
    assert row.value == 1.0
    assert row.control == pytest.approx(chance, abs=0.08)


def test_seen_and_held_out_prompts_are_reported_apart():
    held_out = [
        clip(prompt.text, follows=False, split="held_out") for prompt in prompt_suite("held_out", 16, 0)
    ]
    rows = summarise([*clips(16), *held_out], seed=0)
    assert figure(rows, "following_all", "seen").value == 1.0
    assert figure(rows, "following_all", "held_out").value == 0.0


def test_image_prompts_are_reported_apart():
    rows = summarise([*clips(8), *clips(8, follows=False, split="validation", mode="i2v")], seed=0)
    assert figure(rows, "following_all", "seen").value == 1.0
    assert figure(rows, "following_all", "validation", "i2v").value == 0.0


def test_real_clips_give_the_floor_and_a_row_of_their_own():
    real = clips(10, group="real", split="real", mode="", flicker=0.25)
    rows = summarise([*clips(8, follows=False), *real], seed=0)
    generated = figure(rows, "following_all", "seen")
    assert (generated.value, generated.reference) == (0.0, 1.0)
    assert figure(rows, "flicker").reference == 0.25
    assert figure(rows, "flicker", "real", "").n == 10


def test_without_real_clips_there_is_no_floor():
    assert figure(summarise(clips(4), seed=0), "following_all", "seen").reference is None


def test_a_clip_that_cannot_be_decoded_counts_as_wrong_and_as_not_playable():
    broken = clip(
        "a red circle moving left with a low tone",
        follows=False,
        problem="undecodable: no frame",
        motion=None,
        flicker=None,
        loudness=None,
        clipped=None,
    )
    rows = summarise([*clips(3), broken], seed=0)
    assert figure(rows, "following_all", "seen").value == 0.75
    assert figure(rows, "playable_with_sound").value == 0.75
    assert figure(rows, "motion").n == 3


def test_a_clip_without_sound_is_not_playable_with_sound():
    rows = summarise([*clips(3), *clips(1, loudness=None)], seed=0)
    assert figure(rows, "playable_with_sound").value == 0.75
    assert figure(rows, "loudness").n == 3


def timed(count: int, delay: float, *, jitter: float = 0.0, seed: int = 0) -> list[ClipScore]:
    """Clips whose onsets follow their contacts by `delay` seconds, give or take `jitter`."""
    rng = np.random.default_rng(seed)
    scores = []
    for item in clips(count):
        contacts = sorted((rng.uniform(0.3, 0.8), rng.uniform(1.1, 1.7)))
        onsets = [time + delay + jitter * rng.normal() for time in contacts]
        scores.append(item.model_copy(update={"contacts": contacts, "onsets": onsets}))
    return scores


def test_sound_in_time_matches_every_contact_and_exchanged_sound_does_not():
    rows = summarise(timed(32, 0.0), seed=0)
    for metric in ("sync_share_50ms", "sync_share_100ms"):
        assert figure(rows, metric).value == 1.0
        assert figure(rows, metric).control < 0.5
    assert figure(rows, "sync_error").value == 0.0
    assert figure(rows, "false_onsets").value == 0.0
    assert figure(rows, "false_onsets").control > 0.5


@pytest.mark.parametrize("delay", [-0.4, -0.1, 0.05, 0.25, 0.4])
def test_lag_of_sound_shifted_by_d_is_d(delay):
    assert figure(summarise(timed(16, delay), seed=0), "sync_lag").value == pytest.approx(delay, abs=0.015)


def test_sync_falls_step_by_step_as_sound_is_shifted_further():
    shares = [
        figure(summarise(timed(48, delay, jitter=0.03), seed=0), "sync_share_100ms").value
        for delay in (0.0, 0.05, 0.08, 0.11, 0.14, 0.2)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.98
    assert shares[-1] < 0.05


def test_sync_without_contacts_is_not_measured():
    row = figure(summarise(clips(4), seed=0), "sync_share_100ms")
    assert (row.value, row.ci_low, row.ci_high, row.n) == (None, None, None, 0)


def test_prompts_outside_the_grammar_are_not_scored():
    foreign = [item.model_copy(update={"prompt": "a dog", "attributes": []}) for item in clips(4)]
    row = figure(summarise(foreign, seed=0), "following_all", "seen")
    assert (row.value, row.n) == (None, 0)


def test_summary_with_equal_seed_repeats():
    scores = timed(12, 0.03)
    assert summarise(scores, seed=3) == summarise(scores, seed=3)
