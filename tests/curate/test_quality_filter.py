"""The quality filter: signals by rule, the judge's answer under rules and policies, blurring on record."""

import json

import pytest
from clips import GOOD, clip_of, prepared
from curation import context, ledger_of
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scripted import completion

from veo_core.curate import quality_filter
from veo_core.curate.content_policy import (
    FLAG_KINDS,
    JUDGED_RULES,
    ContentAnswer,
    FlagPolicies,
    SeenRegion,
    rule_on_content,
)
from veo_core.curate.decisions import ClipTable
from veo_core.curate.quality_filter import QualityFilterConfig
from veo_core.curate.signal_rules import SIGNAL_RULES, Thresholds, broken_rule
from veo_core.errors import UsageError
from veo_core.judges.config import JudgeConfig

JUDGE = JudgeConfig(max_attempts=2, max_parse_attempts=2, max_in_flight=1)
GONE = {"retry-after-ms": "1"}


def answer(*regions, acceptable=True, **seen):
    """An answer; `regions` are (kind, frame, x0, y0, x1, y1)."""
    fields = dict.fromkeys(("text_overlay", "watermark_or_logo", *FLAG_KINDS), False) | seen
    boxes = [dict(zip(("kind", "frame", "x0", "y0", "x1", "y1"), region, strict=True)) for region in regions]
    return fields | {"regions": boxes, "acceptable": acceptable, "reason": "what is seen"}


PLATES = [("plate", frame, 0.1, 0.2, 0.4, 0.4) for frame in range(4)]

BROKEN = {
    "dark": {"luma": 5.0},
    "bright": {"luma": 240.0},
    "underexposed": {"underexposed": 0.99},
    "overexposed": {"overexposed": 0.95},
    "static": {"motion": 0.0},
    "blurred": {"sharpness": 0.1},
    "burnt_in_text": {"text": 0.5},
    "no_audio": {"has_audio": False},
    "silent": {"loudness": -120.0},
    "mostly_silent": {"silence": 1.0},
    "quiet": {"lufs": -71.0},
    "loud": {"lufs": -1.0},
    "clipped_sound": {"clipped": 0.1},
    "duration_gap": {"duration_gap": -2.0},
    "out_of_sync": {"sync": -0.5},
}


@pytest.mark.parametrize("rule", SIGNAL_RULES)
def test_signal_beyond_its_limit_breaks_the_rule_unless_that_is_switched_off(rule):
    signals = GOOD.model_copy(update=BROKEN[rule])
    broken = broken_rule(signals, Thresholds(), SIGNAL_RULES)
    assert broken is not None
    assert broken.rule == rule
    assert broken_rule(signals, Thresholds(), [other for other in SIGNAL_RULES if other != rule]) is None
    assert broken_rule(GOOD, Thresholds(), SIGNAL_RULES) is None


def test_unknown_rule_is_a_usage_error():
    with pytest.raises(UsageError, match="rules"):
        QualityFilterConfig.parse({"rules": ["darkness"]}, where="recipe")


def ruling(value, rules=JUDGED_RULES, policies=None, pictures=4):
    return rule_on_content(ContentAnswer.model_validate(value), rules, policies or FlagPolicies(), pictures)


@pytest.mark.parametrize(
    ("given", "verdict", "rule"),
    [
        (answer(), "kept", ""),
        (answer(text_overlay=True, watermark_or_logo=True), "dropped", "text_overlay"),
        (answer(watermark_or_logo=True), "dropped", "watermark_or_logo"),
        (answer(acceptable=False), "dropped", "unacceptable"),
        (answer(minor=True, acceptable=False), "dropped", "minor"),
        (answer(famous_person=True, face=True), "dropped", "famous_person"),
        (answer(face=True, screen=True), "kept", ""),
        (answer(*PLATES, plate=True), "kept", "blurred:plate"),
        (answer(*PLATES, ("document", 1, 0, 0, 1, 0.5)), "kept", "blurred:plate,document"),
        (answer(plate=True), "quarantined", "no_box:plate"),
        (answer(*PLATES, document=True), "quarantined", "no_box:document"),
        (answer(("minor", 0, 0.1, 0.1, 0.2, 0.2)), "dropped", "minor"),
        (answer(("plate", 4, 0.1, 0.1, 0.2, 0.2)), "quarantined", "judge_contradiction"),
        (answer(("face", -1, 0.1, 0.1, 0.2, 0.2)), "quarantined", "judge_contradiction"),
    ],
)
def test_answer_is_ruled_on_by_rules_and_policies(given, verdict, rule):
    found = ruling(given)
    assert (found.verdict, found.rule) == (verdict, rule)


def test_rules_can_be_switched_off_but_policies_stay():
    seen = answer(watermark_or_logo=True, acceptable=False, minor=True)
    assert ruling(seen, rules=()).rule == "minor"
    assert ruling(seen, rules=(), policies=FlagPolicies(minor="keep")).verdict == "kept"
    assert ruling(seen, rules=("unacceptable",), policies=FlagPolicies(minor="keep")).rule == "unacceptable"


policies = st.builds(FlagPolicies, **{kind: st.sampled_from(["keep", "blur", "drop"]) for kind in FLAG_KINDS})


