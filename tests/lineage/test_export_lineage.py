"""`veo export lineage`: each file is read by the reference library of its format."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx_schema import problem_of
from exported_run import IMAGE, SHA, ExportedRun
from huggingface_hub import ModelCard

from veo_core.cli.main import main
from veo_core.evaluate.records import SummaryRow
from veo_core.records.run import RunRecord

HOSTILE = "<script>alert(1)</script> \u202egnp.exe [x](javascript:alert(1)) ---\n- a: |\x1b[31m\ud800"
ALL = {
    "openlineage.ndjson",
    "openlineage-facets.schema.json",
    "croissant.json",
    "ml-bom.cdx.json",
    "model-card.md",
    "training-content-summary.json",
    "training-content-summary.md",
}

READ = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlcroissant
dataset = mlcroissant.Dataset(sys.argv[1])
issues = dataset.metadata.ctx.issues
rows = [{key.split("/")[-1]: value.decode() for key, value in row.items()
         if isinstance(value, bytes)} for row in dataset.records("clips")]
print(json.dumps({"errors": sorted(issues.errors), "warnings": sorted(issues.warnings), "rows": rows,
                  "version": str(dataset.metadata.ctx.conforms_to),
                  "published": str(dataset.metadata.date_published)}))
"""


def export(run, out, capsys, *more):
    capsys.readouterr()
    arguments = ["export", "lineage", run.folder.name, str(out), *more]
    code = main([*arguments, "--runs", str(run.runs), "--root", run.store.root])
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ExportedRun(tmp_path_factory.mktemp("exports")).write()


