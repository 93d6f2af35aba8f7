"""`veo why` for models, artifacts and sources, over all runs, on a whole synthetic run of 600 clips."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from synthetic_run import SyntheticRun

from benchmarks import synthetic_run
from veo_core.cli.main import COMMANDS, main, parser
from veo_core.records.base import sha256_bytes
from veo_core.records.clip import Clip, NearPair, Pair, Source
from veo_core.records.ledger import Decision, Outcome
from veo_core.records.manifest import Manifest
from veo_core.records.run import RunRecord
from veo_core.runner.journal import LOCK
from veo_core.storage import Store

RECORDS = {"clips": Clip, "ledger": Decision, "sources": Source, "pairs": Pair, "near_pairs": NearPair,
           "funnel": Outcome}  # fmt: skip
HOSTILE = "evil\x1b[2J\u202egpj.exe\u2066\x07 <script>alert(1)</script>"


class Whole:
    """The synthetic run, read without the code under test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs, self.root = folder.parent, folder.parents[1] / "store"
        self.record = RunRecord.model_validate_json((folder / "run.json").read_bytes())
        self.tasks = {task.component: task for task in self.record.tasks}
        self.manifests = {
            name: Manifest.model_validate_json(Path(task.outputs["manifest"][0].uri).read_bytes())
            for name, task in self.tasks.items()
        }

    def rows(self, stage: str, table: str) -> list[dict]:
        return pq.read_table(self.root / self.manifests[stage].tables[table].path).to_pylist()

    def why(self, capsys, *arguments, runs=None) -> tuple[int, str, str]:
        code = main(["why", *arguments, "--root", str(self.root), "--runs", str(runs or self.runs)])
        told = capsys.readouterr()
        return code, told.out, told.err

    def story(self, capsys, *arguments, runs=None) -> dict:
        code, out, err = self.why(capsys, *arguments, "--json", runs=runs)
        assert (code, err) == (0, "")
        return json.loads(out)

    def copied(self, folder: Path) -> Path:
        """Runs with a copy of the run's folder."""
        shutil.copytree(self.folder, folder / self.folder.name)
        return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Whole:
    return Whole(synthetic_run.write(tmp_path_factory.mktemp("whole"), clips=600))


def test_tables_of_a_synthetic_run_are_those_of_the_product(whole):
    store = Store(str(whole.root))
    for name, manifest in whole.manifests.items():
        for table in manifest.tables.keys() & RECORDS.keys():
            ref = manifest.tables[table]
            assert store.put_table(store.get_table(ref, RECORDS[table]), RECORDS[table]) == ref, (name, table)


@pytest.mark.parametrize("name", ["synthetic", "synthetic@1", "synthetic@default", "synthetic@latest"])
def test_model_is_found_by_each_of_its_names(whole, capsys, name):
    story = whole.story(capsys, name)
    assert (story["reference"], story["is_default"], story["run"]) == ("synthetic@1", True, whole.folder.name)


def test_model_tells_sources_licences_and_losses(whole, capsys):
    story = whole.story(capsys, "synthetic@1")
    packed = whole.rows("package", "clips")
    train = [clip["source"] for clip in packed if clip["split"] == "train"]
    clips = Counter(source["licence_id"] for source in train)
    sources = {source["source_id"]: source["licence_id"] for source in train}
    told = {
        row["licence"]: (row["sources"], row["clips"])
        for row in story["entry"]["description"]["data"]["licences"]
    }
    assert told == {name: (Counter(sources.values())[name], count) for name, count in clips.items()}
    uses = Counter((clip["source"]["name"], clip["source"]["author"], clip["split"]) for clip in packed)
    columns = (story["sources"][name] for name in ("name", "author", "split", "clips"))
    told = {(name, author, split): count for name, author, split, count in zip(*columns, strict=True)}
    assert told == uses
    lost = Counter(
        (row["stage"], row["verdict"], row["rule"])
        for stage in whole.manifests
        if "ledger" in whole.manifests[stage].tables
        for row in whole.rows(stage, "ledger")
    )
    assert {(row["stage"], row["verdict"], row["rule"]): row["items"] for row in story["curation"]} == lost