@given(
    seen=st.fixed_dictionaries({kind: st.booleans() for kind in FLAG_KINDS}),
    boxed=st.lists(st.sampled_from(FLAG_KINDS), max_size=4),
    policies=policies,
)
def test_nothing_that_a_policy_forbids_is_kept_as_it_is(seen, boxed, policies):
    found = ruling(answer(*((kind, 0, 0.1, 0.1, 0.2, 0.2) for kind in boxed), **seen), policies=policies)
    shown = {kind for kind in FLAG_KINDS if seen[kind] or kind in boxed}
    demanded = {kind: getattr(policies, kind) for kind in shown}
    assert (found.verdict == "dropped") == ("drop" in demanded.values())
    if found.verdict == "kept":
        assert {flag.kind for flag in found.to_blur} == {k for k, p in demanded.items() if p == "blur"}
        assert {flag.kind for flag in found.flags} == shown


@pytest.mark.parametrize(
    "corners", [(0.4, 0.2, 0.1, 0.4), (0, 0, 640, 480), (-0.1, 0, 0.5, 0.5), (0.2, 0.2, 0.2, 0.3)]
)
def test_box_in_other_units_or_without_an_inside_is_no_answer(corners):
    with pytest.raises(ValidationError):
        SeenRegion.model_validate(
            dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True)) | {"kind": "face", "frame": 0}
        )


@pytest.fixture
def filtered(store, serve):
    """Run the filter on prepared clips; `replies` answer the requests in their order."""

    def run(*replies, clips=None, **config):
        waiting = list(replies)
        server = serve(lambda body: waiting.pop(0))
        items = clips or [clip_of(store, number) for number in range(len(replies))]
        result = quality_filter.run(
            clips=prepared(store, items),
            config=QualityFilterConfig(**({"judge": JUDGE} | config)),
            context=context(store, "quality_filter"),
        )
        return result, ledger_of(result, store), server

    return run


def good(value):
    return 200, {}, completion(value)


def test_each_clip_ends_in_exactly_one_verdict(filtered, store):
    clips = sorted((clip_of(store, number) for number in range(8)), key=lambda clip: clip.clip_id)
    clips[0] = clips[0].model_copy(update={"signals": GOOD.model_copy(update={"motion": 0.0})})
    replies = [
        good(answer()),
        good(answer(*PLATES)),
        good(answer(watermark_or_logo=True)),
        good(answer(plate=True)),
        (200, {}, completion("", refusal="no")),
        good(answer(("face", 0, 0, 0, 640, 480))),
        good("{"),
        (500, GONE, {}),
        (500, GONE, {}),
    ]
    result, ledger, server = filtered(*replies, clips=clips, max_failed_share=0.5)
    assert [(decision.verdict, decision.rule) for decision in ledger] == [
        ("dropped", "static"),
        ("kept", ""),
        ("kept", "blurred:plate"),
        ("dropped", "watermark_or_logo"),
        ("quarantined", "no_box:plate"),
        ("quarantined", "judge_refusal"),
        ("quarantined", "judge_unparsable"),
        ("failed", "judge_unavailable"),
    ]
    assert [decision.item for decision in ledger] == [clip.clip_id for clip in clips]
    assert [clip.clip_id for clip in ClipTable(result, store)] == [clip.clip_id for clip in clips[1:3]]
    assert len(server.requests) == len(replies)


def test_blurred_clip_has_new_files_flags_and_boxes_on_record(filtered, store):
    clip = clip_of(store, 0)
    result, (decision,), _ = filtered(good(answer(*PLATES, face=True)), clips=[clip])
    (kept,) = ClipTable(result, store)
    assert (decision.verdict, decision.rule) == ("kept", "blurred:plate")
    (flag,) = json.loads(decision.evidence)
    assert (flag["kind"], len(flag["regions"]), flag["regions"][0]["x1"]) == ("plate", 4, 0.4)
    assert [(flag.kind, flag.policy, len(flag.regions)) for flag in kept.flags] == [
        ("face", "keep", 0),
        ("plate", "blur", 4),
    ]
    assert kept.media != clip.media
    assert all(a != b for a, b in zip(kept.key_frames, clip.key_frames, strict=True))
    assert kept.signals == clip.signals


def test_second_run_blurs_and_asks_nothing_again(filtered, store):
    clips = [clip_of(store, number) for number in range(2)]
    first, _, _ = filtered(good(answer(*PLATES)), good(answer()), clips=clips)
    again, _, server = filtered(clips=clips)
    assert again == first
    assert server.requests == []


def test_clip_that_cannot_be_blurred_fails(filtered, store):
    clip = clip_of(store, 0)
    wrong = clip.model_copy(update={"facts": clip.facts.model_copy(update={"frames": 99})})
    _, (decision,), _ = filtered(good(answer(*PLATES)), clips=[wrong], max_failed_share=1.0)
    assert (decision.verdict, decision.rule) == ("failed", "unverified")


def test_signals_alone_decide_where_no_judge_is_asked(filtered, store):
    bad = GOOD.model_copy(update={"loudness": -120.0})
    clips = [clip_of(store, 0), clip_of(store, 1, signals=bad)]
    _, ledger, server = filtered(clips=clips, ask=False)
    assert server.requests == []
    assert sorted((decision.verdict, decision.rule) for decision in ledger) == [
        ("dropped", "silent"),
        ("kept", ""),
    ]


def test_filter_that_is_not_enabled_keeps_everything(filtered, store):
    bad = clip_of(store, 0, signals=GOOD.model_copy(update={"motion": 0.0}))
    _, (decision,), server = filtered(clips=[bad], enabled=False)
    assert (decision.verdict, decision.evidence, server.requests) == ("kept", "stage not enabled", [])
