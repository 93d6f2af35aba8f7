"""Annotate: what is shown to the judge, and which of its captions are trusted."""

import base64
import itertools

import pytest
from curation import PREPARE, context, ledger_of, manifest_of
from gemini_server import GeminiServer
from gemini_server import answer as gemini_answer
from scripted import ScriptedServer, completion

from veo_core.curate import annotate, collect, prepare
from veo_core.curate.decisions import ClipTable
from veo_core.errors import UsageError
from veo_core.judges.config import JudgeConfig
from veo_core.stage import Part, PartFinished
from veo_core.storage import Store
from veo_core.world.truth import WorldSpec

GOOD = {
    "caption": "A red circle moves left with a low tone.",
    "short_caption": "red circle",
    "sound": "a tone",
}
MODEST = {"caption": "A red circle.", "short_caption": "red circle", "sound": "none"}
JUDGE = JudgeConfig(max_attempts=2, max_parse_attempts=2, max_in_flight=2)
_unique = itertools.count()


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """A store, and four clips in it."""
    store = Store(str(tmp_path_factory.mktemp("annotate")))
    spec = WorldSpec(clips=4, seed=11)
    sources = collect.run(config=collect.CollectConfig(world=spec), context=context(store, "collect"))
    prepared = prepare.run(sources=sources, config=PREPARE, context=context(store, "prepare"))
    clips = list(ClipTable(prepared, store))
    assert len(clips) == 4
    return store, clips


@pytest.fixture
def annotated(filmed, monkeypatch):
    """Annotate clips by a judge that gives `replies` in turn, the last one for ever."""
    store, clips = filmed
    servers = []

    def run(*replies, of=clips[:1], part=None, store=store, server=None, **config):
        waiting = list(replies)

        def reply(body):
            return 200, {}, completion(waiting.pop(0) if len(waiting) > 1 else waiting[0])

        if server is None:
            servers.append(ScriptedServer(reply))
            monkeypatch.setenv("OPENAI_BASE_URL", servers[-1].url)
            server = servers[-1]
        # A prompt of its own keeps a test from finding the answers of another one in the store.
        settings = {"judge": JUDGE, "prompt": f"{annotate.PROMPT} {next(_unique)}"} | config
        manifest = annotate.run(
            clips=manifest_of(store, of),
            config=annotate.AnnotateConfig(**settings),
            context=context(store, "annotate", part=part),
        )
        return manifest, ledger_of(manifest, store), server

    yield run
    for server in servers:
        server.close()


def with_signals(clip, **signals):
    return clip.model_copy(update={"signals": clip.signals.model_copy(update=signals)})


def parts_of(server, number=0):
    return server.requests[number]["messages"][0]["content"]


def test_frames_and_sound_are_shown_in_one_request(annotated, filmed):
    _, _, server = annotated(GOOD, frames=5, frame_side=32)
    assert [part["type"] for part in parts_of(server)] == ["text", *["image_url"] * 5, "input_audio"]
    assert "evenly spaced over 2" in parts_of(server)[0]["text"]
    assert "{" not in parts_of(server)[0]["text"]


def test_sound_that_the_model_does_not_take_is_neither_sent_nor_believed(annotated, filmed):
    manifest, _, server = annotated(GOOD | {"sound_events": ["a bell"]}, evidence=["frames"])
    assert [part["type"] for part in parts_of(server)] == ["text", *["image_url"] * 9]
    assert "heard" not in parts_of(server)[0]["text"]
    annotation = next(iter(ClipTable(manifest, filmed[0]))).annotation
    assert (annotation.sound, annotation.sound_events) == ("", [])


def test_video_is_sent_as_it_is_stored(annotated, filmed):
    store, clips = filmed
    _, _, server = annotated(GOOD, evidence=["video"])
    _, video = parts_of(server)
    assert video["type"] == "video_url"
    data = base64.b64decode(video["video_url"]["url"].removeprefix("data:video/mp4;base64,"))
    assert data == store.get_bytes(clips[0].media)


def test_gemini_annotates_from_the_video_and_hears_it(filmed, annotated, monkeypatch):
    store, clips = filmed
    server = GeminiServer(lambda body: (200, {}, gemini_answer(GOOD)))
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
    try:
        manifest, _, _ = annotated(
            server=server,
            of=clips,
            evidence=["video"],
            video_has_sound=True,
            judge=JUDGE.model_copy(update={"provider": "gemini", "model": "gemini-x"}),
        )
    finally:
        server.close()
    sent = {
        part["inlineData"]["data"] for body in server.requests for part in body["contents"][0]["parts"][1:]
    }
    media = {store.get_bytes(clip.media) for clip in clips}
    assert {base64.urlsafe_b64decode(data) for data in sent} == media
    annotations = [clip.annotation for clip in list(ClipTable(manifest, store))]
    assert {(a.caption, a.sound, a.judge) for a in annotations} == {
        ("A red circle moves left with a low tone.", "a tone", "gemini-x")
    }


@pytest.mark.parametrize("evidence", [[], ["sound"], ["frames", "video"]])
def test_evidence_that_shows_nothing_or_everything_twice_is_refused(evidence):
    with pytest.raises(UsageError, match="evidence"):
        annotate.AnnotateConfig.parse({"evidence": evidence}, where="annotate")