@pytest.fixture(scope="module")
def out(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "export"
    arguments = ["export", "lineage", "latest", str(folder)]
    assert main([*arguments, "--runs", str(run.runs), "--root", run.store.root]) == 0
    return folder


def test_every_file_is_written_and_nothing_in_the_store_or_the_run(run, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in run.runs.parent.rglob("*") if path.is_file()}
    code, listed, error = export(run, tmp_path / "export", capsys)
    assert (code, error) == (0, "")
    assert {Path(line).name for line in listed.splitlines()} == ALL
    assert {path.name for path in (tmp_path / "export").iterdir()} == ALL
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_croissant_is_read_by_mlcroissant_from_where_it_was_exported(run, out, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", READ, str(out / "croissant.json")], capture_output=True, text=True,
        env={"CROISSANT_CACHE": str(tmp_path), "PATH": "", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    read = json.loads(done.stdout.splitlines()[-1])
    assert (read["errors"], read["warnings"]) == ([], [])
    assert "V_1_1" in read["version"]
    assert read["published"].startswith("2026-")
    assert {row["clip_id"] for row in read["rows"]} == {clip.clip_id for clip in run.curated.kept}


def test_croissant_tells_the_run_its_code_and_every_ledger(run, out):
    value = json.loads((out / "croissant.json").read_text())
    made = value["prov:wasGeneratedBy"]
    assert made["prov:label"].startswith("task package of run ")
    assert SHA in json.dumps(made["prov:used"])
    assert value["prov:wasDerivedFrom"] == [{"@id": "collect/sources.parquet"}]
    files = {f["name"]: f["sha256"] for f in value["distribution"] if f["@type"] == "cr:FileObject"}
    assert files["dedup/ledger.parquet"] == run.manifests["dedup"].tables["ledger"].sha256
    assert files["clips.parquet"] == run.manifests["package"].tables["clips"].sha256
    steps = value["rai:dataPreprocessingProtocol"]
    assert "dedup: 24 of 25 kept; 1 dropped: near_duplicate." in steps
    assert "collect: 25 of 26 kept; 1 dropped: rights." in steps


def test_bill_of_materials_is_valid_and_tells_libraries_images_and_tasks(run, out):
    text = (out / "ml-bom.cdx.json").read_text()
    assert problem_of(text) is None
    bill = json.loads(text)
    root = bill["metadata"]["component"]
    assert root["bom-ref"] == run.entry.reference
    assert root["pedigree"] == {"commits": [{"uid": SHA}], "notes": "Files differed from this commit."}
    libraries = {item["name"]: item["purl"] for item in bill["components"] if item["type"] == "library"}
    assert libraries == {"torch": "pkg:pypi/torch@2.11.0", "av": "pkg:pypi/av@16.0"}
    (formula,) = bill["formulation"]
    (image,) = formula["components"]
    assert (image["name"], image["hashes"][0]["content"]) == (IMAGE, "9" * 64)
    (workflow,) = formula["workflows"]
    tasks = {task["uid"]: task for task in workflow["tasks"]}
    assert list(tasks) == [task.name for task in run.made.tasks]
    (made,) = tasks["package"]["outputs"]
    digest = run.made.tasks[5].outputs["manifest"][0].sha256
    assert made["resource"]["externalReference"]["hashes"][0]["content"] == digest
    waited = {item["ref"]: item["dependsOn"] for item in workflow["taskDependencies"]}
    assert waited["task:dedup"] == ["task:prepare"]


def test_validator_refuses_a_workflow_that_is_none(out):
    bill = json.loads((out / "ml-bom.cdx.json").read_text())
    bill["formulation"][0]["workflows"][0]["taskTypes"] = ["dream"]
    assert problem_of(json.dumps(bill)) is not None


def test_card_is_read_by_huggingface_hub_with_every_figure(run, out):
    card = ModelCard.load(out / "model-card.md")
    rows = run.store.get_table(run.evaluation.tables["summary"], SummaryRow)
    measured = {(row.metric, f"{row.split} {row.mode}", row.value) for row in rows if row.value is not None}
    results = card.data.eval_results
    assert {(r.metric_type, r.dataset_name, r.metric_value) for r in results} == measured
    assert {result.task_type for result in results} == {"text-to-video"}
    assert card.data.model_name == run.entry.reference
    assert card.data.license == "unknown"
    assert "n 32" in results[0].metric_name
    assert run.store.get_bytes(run.entry.card).decode() in card.text
    assert f"| Code | git {SHA}, with uncommitted changes |" in card.text
    again = ModelCard(str(card))
    assert again.data.to_dict() == card.data.to_dict()


def test_hostile_text_stays_text_in_every_file(tmp_path, capsys):
    run = ExportedRun(tmp_path, text=HOSTILE.replace("\ud800", ""))
    code, _, _ = export(run.write(platform=HOSTILE.replace("\ud800", "")), tmp_path / "export", capsys)
    assert code == 0
    for path in (tmp_path / "export").iterdir():
        text = path.read_text()
        assert not any(character in text for character in "\u202e\x1b\x07")
        if path.suffix == ".md":
            assert "<script>" not in text
            assert "[x](" not in text
    card = ModelCard.load(tmp_path / "export" / "model-card.md")
    assert card.data.eval_results


def test_curation_only_writes_what_it_has_and_names_the_rest(tmp_path, capsys):
    run = ExportedRun(tmp_path)
    run.made.tasks = run.made.tasks[:6]
    code, listed, error = export(run.write(), tmp_path / "export", capsys)
    assert code == 0
    written = {Path(line).name for line in listed.splitlines()}
    assert written == {"openlineage.ndjson", "openlineage-facets.schema.json", "croissant.json"}
    lines = error.splitlines()
    assert len(lines) == 3
    assert "model-card: not written: the run registered no model: no task 'register' is on record" in lines
    assert any(line.startswith("training-content: not written: the run trained no model") for line in lines)


def test_model_whose_gate_stayed_closed_is_named_with_the_reason(tmp_path, capsys):
    run = ExportedRun(tmp_path)
    run.made.tasks.pop()
    run.add("register", state="SKIPPED", reason="the gate is closed", started=None, finished=None)
    run.write()
    code, _, error = export(run, tmp_path / "export", capsys, "--only", "model-card")
    assert code == 1
    assert "the run registered no model: task register is SKIPPED: the gate is closed" in error
    code, listed, _ = export(run, tmp_path / "summary", capsys, "--only", "training-content")
    assert (code, len(listed.splitlines())) == (0, 2)


def test_interrupted_run_is_exported_as_far_as_it_came(tmp_path, capsys):
    run = ExportedRun(tmp_path)
    run.made.tasks = run.made.tasks[:6]
    run.add("train-base", state="RUNNING", finished=None, exit_code=None)
    run.write(state="RUNNING", finished=None)
    code, _, _ = export(run, tmp_path / "export", capsys)
    assert code == 0
    lines = (tmp_path / "export" / "openlineage.ndjson").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    ends = {e["job"]["name"]: e for e in events if e["eventType"] == "ABORT"}
    assert ends.keys() == {"veo-from-scratch", "veo-from-scratch.train-base"}
    message = ends["veo-from-scratch.train-base"]["run"]["facets"]["errorMessage"]["message"]
    assert message == "the runner was killed"


@pytest.mark.parametrize("damage", ["table", "manifest", "card"])
def test_what_was_altered_is_named_and_not_exported(tmp_path, capsys, damage):
    run = ExportedRun(tmp_path).write()
    path = {
        "table": Path(run.store.root, run.manifests["package"].tables["clips"].path),
        "manifest": run.folder / "artifacts" / "package" / "manifest",
        "card": Path(run.store.root, run.entry.card.path),
    }[damage]
    path.write_bytes(path.read_bytes() + b" ")
    code, listed, error = export(run, tmp_path / "export", capsys)
    assert code == 0
    assert "altered" in error
    lacking = {"table": "croissant.json", "manifest": "croissant.json", "card": "model-card.md"}[damage]
    assert lacking not in {Path(line).name for line in listed.splitlines()}


def test_path_out_of_the_store_is_refused(tmp_path, capsys):
    run = ExportedRun(tmp_path)
    package = run.manifests["package"]
    table = package.tables["clips"].model_copy(update={"path": "../../secret.parquet"})
    run.made.tasks = run.made.tasks[:5]
    run.add("package", package.model_copy(update={"tables": package.tables | {"clips": table}}))
    code, _, error = export(run.write(), tmp_path / "export", capsys, "--only", "croissant")
    assert code == 1
    assert "leads out of the store" in error


def test_damaged_record_is_one_line(tmp_path, capsys):
    run = ExportedRun(tmp_path).write()
    (run.folder / "run.json").write_text("{}")
    code, _, error = export(run, tmp_path / "export", capsys)
    assert (code, len(error.splitlines())) == (2, 1)
    assert "run.json" in error
    assert not (tmp_path / "export").exists()


def test_folder_that_holds_files_is_left_alone(run, tmp_path, capsys):
    (tmp_path / "croissant.json").write_text("mine")
    code, _, error = export(run, tmp_path, capsys)
    assert code == 2
    assert error == f"error: {tmp_path}: holds files; name a folder that is new or empty\n"
    assert (tmp_path / "croissant.json").read_text() == "mine"


def test_record_and_exports_of_one_run_agree(run, out):
    record = RunRecord.model_validate_json((run.folder / "run.json").read_bytes())
    summary = json.loads((out / "training-content-summary.json").read_text())
    assert summary["run"] == record.run_id
    assert f"| Run | {record.run_id} |" in (out / "model-card.md").read_text()
