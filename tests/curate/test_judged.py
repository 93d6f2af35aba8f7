"""The stages that ask a judge, with answers that no good judge gives on demand."""

import itertools

import pytest
from clips import clip_of, prepared
from curation import context, ledger_of
from scripted import completion

from veo_core.curate import annotate, content_policy, describe, quality_filter, safety_filter
from veo_core.curate.decisions import ClipTable
from veo_core.errors import UsageError
from veo_core.judges.config import JudgeConfig
from veo_core.storage import Store

STAGES = {
    "describe": (
        describe.run,
        describe.DescribeConfig,
        {"description": "a circle", "objects": ["circle"], "setting": "dark"},
    ),
    "safety": (
        safety_filter.run,
        safety_filter.SafetyFilterConfig,
        {"unsafe": False, "category": "none", "reason": "shapes"}
        | {"frames": [{"category": "none", "risk": 0.0}] * 4},
    ),
    "quality": (
        quality_filter.run,
        quality_filter.QualityFilterConfig,
        dict.fromkeys(("text_overlay", "watermark_or_logo", *content_policy.FLAG_KINDS), False)
        | {"regions": [], "acceptable": True, "reason": "shapes"},
    ),
    "annotate": (
        annotate.run,
        annotate.AnnotateConfig,
        {"caption": "a circle", "short_caption": "circle", "sound": "a tone"},
    ),
}
QUICK = {"retry-after-ms": "1"}
JUDGE = JudgeConfig(max_attempts=2, max_parse_attempts=2, max_in_flight=2)
_unique = itertools.count()


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """A store, and eight prepared clips in it."""
    store = Store(str(tmp_path_factory.mktemp("judged")))
    return store, prepared(store, [clip_of(store, number) for number in range(8)])


@pytest.fixture
def judged(eight, serve):
    """Run a stage on eight clips; `replies` are the answers to its first requests, `good` to the others."""

    store, small = eight

    def run(stage, *replies, clips=small, good=None, **config):
        function, config_type, answer = STAGES[stage]
        waiting = list(replies)

        def reply(body):
            return waiting.pop(0) if waiting else (200, {}, completion(good or answer))

        server = serve(reply)
        if stage == "quality":  # signals are no subject here: every clip must reach the judge
            config = {"rules": content_policy.JUDGED_RULES} | config
        # A prompt of its own keeps a test from finding the answers of another one in the store.
        settings = {"judge": JUDGE.model_copy(update={"max_in_flight": 1}), "prompt": f"{next(_unique)}"}
        manifest = function(
            clips=clips, config=config_type(**(settings | config)), context=context(store, stage)
        )
        return manifest, ledger_of(manifest, store), server

    return run


def verdicts(ledger):
    return sorted((decision.verdict, decision.rule) for decision in ledger if decision.verdict != "kept")


@pytest.mark.parametrize("stage", STAGES)
def test_good_answers_keep_every_clip_at_one_request_each(judged, stage):
    manifest, ledger, server = judged(stage)
    assert (manifest.counts.received, manifest.counts.kept, len(server.requests)) == (8, 8, 8)
    assert {decision.judge for decision in ledger} == {"world-detector-1"}
    assert all(decision.judge_version.startswith("served-model-2 ") for decision in ledger)


@pytest.mark.parametrize("stage", STAGES)
def test_refusal_quarantines_the_clip(judged, stage):
    _, ledger, _ = judged(stage, (200, {}, completion("", refusal="I would rather not")))
    assert verdicts(ledger) == [("quarantined", "judge_refusal")]
    assert [d.evidence for d in ledger if d.verdict == "quarantined"] == ["I would rather not"]


@pytest.mark.parametrize("stage", STAGES)
def test_answer_that_stays_unparsable_quarantines_the_clip(judged, eight, stage):
    good = (200, {}, completion(STAGES[stage][2]))
    manifest, ledger, _ = judged(stage, good, (200, {}, completion("{")), (200, {}, b"<html>"))
    assert verdicts(ledger) == [("quarantined", "judge_unparsable")]
    assert manifest.counts.kept == len(ClipTable(manifest, eight[0])) == 7


@pytest.mark.parametrize("stage", STAGES)
def test_answer_that_the_server_owes_fails_the_clip(judged, stage):
    good = (200, {}, completion(STAGES[stage][2]))
    _, ledger, _ = judged(stage, good, (500, QUICK, {}), (503, QUICK, {}))
    assert verdicts(ledger) == [("failed", "judge_unavailable")]


@pytest.mark.parametrize("stage", STAGES)
def test_share_of_failed_clips_above_the_limit_fails_the_stage(judged, stage):
    good = (200, {}, completion(STAGES[stage][2]))
    with pytest.raises(UsageError, match="max_failed_share"):
        judged(stage, good, *[(500, QUICK, {})] * 99)


@pytest.mark.parametrize("stage", STAGES)
def test_overload_that_passes_loses_nothing(judged, stage):
    manifest, _, server = judged(stage, (429, QUICK, {}), (200, {}, completion("{")), (500, QUICK, {}))
    assert manifest.counts.kept == 8
    assert len(server.requests) == 11


def test_changed_prompt_asks_again_and_an_unchanged_one_does_not(judged):
    first, _, _ = judged("describe", prompt="one prompt")
    again, _, server = judged("describe", prompt="one prompt")
    assert (again, server.requests) == (first, [])
    other, _, server = judged("describe", prompt="another prompt")
    assert other.config_digest != first.config_digest
    assert len(server.requests) == 8


def test_describe_sends_all_key_frames_in_one_request(judged):
    _, _, server = judged("describe")
    kinds = [part["type"] for part in server.requests[0]["messages"][0]["content"]]
    assert kinds == ["text", "image_url", "image_url", "image_url", "image_url"]


def test_captions_are_cleaned_of_openings_and_addresses(judged, eight):
    answer = {
        "caption": "The video shows a red circle, call 030 1234567",
        "short_caption": "This clip features a circle",
        "sound": "a tone from a@b.example",
    }
    manifest, _, _ = judged("annotate", good=answer)
    annotation = next(iter(ClipTable(manifest, eight[0]))).annotation
    assert annotation.caption == "A red circle, call [phone number]"
    assert (annotation.short_caption, annotation.sound) == ("A circle", "a tone from [e-mail]")


@pytest.mark.parametrize(("sound", "rule"), [("a loud bang", "sound_on_silence"), ("none", "")])
def test_sound_claimed_on_a_silent_clip_is_quarantined(judged, eight, sound, rule):
    store, small = eight
    clip = next(iter(ClipTable(small, store)))
    silent = clip.model_copy(update={"signals": clip.signals.model_copy(update={"loudness": -120.0})})
    answer = {"caption": "a circle", "short_caption": "circle", "sound": sound}
    _, (decision,), _ = judged("annotate", clips=prepared(store, [silent]), good=answer)
    assert (decision.verdict, decision.rule) == ("quarantined" if rule else "kept", rule)


def test_annotate_sends_nine_frames_and_the_sound(judged):
    _, _, server = judged("annotate")
    kinds = [part["type"] for part in server.requests[0]["messages"][0]["content"]]
    assert kinds == ["text", *["image_url"] * 9, "input_audio"]