def test_fields_are_kept_cleaned_and_scrubbed_of_the_names_that_the_judge_lists(annotated, filmed):
    answer = GOOD | {
        "caption": "The video shows Jane Doe on a stage. Jane waves.",
        "subject": "the singer Jane Doe",
        "action": "waving",
        "setting": "In this video, a stage",
        "camera": "static close-up",
        "style": "documentary",
        "sound_events": ["applause", "call 030 1234567"],
        "names": ["Jane Doe"],
    }
    manifest, _, _ = annotated(answer)
    annotation = next(iter(ClipTable(manifest, filmed[0]))).annotation
    assert annotation.caption == "A person on a stage. A person waves."
    assert (annotation.subject, annotation.action) == ("the singer", "waving")
    assert (annotation.setting, annotation.camera) == ("A stage", "static close-up")
    assert (annotation.style, annotation.sound_events) == (
        "documentary",
        ["applause", "call [phone number]"],
    )


CLAIMS = [
    ({"loudness": -120.0}, GOOD, "sound_on_silence", "silent (-120 dBFS)"),
    ({"loudness": -120.0}, MODEST | {"sound": "a loud bang"}, "sound_on_silence", "silent (-120 dBFS)"),
    ({"loudness": -10.0}, MODEST, "silence_on_sound", "has sound (-10 dBFS)"),
    ({"loudness": -10.0}, GOOD | {"caption": "A silent video of a circle."}, "silence_on_sound", "has sound"),
    ({"motion": 0.0}, GOOD, "motion_on_static", "nothing moves"),
]


@pytest.mark.parametrize(("signals", "wrong", "rule", "fact"), CLAIMS)
def test_contradicted_claim_is_named_to_the_judge_and_a_mended_answer_counts(
    annotated, filmed, signals, wrong, rule, fact
):
    clip = with_signals(filmed[1][0], **signals)
    mended = GOOD | {"caption": "A red circle."} if signals.get("loudness") != -120.0 else MODEST
    manifest, (decision,), server = annotated(wrong, mended, of=[clip])
    assert (decision.verdict, len(server.requests)) == ("kept", 2)
    correction = parts_of(server, 1)[0]["text"].removeprefix(parts_of(server)[0]["text"])
    assert fact in correction
    assert parts_of(server, 1)[1:] == parts_of(server)[1:]
    assert next(iter(ClipTable(manifest, filmed[0]))).annotation.caption == "A red circle."


@pytest.mark.parametrize(("signals", "wrong", "rule", "fact"), CLAIMS)
def test_claim_that_is_made_again_quarantines_with_what_was_measured(
    annotated, filmed, signals, wrong, rule, fact
):
    clip = with_signals(filmed[1][0], **signals)
    manifest, (decision,), server = annotated(wrong, of=[clip])
    assert (decision.verdict, decision.rule, len(server.requests)) == ("quarantined", rule, 2)
    (value,) = signals.values()
    assert float(decision.value) == value
    assert float(decision.threshold) in (-55.0, -40.0, 0.04)
    assert decision.evidence
    assert manifest.metrics["judge_answers"] == 2


def test_later_run_repeats_neither_the_question_nor_the_correction(annotated, filmed):
    clip = with_signals(filmed[1][0], loudness=-120.0)
    first, _, _ = annotated(GOOD, MODEST, of=[clip], prompt="again")
    second, _, server = annotated(GOOD, of=[clip], prompt="again")
    assert (second, server.requests) == (first, [])


def test_clip_that_cannot_be_read_fails_alone(annotated, filmed):
    store, clips = filmed
    broken = clips[0].model_copy(update={"media": store.put_bytes(b"\0\0\0\x18ftypmp42 broken", ".mp4")})
    manifest, ledger, _ = annotated(GOOD, of=[broken, *clips[1:]], max_failed_share=0.5)
    failed = [d for d in ledger if d.verdict == "failed"]
    assert [(d.item, d.rule) for d in failed] == [(broken.clip_id, "judge_evidence")]
    assert failed[0].evidence.startswith("undecodable: ")
    assert manifest.counts.kept == 3


def test_error_of_the_judge_never_becomes_a_caption(annotated, filmed):
    store, clips = filmed
    manifest, ledger, _ = annotated("I cannot help with that", of=clips, max_failed_share=1.0)
    assert {(d.verdict, d.rule) for d in ledger} == {("quarantined", "judge_unparsable")}
    assert list(ClipTable(manifest, store)) == []


def test_parts_ask_apart_and_the_whole_run_asks_nothing_more(annotated, filmed):
    clips = filmed[1]
    asked = []
    for index in range(3):
        server = ScriptedServer(lambda body: (200, {}, completion(GOOD)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENAI_BASE_URL", server.url)
            with pytest.raises(PartFinished):
                annotated(server=server, of=clips, part=Part(index, 3), prompt="in parts")
        asked += [str(body["messages"]) for body in server.requests]
        server.close()
    assert len(asked) == len(set(asked)) == 4
    whole, _, server = annotated(GOOD, of=clips, prompt="in parts")
    assert (whole.counts.kept, server.requests) == (4, [])


def test_stage_that_is_not_enabled_keeps_all_and_asks_nothing(annotated, filmed):
    store, clips = filmed
    manifest, ledger, server = annotated(GOOD, of=clips, enabled=False)
    assert server.requests == []
    assert {(d.verdict, d.rule, d.evidence) for d in ledger} == {("kept", "", "stage not enabled")}
    assert list(ClipTable(manifest, store)) == sorted(clips, key=lambda clip: clip.clip_id)
