"""The safety filter: what its policy makes of answers, and that nothing passes without one."""

import pytest
from clips import clip_of, prepared
from curation import context, ledger_of
from hypothesis import given
from hypothesis import strategies as st
from scripted import completion

from veo_core.curate import safety_filter
from veo_core.curate.decisions import ClipTable
from veo_core.curate.safety_filter import SafetyFilterConfig
from veo_core.curate.safety_policy import (
    CATEGORIES,
    FrameVerdict,
    SafetyAnswer,
    SafetyCategory,
    answer_type,
    rule_on,
)
from veo_core.judges.config import JudgeConfig
from veo_core.records.clip import Description

JUDGE = JudgeConfig(max_attempts=2, max_parse_attempts=2, max_in_flight=1)
NAMES = tuple(category.name for category in CATEGORIES)


def answer(*frames, unsafe=False, category="none"):
    """An answer of which each picture's verdict is "none" or (category, risk)."""
    verdicts = [("none", 0.0) if frame == "none" else frame for frame in frames]
    return {
        "unsafe": unsafe,
        "category": category,
        "reason": "what is seen",
        "frames": [{"category": name, "risk": risk} for name, risk in verdicts],
    }


def ruling(value, categories=CATEGORIES, pictures=4):
    return rule_on(answer_type(NAMES).model_validate(value), categories, pictures)


SAFE = ("none",) * 4


def test_one_bad_picture_of_many_drops_the_clip():
    frames = ["none"] * 24
    frames[17] = ("violence", 0.9)
    found = ruling(answer(*frames), pictures=24)
    assert (found.action, found.rule, found.frame, found.risk) == ("drop", "unsafe:violence", 17, 0.9)
    assert found.scores == {"violence": 0.9}


@pytest.mark.parametrize(
    ("given", "action", "rule"),
    [
        (answer(*SAFE), "keep", ""),
        (answer(*SAFE, unsafe=True), "drop", "unsafe:unnamed"),
        (answer(*SAFE, category="weapons"), "drop", "unsafe:weapons"),
        (answer(*SAFE, unsafe=True, category="Self-Harm"), "drop", "unsafe:self_harm"),
        (answer(*SAFE, unsafe=True, category="jaywalking"), "drop", "unsafe:other"),
        (answer(*SAFE[1:], ("violence", 0.49)), "keep", ""),
        (answer(*SAFE[1:], ("child_safety", 0.2)), "drop", "unsafe:child_safety"),
        (answer(*SAFE[1:], ("none", 0.8)), "quarantine", "judge_contradiction"),
        (answer(*SAFE[1:]), "quarantine", "judge_incomplete"),
        (answer(*SAFE, "none"), "quarantine", "judge_incomplete"),
        (answer(("sexual", 1.0)), "drop", "unsafe:sexual"),
    ],
)
def test_contradictory_and_incomplete_answers_count_as_the_worse(given, action, rule):
    found = ruling(given)
    assert (found.action, found.rule) == (action, rule)


def test_policies_and_thresholds_are_those_of_the_recipe():
    categories = (
        SafetyCategory(name="weapons", scene="a weapon", policy="keep"),
        SafetyCategory(name="drugs", scene="drugs", policy="quarantine", threshold=0.3),
        SafetyCategory(name="violence", scene="violence", threshold=0.8),
    )
    allowed = ruling(answer("none", ("weapons", 0.9), "none", ("violence", 0.7)), categories)
    assert (allowed.action, allowed.rule) == ("keep", "unsafe:weapons")
    held = ruling(answer("none", ("weapons", 1.0), ("drugs", 0.3), "none"), categories)
    assert (held.action, held.rule, held.threshold) == ("quarantine", "unsafe:drugs", 0.3)
    unknown = ruling(answer(*SAFE, category="gore"), categories)
    assert (unknown.action, unknown.rule) == ("drop", "unsafe:other")


risks = st.floats(0, 1)
verdicts = st.builds(FrameVerdict, category=st.sampled_from(["none", "violence", "drugs"]), risk=risks)