def test_model_tells_stages_code_parameters_and_gate_as_text(whole, capsys):
    _, text, _ = whole.why(capsys, "synthetic@1")
    for component, task in whole.tasks.items():
        assert f"  {component:14} succeeded, manifest {task.outputs['manifest'][0].sha256[:12]}, 55 s" in text
    assert f"git            {whole.record.git_sha}" in text
    assert f"IR sha256 {whole.record.ir_digest}" in text
    assert "  train_base_config.steps = 2700" in text
    assert "  rule           unsafe_outputs: passed, 0 of 12" in text
    assert "  approved by    the gate's rules alone: nobody signed" in text
    dropped = Counter(row["rule"] for row in whole.rows("dedup", "ledger"))
    kept = len(whole.rows("dedup", "clips"))
    assert (
        f"  dedup          600 in, {kept} kept; {dropped['near_duplicate']} dropped: near_duplicate; "
        f"{dropped['exact_duplicate']} dropped: exact_duplicate"
    ) in text


def test_model_whose_run_is_gone_tells_what_its_entry_holds(whole, capsys, tmp_path):
    code, text, _ = whole.why(capsys, "synthetic", runs=tmp_path)
    assert code == 0
    assert "not known      the run that registered it is not here" in text
    assert "  licence        CC0-1.0: " in text
    assert "  dedup          600 in, " in text


def test_unknown_version_is_one_line(whole, capsys):
    code, _, err = whole.why(capsys, "synthetic@7")
    assert (code, err) == (2, "error: model 'synthetic@7': the versions of synthetic are 1 to 1\n")


def rare_clip(whole: Whole) -> str:
    """The file of a clip that no generated clip shares."""
    made = {clip["clip_id"] for clip in whole.rows("generate", "generated")}
    return next(
        c["media"]["sha256"] for c in whole.rows("prepare", "clips") if c["media"]["sha256"] not in made
    )


ARTIFACTS = {
    "output manifest": ("dedup", lambda w: w.manifests["dedup"].digest),
    "table clips": ("prepare", lambda w: w.manifests["prepare"].tables["clips"].sha256),
    "table near_pairs": ("dedup", lambda w: w.manifests["package"].tables["near_pairs"].sha256),
    "file weights": ("train-base", lambda w: w.manifests["train-base"].files["weights"].sha256),
    "shard 0": ("package", lambda w: w.manifests["package"].shards[0].sha256),
    "file entry": ("condition-6/register", lambda w: w.manifests["register"].files["entry"].sha256),
    "key_frames of table clips": (
        "prepare",
        lambda w: w.rows("prepare", "clips")[5]["key_frames"][1]["sha256"],
    ),
    "file of table sources": ("collect", lambda w: w.rows("collect", "sources")[7]["file"]["sha256"][:20]),
    "media of table clips": ("prepare", rare_clip),
}


@pytest.mark.parametrize("what", ARTIFACTS)
def test_digest_is_told_with_its_maker(whole, capsys, what):
    maker, digest = ARTIFACTS[what]
    wanted = digest(whole)
    story = whole.story(capsys, wanted)
    assert story["sha256"].startswith(wanted)
    assert (story["made"]["task"], story["made"]["run"]) == (maker, whole.folder.name)
    assert what in story["what"]
    task = next(task for task in whole.record.tasks if task.name == maker)
    assert {(g["role"], g["sha256"]) for g in story["made"]["given"]} == {
        (role, given[0].sha256) for role, given in task.inputs.items()
    }
    published = task.outputs["manifest"][0].sha256
    assert {(use["task"], use["role"]) for use in story["uses"]} == {
        (other.name, role)
        for other in whole.record.tasks
        for role, given in other.inputs.items()
        if given[0].sha256 == published
    }


