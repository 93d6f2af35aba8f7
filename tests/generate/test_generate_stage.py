"""The stage: every clip carries what the configuration says, and a second run gives equal bytes."""

import threading

import pytest
from tiny_model import store_model

from veo_core.errors import UsageError
from veo_core.generate.generate import Generation, run
from veo_core.generate.identity import generation_id_of
from veo_core.generate.suites import PromptSuite
from veo_core.provenance.copies import as_it_leaves
from veo_core.provenance.read import read_manifest
from veo_core.records.base import sha256_bytes
from veo_core.records.drawing import Drawing
from veo_core.records.generated import GeneratedClip, RefusedPrompt
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.storage.published import published
from veo_core.watermark.evidence import read_marks
from veo_core.world.faults import FaultRates
from veo_core.world.server import JudgeServer

PROMPTS = ("a red circle moving left", "a blue square")
SUITES = ("seen", "held_out", "two_objects", "image_to_video", "unspecified", "red_team")
NONE = dict.fromkeys(SUITES, 0) | {"sampler": {"steps": 1}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(str(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def parts(store) -> dict[str, Manifest]:
    return {
        part: Manifest(stage=part, config_digest="", files=files)
        for part, files in store_model(store).items()
    }


def generated(
    store: Store, parts: dict[str, Manifest], **settings: object
) -> tuple[Manifest, list[GeneratedClip]]:
    config = Generation.parse(NONE | {"prompts": PROMPTS} | settings, where="generate")
    context = Context(stage="generate", store=store, seed=3, key="k" * 32, workers=1)
    latents = Manifest(stage="encode_latents", config_digest="")
    manifest = run(**parts, latents=latents, config=config, context=context)
    return manifest, store.get_table(manifest.tables["generated"], GeneratedClip)


def test_clips_of_the_table_are_marked_and_signed(store, parts):
    _, clips = generated(store, parts)
    assert [clip.prompt for clip in clips] == list(PROMPTS)
    for clip in clips:
        assert clip.mark is not None
        assert clip.mark.generation_id == generation_id_of(clip.prompt, clip.seed)
        assert clip.manifest is not None
        claim = read_manifest(store.get_bytes(as_it_leaves(store, clip.media))).claim
        assert claim is not None
        assert int(claim.model_digest[:4], 16) == clip.mark.model_id
    assert all(row.manifest_right for row in read_marks(clips, store))


def test_manifest_says_how_the_clips_were_drawn(store, parts):
    sampler = {"solver": "unipc", "steps": 2, "guidance_every": 2}
    manifest, _ = generated(store, parts, sampler=sampler, cascade={"steps": 1}, prompts=PROMPTS[:1])
    drawing = published(manifest, "drawing", Drawing, store)
    assert drawing == Drawing.parse({"sampler": sampler, "cascade": {"steps": 1}}, where="drawing")


def test_a_suite_of_the_recipe_is_filmed_line_by_line_and_goes_on_to_the_evaluation(store, parts, tmp_path):
    path = tmp_path / "suite.csv"
    path.write_text("prompt,concept\na red circle,physics\na red circle,physics\na green square,animals\n")
    stated = {"path": str(path), "sha256": sha256_bytes(path.read_bytes())}
    manifest, clips = generated(store, parts, prompts=(), suite=stated)
    lines = ["a red circle", "a red circle", "a green square"]
    assert [(clip.prompt, clip.split) for clip in clips] == [(line, "custom") for line in lines]
    assert len({clip.seed for clip in clips}) == 3
    suite = PromptSuite.model_validate_json(store.get_bytes(manifest.files["suite"]))
    assert suite.tags == {"a red circle": ["concept:physics"], "a green square": ["concept:animals"]}
    path.write_text("prompt\nanother\n")
    with pytest.raises(UsageError, match=r"suite\.csv: its sha256 is"):
        generated(store, parts, suite=stated)


def test_second_run_gives_an_equal_manifest(store, parts):
    assert generated(store, parts)[0].to_bytes() == generated(store, parts)[0].to_bytes()


def test_run_in_another_store_and_signed_with_another_certificate_gives_an_equal_manifest(
    store, parts, tmp_path, monkeypatch
):
    here, _ = generated(store, parts)
    elsewhere = Store(str(tmp_path / "store"))
    assert store_model(elsewhere) == {part: manifest.files for part, manifest in parts.items()}
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    there, clips = generated(elsewhere, parts)
    assert there.to_bytes() == here.to_bytes()
    signed = [as_it_leaves(kept, clips[0].media).sha256 for kept in (store, elsewhere)]
    assert signed[0] != signed[1] != clips[0].media.sha256


def test_switches_leave_clips_unmarked_and_unsigned(store, parts):
    _, clips = generated(store, parts, watermark=False, manifest=False)
    assert [(clip.mark, clip.manifest) for clip in clips] == [(None, None)] * 2
    assert [as_it_leaves(store, clip.media) for clip in clips] == [clip.media for clip in clips]


def refused(store: Store, manifest: Manifest) -> list[RefusedPrompt]:
    return store.get_table(manifest.tables["refused"], RefusedPrompt)


def test_refused_prompts_are_recorded_and_the_others_are_made(store, parts):
    prompts = ("a red circle moving left", "a man stabs another man", "a blue square")
    manifest, clips = generated(store, parts, prompts=prompts)
    assert [clip.prompt for clip in clips] == [prompts[0], prompts[2]]
    (row,) = refused(store, manifest)
    assert (row.prompt, row.split, row.category, row.code, row.tier) == (
        prompts[1],
        "custom",
        "violence",
        300,
        "lexicon",
    )
    assert manifest.metrics == {"clips": 2.0, "refused": 1.0}


def test_attacks_that_the_filter_refuses_are_recorded_and_prompts_of_people_are_made(store, parts):
    settings = {"prompts": (), "red_team": 10, "unspecified_people": 1, "filter": {"lexicon": True}}
    manifest, clips = generated(store, parts, **settings)
    rows = refused(store, manifest)
    assert {row.split for row in rows} == {"red_team"}
    assert len(rows) + sum(clip.split == "red_team" for clip in clips) == 10
    assert [clip.split for clip in clips].count("unspecified") == 1


def test_attacks_that_the_model_cannot_be_asked_have_failed_and_end_nothing(store, parts):
    open_filter = {"prompts": PROMPTS, "red_team": 40, "filter": {"lexicon": False}}
    manifest, clips = generated(store, parts, **open_filter)
    rows = refused(store, manifest)
    assert {(row.split, row.category, row.tier) for row in rows} == {("red_team", "too_long", "model")}
    assert all("the limit is" in row.reason for row in rows)
    assert len(rows) + sum(clip.split == "red_team" for clip in clips) == 40
    with pytest.raises(UsageError, match="the limit is"):
        generated(store, parts, prompts=("a red circle " * 40,))


def test_a_judge_that_answers_nothing_usable_lets_no_prompt_pass(store, parts, monkeypatch):
    with JudgeServer("127.0.0.1", 0, FaultRates(refusal=1.0)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        with pytest.raises(UsageError, match="2 prompts are refused"):
            generated(store, parts, filter_judge={"max_attempts": 1})
        server.faults = FaultRates(refusal=0.5, seed=2)
        manifest, clips = generated(store, parts, filter_judge={"max_attempts": 1, "revision": "2"})
        server.shutdown()
    assert [row.code for row in refused(store, manifest)] == [999]
    assert len(clips) == 1
