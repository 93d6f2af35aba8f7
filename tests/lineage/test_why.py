import json
from collections import Counter

import pytest
from curated_run import CuratedRun
from synthetic_run import SyntheticRun

from veo_core.cli.main import main
from veo_core.errors import UsageError
from veo_core.lineage.why import explain
from veo_core.lineage.why_text import story_text
from veo_core.records.generated import GeneratedClip
from veo_core.records.manifest import Manifest
from veo_core.storage import Store


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("why")
    return CuratedRun(Store(str(folder / "store")), folder / "runs", count=60).write()


def veo(run, capsys, *arguments):
    code = main(["why", *arguments, "--root", run.store.root, "--runs", str(run.runs)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_why_on_a_dropped_near_duplicate_names_its_partner_and_both_scores(run, capsys):
    code, text, _ = veo(run, capsys, run.copy.clip_id)
    assert code == 0
    (line,) = [line for line in text.splitlines() if "near_duplicate" in line]
    assert "dropped: near_duplicate, 0.97 (threshold 0.85), colour 0.4, motion 0.97" in line
    assert f"compared with {run.original.clip_id} ({run.original.source.name})" in text


def test_why_tells_the_story_in_the_order_in_which_it_happened(run, capsys):
    _, text, _ = veo(run, capsys, run.original.clip_id[:16])
    shown = ["source ", "file", "author", "licence", "training", "collect"]
    made = ["clip ", "prepared", "signals", "described", "caption"]
    decided = ["prepare ", "dedup", "annotate", "package", "its copy", "packed", "run"]
    order = [*shown, *made, *decided]
    places = [text.index(f"\n  {word}" if word.strip() == word else word) for word in order]
    assert places == sorted(places)
    assert "CC-BY-4.0" in text
    assert "written permission" in text
    assert f"its copy       {run.copy.clip_id} ({run.copy.source.name})" in text
    packed = run.packed.clips[run.original.clip_id]
    assert f"packed         {packed.split}, bucket 64x64x17, shard {packed.shard}" in text


@pytest.mark.parametrize(
    "name",
    [
        lambda clip: clip.source.source_id,
        lambda clip: clip.source.source_id[:10],
        lambda clip: clip.source.name,
        lambda clip: clip.source.source_url,
        lambda clip: clip.source.file.sha256,
    ],
    ids=["id", "start of an id", "file name", "page", "sha256"],
)
def test_source_is_found_by_whatever_names_it(run, name):
    story = explain(name(run.original), run=run.folder, runs=run.runs, store=run.store)
    assert story.source == run.original.source
    assert [clip.clip_id for clip in story.clips] == [run.original.clip_id]


def test_source_that_collect_dropped_is_explained(run, capsys):
    _, text, _ = veo(run, capsys, run.denied.source.name)
    assert "dropped: rights, denied (threshold allowed)" in text


def test_ambiguous_start_of_an_id_is_one_line_that_lists_what_fits(run, capsys):
    ids = [clip.clip_id for clip in run.all] + [clip.source.source_id for clip in [*run.all, run.denied]]
    starts = Counter(name[:3] for name in ids)
    prefix = next(start for start, times in starts.items() if times > 1)
    code, _, error = veo(run, capsys, prefix)
    assert code == 2
    assert error.startswith(f"error: '{prefix}' fits {starts[prefix]}: ")
    assert len(error.splitlines()) == 1


def test_unknown_name_is_one_line(run, capsys):
    code, _, error = veo(run, capsys, "nothing.mp4")
    assert code == 2
    assert "names no model, artifact, source or clip of run run-1" in error


def test_json_holds_the_same_story(run, capsys):
    _, text, _ = veo(run, capsys, run.copy.clip_id, "--json")
    (clip,) = json.loads(text)["clips"]
    (fate,) = [fate for fate in clip["fates"] if fate["decision"]["stage"] == "dedup"]
    assert fate["decision"]["partner"] == run.original.clip_id
    assert fate["decision"]["scores"] == {"motion": 0.97, "colour": 0.4}


def test_interrupted_run_tells_what_is_known_so_far(tmp_path, capsys):
    run = CuratedRun(Store(str(tmp_path / "store")), tmp_path / "runs").write(until="dedup")
    code, text, _ = veo(run, capsys, run.copy.clip_id)
    assert code == 0
    assert "describe       kept" in text
    assert "not known      dedup: failed the judge server was gone" in text


def test_models_trained_on_a_clip_are_named_with_their_run(tmp_path):
    run = CuratedRun(Store(str(tmp_path / "store")), tmp_path / "runs").write()
    later = run.runs / "run-2"
    later.mkdir()
    again = SyntheticRun(later, run.store)
    again.task("package", run.packed.manifest)
    again.task("register", None, output_parameters={"model": "veo-test@3"})
    again.write()
    train = next(clip for clip in run.packed.clips.values() if clip.split == "train")
    story = explain(train.clip_id, run=run.folder, runs=run.runs, store=run.store)
    first, second = story.clips[0].trainings
    assert (first.run, first.split, first.models) == ("run-1", "train", [])
    assert (second.run, second.models) == ("run-2", ["veo-test@3"])


def test_missing_run_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="no such run folder"):
        explain("a", run=tmp_path / "none", runs=tmp_path, store=Store(str(tmp_path / "store")))


def test_generated_clip_is_explained_by_its_prompt(run, capsys, tmp_path):
    made = GeneratedClip(
        clip_id="e" * 64, prompt="a red circle", split="seen", mode="t2v", seed=7,
        media=run.original.media, width=64, height=64, fps=8.0, frames=17, seconds=2.0, audio_rate=16_000,
    )  # fmt: skip
    table = {"generated": run.store.put_table([made], GeneratedClip)}
    folder = tmp_path / "runs" / "run-9"
    folder.mkdir(parents=True)
    again = SyntheticRun(folder, run.store)
    again.task("generate", Manifest(stage="generate", config_digest="c", rows=1, tables=table))
    again.write()
    story = explain("eeeee", run=folder, runs=tmp_path / "runs", store=run.store)
    assert story.generated == made
    assert "a red circle (t2v, seen, seed 7)" in story_text(story)