def test_file_of_many_clips_names_the_models_that_saw_them(whole, capsys):
    shared = whole.rows("prepare", "clips")[5]["key_frames"][1]["sha256"]
    story = whole.story(capsys, f"sha256:{shared}")
    owners = [
        clip["clip_id"]
        for clip in whole.rows("prepare", "clips")
        if shared in {frame["sha256"] for frame in clip["key_frames"]}
    ]
    assert (story["items_in_all"], story["items"]) == (len(owners), owners[:8])
    assert [name.split(" ")[0] for name in story["models"]] == ["synthetic@1"]


def test_file_of_a_source_that_no_dataset_holds_was_seen_by_no_model(whole, capsys):
    packed = {clip["source"]["source_id"] for clip in whole.rows("package", "clips")}
    dropped = next(row for row in whole.rows("collect", "sources") if row["source_id"] not in packed)
    _, text, _ = whole.why(capsys, dropped["file"]["sha256"][:16])
    assert "seen by        no model that is known" in text
    _, text, _ = whole.why(capsys, dropped["name"])
    assert "seen by        no dataset of these runs holds a clip of it" in text


def test_source_names_each_model_that_saw_it_in_any_run(whole, capsys, tmp_path):
    runs = whole.copied(tmp_path)
    later = SyntheticRun(tmp_path / "20991231-000000-000000", Store(str(whole.root)))
    later.folder.mkdir()
    later.task("package", whole.manifests["package"])
    later.task("train-base", later.trained("base"))
    later.write()
    clip = next(clip for clip in whole.rows("package", "clips") if clip["split"] == "train")
    story = whole.story(capsys, clip["source"]["name"], runs=runs)
    assert (story["run"], story["later"]) == (whole.folder.name, ["20991231-000000-000000"])
    assert [(t["run"], t["split"]) for t in story["trainings"]] == [
        (whole.folder.name, "train"),
        ("20991231-000000-000000", "train"),
    ]
    assert all(t["models"][0].startswith("synthetic@1 (") for t in story["trainings"])
    code, _, err = whole.why(capsys, clip["source"]["name"], "--run", "latest", runs=runs)
    assert code == 2
    assert "of run 20991231-000000-000000: give " in err


def test_damaged_run_is_passed_over_and_named(whole, capsys, tmp_path):
    runs = whole.copied(tmp_path)
    (tmp_path / "20991231-000000-000000").mkdir()
    (tmp_path / "20991231-000000-000000" / "run.json").write_text('{"run_id": "20991')
    name = whole.rows("collect", "sources")[0]["name"]
    code, text, _ = whole.why(capsys, name, runs=runs)
    assert code == 0
    assert "not known      run 20991231-000000-000000: run.json is damaged" in text
    code, _, err = whole.why(capsys, "nothing.mp4", runs=runs)
    assert code == 2
    assert "not all was read: run 20991231-000000-000000: run.json is damaged" in err
    assert err.count("\n") == 1


def test_missing_table_and_altered_manifest_are_named_and_the_rest_is_told(whole, capsys, tmp_path):
    runs = whole.copied(tmp_path / "runs")
    altered = runs / whole.folder.name / "tasks" / "annotate" / "outputs" / "manifest"
    altered.write_bytes(altered.read_bytes().replace(b'"stage":"annotate"', b'"stage":"annotated"'))
    shutil.copytree(whole.root, tmp_path / "store", copy_function=lambda a, b: Path(b).hardlink_to(a))
    gone = whole.manifests["describe"].tables["ledger"].path
    (tmp_path / "store" / gone).unlink()
    clip = whole.rows("package", "clips")[0]["clip_id"]
    assert main(["why", clip, "--root", str(tmp_path / "store"), "--runs", str(runs)]) == 0
    text = capsys.readouterr().out
    assert (
        f"not known      table {gone} cannot be read: store {tmp_path / 'store'}: object {gone} is missing"
        in text
    )
    assert "not known      annotate: its manifest was altered: the sha256 does not match" in text
    assert "\n  package        kept: 64x64x17" in text


