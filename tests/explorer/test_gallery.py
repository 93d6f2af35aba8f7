"""The gallery's index and queries, against the tables read row by row."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shown import api_of, get, make_run

from veo_core.errors import UsageError
from veo_core.explorer.api import Api
from veo_core.explorer.library import Library, RunsFolder
from veo_core.records.clip import Clip
from veo_core.records.ledger import Decision
from veo_core.storage import Store

from curated_run import CuratedRun  # isort: skip

WITH = {"suppress_health_check": [HealthCheck.function_scoped_fixture], "deadline": None}


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    return CuratedRun(Store(str(folder / "store")), folder / "runs", count=60).write()


@pytest.fixture(scope="module")
def api(curated):
    return Api(Library([RunsFolder(str(curated.runs))], curated.store, lambda folder: False))


@pytest.fixture(scope="module")
def truth(curated):
    """The last decision on each item, and each clip as the last table has it, read row by row."""
    fates, clips = {}, {}
    for manifest in curated.manifests().values():
        for decision in curated.store.get_table(manifest.tables["ledger"], Decision):
            fates[decision.item] = decision
        for clip in (
            curated.store.get_table(manifest.tables["clips"], Clip) if "clips" in manifest.tables else ()
        ):
            clips[clip.clip_id] = clip
    cut = {decision.source for decision in fates.values() if decision.item != decision.source}
    return {
        item: (decision, clips.get(item))
        for item, decision in fates.items()
        if not (decision.item == decision.source and decision.source in cut)
    }


def rows(api, **query):
    return get(api, "clips", limit="500", **query).clips


def test_every_item_is_in_the_gallery_once_with_its_last_decision(api, truth):
    found = {row.id: row for row in rows(api)}
    assert found.keys() == truth.keys()
    for item, (decision, clip) in truth.items():
        row = found[item]
        assert (row.verdict, row.stage, row.rule) == (decision.verdict, decision.stage, decision.rule)
        if clip is None:
            assert (row.media, row.thumbnail) == ("", False)
        else:
            assert (row.media, row.split, row.bucket) == (clip.media.sha256, clip.split, clip.bucket)
            said = clip.annotation.caption if clip.annotation else clip.description.text
            assert (row.name, row.caption) == (clip.source.name, said)
            assert row.signals["motion"] == clip.signals.motion
            assert (row.licence, row.author) == (clip.source.licence_id, clip.source.author)


def test_source_without_rights_is_named_by_what_collect_says(api, curated):
    (row,) = [row for row in rows(api) if row.rule == "rights"]
    assert (row.id, row.name) == (curated.denied.source.source_id, curated.denied.source.name)


@settings(max_examples=40, **WITH)
@given(
    verdicts=st.none() | st.lists(st.sampled_from(["kept", "dropped", "failed"]), max_size=2),
    splits=st.none() | st.lists(st.sampled_from(["train", "validation", ""]), max_size=2),
    low=st.none() | st.floats(0, 2),
    high=st.none() | st.floats(0, 20),
    words=st.sampled_from(["", "described", "AUTHOR", "clip 1", "copy of"]),
    down=st.booleans(),
)
def test_queries_find_what_reading_every_row_finds(api, verdicts, splits, low, high, words, down):
    where = {"signals.motion": {"min": low, "max": high}} if low is not None or high is not None else {}
    where |= {"verdict": verdicts} if verdicts is not None else {}
    where |= {"split": splits} if splits is not None else {}
    where |= {"text": words} if words else {}
    found = rows(api, where=json.dumps(where), sort="-name" if down else "name")

    def fits(row):
        motion = row.signals.get("motion")
        text = "\n".join([row.name, row.caption, row.evidence]).lower()
        return (
            (verdicts is None or row.verdict in verdicts)
            and (splits is None or row.split in splits)
            and ("signals.motion" not in where or motion is not None)
            and (low is None or motion >= low)
            and (high is None or motion <= high)
            and all(word in text or row.id.startswith(word) for word in words.lower().split())
        )

    expected = [row for row in rows(api) if fits(row)]
    assert {row.id for row in found} == {row.id for row in expected}
    assert [row.name for row in found] == sorted((row.name for row in expected), reverse=down)


def test_pages_follow_each_other_without_gap(api, truth):
    pages = [get(api, "clips", sort="-signals.luma", offset=str(at), limit="7") for at in range(0, 70, 7)]
    assert {page.total for page in pages} == {len(truth)}
    ids = [row.id for page in pages for row in page.clips]
    assert len(ids) == len(set(ids)) == len(truth)


def test_unknown_figures_come_last_in_both_directions(api):
    for sort in ("signals.motion", "-signals.motion"):
        known = ["motion" in row.signals for row in rows(api, sort=sort)]
        assert known == sorted(known, reverse=True)


def test_fields_count_every_clip(api, truth):
    document = get(api, "clips/fields")
    fields = {field.name: field for field in document.fields}
    assert document.total == len(truth)
    assert sum(choice.count for choice in fields["verdict"].choices) == len(truth)
    assert {choice.value: choice.count for choice in fields["rule"].choices}["near_duplicate"] == 1
    for field in document.fields:
        if field.kind == "number":
            assert sum(field.bins) == sum(row.signals != {} for row in rows(api))


def test_flows_of_the_funnel_lead_to_their_clips(api):
    for flow in get(api, "funnel").flows:
        if flow.target is None:
            assert get(api, "clips", where=json.dumps(flow.where)).total == flow.items


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"where": "{"}, "no JSON"),
        ({"where": "[]"}, "expected a JSON object"),
        ({"where": '{"colour": ["red"]}'}, "there is no field 'colour'"),
        ({"where": '{"verdict": "kept"}'}, "expected words, a list"),
        ({"where": '{"signals.motion": {"min": "low"}}'}, "min is no number"),
        ({"sort": "colour"}, "there is no field 'colour'"),
        ({"offset": "-1"}, "is no number"),
    ],
)
def test_bad_query_is_one_line_that_says_what_is_wrong(api, query, says):
    with pytest.raises(UsageError, match=says):
        get(api, "clips", **query)


def test_story_tells_decisions_captions_neighbours_and_models(api, curated):
    story = get(api, f"clips/{curated.original.clip_id[:16]}")
    assert [fate.decision.stage for fate in story.fates] == [
        "collect", "prepare", "describe", "dedup", "annotate", "package",
    ]  # fmt: skip
    assert [said.by for said in story.said] == ["describe", "annotate"]
    assert story.said[0].judge == "describer"
    assert [near.id for near in story.neighbours] == [curated.copy.clip_id]
    assert story.duplicates[0].name == curated.copy.source.name
    assert story.trainings[0].run == "run-1"
    assert story.source == curated.original.source
    assert len(story.key_frames) == len(curated.original.key_frames)


def test_story_of_a_copy_names_what_was_kept_for_it(api, curated):
    story = get(api, f"clips/{curated.copy.clip_id}")
    assert story.row.rule == "near_duplicate"
    (near,) = story.neighbours
    assert (near.id, near.score, near.relation) == (
        curated.original.clip_id,
        0.97,
        "kept in place of this",
    )
    assert near.name == curated.original.source.name


def test_clips_that_look_alike_are_neighbours_of_each_other(api, curated):
    first, second = curated.kept[1], curated.kept[2]
    (near,) = get(api, f"clips/{second.clip_id}").neighbours
    assert (near.id, near.score) == (first.clip_id, 0.8)


def test_index_is_built_anew_when_the_run_has_gone_on(tmp_path):
    run = make_run(tmp_path, state="RUNNING")
    run.task("collect", run.ledger_manifest("collect", run.clips(3), []))
    run.write()
    assert get(api_of(run, alive=True), "clips").total == 3
    run.task("prepare", run.ledger_manifest("prepare", run.clips(9), []))
    run.write()
    assert get(api_of(run, alive=True), "clips").total == 9
    assert len(list((run.folder / "explorer").glob("clips-*"))) == 1


def test_run_beside_which_nothing_can_be_written_is_shown_all_the_same(tmp_path):
    run = make_run(tmp_path)
    run.task("collect", run.ledger_manifest("collect", run.clips(3), []))
    run.write()
    (run.folder / "explorer").write_text("a file where the folder should be")
    assert get(api_of(run), "clips").total == 3


def test_clips_of_a_table_that_was_missing_are_shown_once_it_is_back(tmp_path):
    run = make_run(tmp_path)
    manifest = run.ledger_manifest("collect", run.clips(3), [])
    run.task("collect", manifest)
    run.write()
    ledger = tmp_path / "store" / manifest.tables["ledger"].path
    away = ledger.rename(tmp_path / "away")
    assert get(api_of(run), "clips").total == 0
    assert "is missing" in get(api_of(run), "clips/fields").notes[0]
    away.rename(ledger)
    assert get(api_of(run), "clips").total == 3