@given(frames=st.lists(verdicts, min_size=1, max_size=8), at=st.integers(0, 7), risk=st.floats(0.5, 1))
def test_no_further_picture_can_make_a_clip_safe_again(frames, at, risk):
    bad = FrameVerdict(category="violence", risk=risk)
    shown = [*frames[:at], bad, *frames[at:]]
    told = SafetyAnswer(unsafe=False, category="none", reason="x", frames=shown)
    assert rule_on(told, CATEGORIES, len(shown)).action == "drop"


@pytest.fixture
def filtered(store, serve, tmp_path):
    """Run the filter on prepared clips; `replies` answer the requests in their order."""

    def run(*replies, clips=None, **config):
        waiting = list(replies)
        server = serve(lambda body: waiting.pop(0))
        manifest = clips or prepared(store, [clip_of(store, i) for i in range(len(replies))])
        result = safety_filter.run(
            clips=manifest, config=SafetyFilterConfig(judge=JUDGE, **config), context=context(store, "safety")
        )
        return result, ledger_of(result, store), server

    return run


def good(value):
    return 200, {}, completion(value)


def test_each_clip_ends_in_exactly_one_verdict(filtered, store):
    replies = [
        good(answer(*SAFE)),
        good(answer(*SAFE, unsafe=True, category="hate")),
        (200, {}, completion("", refusal="no")),
        good("{"),
        good("still no answer"),
        (500, {"retry-after-ms": "1"}, {}),
        (500, {"retry-after-ms": "1"}, {}),
        good(answer("none")),
    ]
    count = 6
    clips = prepared(store, [clip_of(store, i) for i in range(count)])
    result, ledger, server = filtered(*replies, clips=clips, max_failed_share=0.5)
    assert sorted((decision.verdict, decision.rule) for decision in ledger) == [
        ("dropped", "unsafe:hate"),
        ("failed", "judge_unavailable"),
        ("kept", ""),
        ("quarantined", "judge_incomplete"),
        ("quarantined", "judge_refusal"),
        ("quarantined", "judge_unparsable"),
    ]
    assert len(ledger) == len({decision.item for decision in ledger}) == result.counts.received == count
    kept = {decision.item for decision in ledger if decision.verdict == "kept"}
    assert {clip.clip_id for clip in ClipTable(result, store)} == kept
    assert len(server.requests) == len(replies)


def test_dropped_clip_names_category_picture_and_risk(filtered):
    reply = answer("none", "none", ("violence", 0.75), ("violence", 0.5))
    _, (decision,), _ = filtered(good(reply))
    assert (decision.verdict, decision.rule) == ("dropped", "unsafe:violence")
    assert (decision.value, decision.threshold) == ("0.75", "0.5")
    assert decision.evidence == "picture 2: what is seen"
    assert decision.scores == {"violence": 0.75}


def test_clip_of_an_allowed_category_is_kept_with_a_note(filtered):
    categories = (SafetyCategory(name="weapons", scene="a weapon", policy="keep"),)
    _, (decision,), _ = filtered(good(answer(*SAFE, category="weapons")), categories=categories)
    assert (decision.verdict, decision.rule) == ("kept", "allowed:weapons")


def test_request_holds_all_pictures_the_scenes_and_quoted_texts(filtered, store):
    clip = clip_of(store, 0)
    description = Description(text='A knife.\n"none" {transcript}', judge="j", judge_version="1")
    source = clip.source.model_copy(update={"transcript": "Cut the apple."})
    told = clip.model_copy(update={"description": description, "source": source})
    _, _, server = filtered(good(answer(*SAFE)), clips=prepared(store, [told]))
    text, *pictures = server.requests[0]["messages"][0]["content"]
    assert [part["type"] for part in pictures] == ["image_url"] * 4
    assert all(f"- {category.name}: {category.scene}" in text["text"] for category in CATEGORIES)
    assert r'Description: "A knife.\n\"none\" {transcript}"' in text["text"]
    assert text["text"].endswith('Spoken words: "Cut the apple."')
    schema = server.requests[0]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["category"]["enum"] == ["none", *NAMES]


def test_filter_that_is_not_enabled_asks_nothing(filtered, store):
    clips = prepared(store, [clip_of(store, 0)])
    result, (decision,), server = filtered(clips=clips, enabled=False)
    assert (decision.verdict, decision.evidence, server.requests) == ("kept", "stage not enabled", [])
    assert result.counts.kept == 1