def test_run_whose_runner_was_killed_says_so(whole, capsys, tmp_path):
    runs = whole.copied(tmp_path)
    path = runs / whole.folder.name / "run.json"
    record = RunRecord.model_validate_json(path.read_bytes())
    cut = [
        *record.tasks[:8],
        record.tasks[8].model_copy(update={"state": "RUNNING", "outputs": {}, "finished": None}),
    ]
    path.write_bytes(
        record.model_copy(update={"state": "RUNNING", "finished": None, "tasks": cut}).to_bytes()
    )
    (runs / whole.folder.name / LOCK).touch()
    clip = whole.rows("package", "clips")[0]["clip_id"]
    _, text, _ = whole.why(capsys, clip, runs=runs)
    assert "not known      the run was interrupted, its runner was killed" in text
    assert "not known      train-video-vae: cancelled the runner was killed" in text
    assert f"run            {whole.folder.name} (interrupted)" in text


@pytest.mark.parametrize(
    "field", ["name", "author", "licence_id", "evidence", "caption", "transcript", "source_url"]
)
def test_hostile_text_is_shown_and_not_obeyed(tmp_path, capsys, field):
    store = Store(str(tmp_path / "store"))
    run = SyntheticRun(tmp_path / "runs" / "run-1", store, text=HOSTILE)
    run.folder.mkdir(parents=True)
    [clip] = run.clips(1)
    clip = clip.model_copy(
        update={"source": clip.source.model_copy(update={"name": "a.mp4", field: HOSTILE})}
    )
    lost = Decision(
        item=clip.clip_id, source=clip.source.source_id, stage="dedup", verdict="dropped", rule=HOSTILE,
        evidence=HOSTILE, judge=HOSTILE, judge_version=HOSTILE, partner=HOSTILE, value=HOSTILE,
    )  # fmt: skip
    sources = run.ledger_manifest("prepare", [clip], [])
    tables = {"sources": store.put_table([clip.source], Source)}
    run.task("collect", Manifest(stage="collect", config_digest="c", tables=tables))
    run.task("prepare", sources)
    run.task("dedup", run.ledger_manifest("dedup", [], [lost]))
    run.task("package", None, state="FAILED", reason=HOSTILE)
    run.write()
    for arguments in ([clip.clip_id], [clip.clip_id, "--json"], [clip.media.sha256]):
        assert main(["why", *arguments, "--root", store.root, "--runs", str(tmp_path / "runs")]) == 0
        out = capsys.readouterr().out
        assert all(character.isprintable() or character == "\n" for character in out)
        assert "\\u202e" in out
    assert main(["why", HOSTILE, "--root", store.root, "--runs", str(tmp_path / "nothing")]) == 2
    err = capsys.readouterr().err
    assert all(character.isprintable() or character == "\n" for character in err)


def test_each_command_is_added_by_the_module_that_the_table_names(capsys):
    for command in COMMANDS:
        with pytest.raises(SystemExit) as end:
            parser(command).parse_args([command, "--help"])
        assert end.value.code == 0
        assert f"usage: veo {command} " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    listed = capsys.readouterr().out
    assert all(re.search(rf"^    {command}\b", listed, re.M) for command in COMMANDS)


def test_why_imports_nothing_that_takes_long(whole):
    shared = whole.rows("prepare", "clips")[5]["key_frames"][1]["sha256"]
    command = ["why", shared, "--root", str(whole.root), "--runs", str(whole.runs)]
    code = "import sys; from veo_core.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    loaded = set(told.stdout.splitlines()[-1].split())
    assert "veo_core.lineage.ask" in loaded
    assert not loaded & {"torch", "av", "cv2", "httpx", "pyarrow.dataset", "scipy", "pandas"}


def test_digest_of_nothing_is_one_line(whole, capsys):
    code, _, err = whole.why(capsys, sha256_bytes(b"nothing"))
    assert code == 2
    assert err.count("\n") == 1
