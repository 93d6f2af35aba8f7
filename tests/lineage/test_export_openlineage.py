"""Runs as OpenLineage events, held against OpenLineage's own client and the run's record."""

import copy
import json
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from exported_run import SHA, ExportedRun
from jsonschema import Draft202012Validator
from openlineage_client import KINDS, event_problems, problems, published_facets

from veo_core.lineage.evidence import gather
from veo_core.lineage.exports.write import write_exports
from veo_core.records.base import sha256_bytes
from veo_core.records.run import Change

KEYS = {
    "run": {"parent", "nominalTime", "processing_engine", "executionParameters", "errorMessage"},
    "job": {"jobType", "sourceCodeLocation"},
    "facets": {"dataSource", "storage", "symlinks", "version", "schema", "ownership"},
    "inputFacets": {"dataQualityMetrics"},
    "outputFacets": {"outputStatistics"},
}
"""Names of facets in the specification that an event may carry; ours begin with `veo_`."""


def exported(run, out):
    write_exports(gather(run.folder, run.store), out, ["openlineage"])
    return [json.loads(line) for line in (out / "openlineage.ndjson").read_text().splitlines()]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out") / "export"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ExportedRun(tmp_path_factory.mktemp("openlineage"), text="caf\u00e9 \u202e<script>\x07").write()


@pytest.fixture(scope="module")
def events(run, out):
    return exported(run, out)


def facets_of(event):
    """Every facet of an event: what it describes, its name, the facet."""
    for name, facet in event["run"]["facets"].items():
        yield "run", name, facet
    for name, facet in event["job"]["facets"].items():
        yield "job", name, facet
    for dataset in (*event["inputs"], *event["outputs"]):
        for kind in ("facets", "inputFacets", "outputFacets"):
            for name, facet in dataset.get(kind, {}).items():
                yield kind, name, facet


def own_schema(out):
    return json.loads((out / "openlineage-facets.schema.json").read_text())


def task_event(events, task, kind):
    (found,) = [e for e in events if e["job"]["name"].endswith(f".{task}") and e["eventType"] == kind]
    return found


def test_every_event_and_every_facet_fits_the_published_schemas(events, out):
    published, own = published_facets(), own_schema(out)
    seen = set()
    for event in events:
        assert event_problems(event) == []
        for kind, name, facet in facets_of(event):
            url = facet["_schemaURL"]
            seen.add(name)
            if name.startswith("veo_"):
                base, _, pointer = url.partition("#")
                assert base == own["$id"]
                fields = {key: value for key, value in facet.items() if not key.startswith("_")}
                schema = {**own, "$ref": f"#{pointer}"}
                assert list(Draft202012Validator(schema).iter_errors(fields)) == []
            else:
                assert name in KEYS[kind]
                assert issubclass(published[url], KINDS[kind])
                assert problems(facet, published[url]) == []
    assert set().union(*KEYS.values()) - seen == {"errorMessage"}
    assert {"veo_run", "veo_task", "veo_licences"} <= seen


@pytest.mark.parametrize(
    "spoil",
    [
        lambda event: event.pop("eventTime"),
        lambda event: event["run"].update(runId="run-1"),
        lambda event: event.update(eventType="DONE"),
        lambda event: event.update(eventTime="yesterday"),
        lambda event: event["outputs"][0].pop("name"),
        lambda event: event["run"]["facets"]["parent"].pop("_producer"),
    ],
)
def test_schemas_refuse_what_is_no_event(events, spoil):
    event = copy.deepcopy(task_event(events, "package", "COMPLETE"))
    spoil(event)
    assert event_problems(event) != []


def test_schemas_refuse_a_facet_without_what_it_requires(events):
    facet = task_event(events, "package", "COMPLETE")["run"]["facets"]["parent"]
    kind = published_facets()[facet["_schemaURL"]]
    assert problems({**facet, "run": {}}, kind) != []
    assert problems({**facet, "_schemaURL": facet["_schemaURL"].replace("1-2-0", "1-1-0")}, kind) != []
    assert problems({**facet, "parents": []}, kind) != []


def test_each_run_starts_and_ends_once_below_the_pipelines_run(events, run):
    runs = {}
    for event in events:
        runs.setdefault(event["run"]["runId"], []).append(event)
    assert all([e["eventType"] for e in own] == ["START", "COMPLETE"] for own in runs.values())
    assert len(runs) == 1 + len(run.made.tasks)
    pipeline = events[0]["run"]["runId"]
    parents = {
        own[0]["run"]["facets"]["parent"]["run"]["runId"] for key, own in runs.items() if key != pipeline
    }
    assert parents == {pipeline}
    assert events[0]["job"]["name"] == "veo-from-scratch"


def test_times_and_code_are_those_of_the_record(events, run):
    task = next(task for task in run.made.tasks if task.name == "dedup")
    start, end = task_event(events, "dedup", "START"), task_event(events, "dedup", "COMPLETE")
    assert datetime.fromisoformat(start["eventTime"]).timestamp() == task.started
    assert datetime.fromisoformat(end["eventTime"]).timestamp() == task.finished
    place = start["job"]["facets"]["sourceCodeLocation"]
    assert (place["version"], place["path"]) == (SHA, "veo_core/curate/dedup.py")
    about = end["run"]["facets"]["veo_task"]
    assert (about["reason"], about["attempts"], about["exitCode"]) == ("miss: never run before", 1, 0)


def test_code_cache_and_machine_are_those_of_the_record(tmp_path):
    run = ExportedRun(tmp_path).write()
    path = run.folder / "run.json"
    record = json.loads(path.read_bytes()) | {"cpu": "a CPU", "accelerators": ["NVIDIA H200, driver 570"]}
    code = {"veo_core/curate/dedup.py": "0" * 64, "python": "3.11.9"}
    dedup = next(task for task in record["tasks"] if task["name"] == "dedup")
    dedup |= {"code": code, "cached_from": "20260101-000000-000000", "state": "CACHED"}
    path.write_text(json.dumps(record))
    events = exported(run, tmp_path / "out")
    about = task_event(events, "dedup", "COMPLETE")["run"]["facets"]["veo_task"]
    assert (about["code"], about["cachedFrom"], about["cached"]) == (code, dedup["cached_from"], True)
    ran = events[0]["run"]["facets"]["veo_run"]
    assert (ran["target"], ran["cpu"]) == ("embedded", "a CPU")
    assert ran["accelerators"] == record["accelerators"]


def test_what_one_task_wrote_the_next_one_read(events, run):
    written = {d["name"]: d for d in task_event(events, "package", "COMPLETE")["outputs"]}
    read = {d["name"]: d for d in task_event(events, "train-base", "START")["inputs"]}
    assert written.keys() == read.keys()
    clips = run.manifests["package"].tables["clips"]
    name = "veo-from-scratch/package/clips"
    for dataset in (written[name], read[name]):
        assert dataset["facets"]["version"]["datasetVersion"] == f"sha256:{clips.sha256}"
        (place,) = dataset["facets"]["symlinks"]["identifiers"]
        assert sha256_bytes(Path(place["name"]).read_bytes()) == clips.sha256
    statistics = written[name]["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (clips.rows, clips.bytes)


def test_columns_are_those_of_the_parquet_file(events, run):
    (dataset,) = [
        d for d in task_event(events, "train-base", "START")["inputs"] if d["name"].endswith("/package/clips")
    ]
    table = pq.read_table(f"{run.store.root}/{run.manifests['package'].tables['clips'].path}")
    fields = dataset["facets"]["schema"]["fields"]
    assert [field["name"] for field in fields] == table.column_names
    source = next(field for field in fields if field["name"] == "source")
    assert [field["name"] for field in source["fields"]] == [
        f.name for f in table.schema.field("source").type
    ]
    counted = dataset["inputFacets"]["dataQualityMetrics"]["columnMetrics"]
    assert counted["clip_id"] == {"nullCount": 0, "count": table.num_rows}
    assert all(counted[name]["nullCount"] == table[name].null_count for name in counted)


def test_packaged_clips_name_their_owners_and_licences(events, run):
    written = {d["name"]: d for d in task_event(events, "package", "COMPLETE")["outputs"]}
    facets = written["veo-from-scratch/package/clips"]["facets"]
    authors = {clip.source.author for clip in run.curated.kept}
    assert {owner["name"] for owner in facets["ownership"]["owners"]} == authors
    licence = "https://creativecommons.org/licenses/by/4.0/"
    assert facets["veo_licences"]["clips"] == {licence: len(run.curated.kept)}


def test_export_made_again_gives_the_same_bytes_of_plain_ascii(run, out, events, tmp_path):
    again = tmp_path / "again"
    assert exported(run, again) == events
    data = (again / "openlineage.ndjson").read_bytes()
    assert data == (out / "openlineage.ndjson").read_bytes()
    assert data.isascii()
    assert not any(byte < 32 and byte != 10 for byte in data)


def test_failed_cancelled_and_skipped_tasks_say_so(tmp_path):
    run = ExportedRun(tmp_path)
    run.add("generate", state="FAILED", reason="exit code 1: no memory", exit_code=1)
    run.add("evaluate-again", state="CANCELLED", reason="the run was cancelled", finished=None)
    run.add("deploy", state="SKIPPED", reason="its condition is false", started=None, finished=None)
    change = Change(when="2026-11-28T00:00:00Z", why="asked", digests={"a": "b"})
    events = exported(run.write(state="FAILED", finished=None, changes=[change]), tmp_path / "out")
    failed = task_event(events, "generate", "FAIL")
    assert failed["run"]["facets"]["errorMessage"]["message"] == "exit code 1: no memory"
    aborted = task_event(events, "evaluate-again", "ABORT")
    last = max(time for task in run.made.tasks for time in (task.started, task.finished) if time)
    assert datetime.fromisoformat(aborted["eventTime"]).timestamp() == last
    assert not [e for e in events if e["job"]["name"].endswith(".deploy")]
    whole = next(e for e in events if e["job"]["name"] == "veo-from-scratch" and e["eventType"] == "FAIL")
    assert whole["run"]["facets"]["veo_run"]["notStarted"] == {"deploy": "its condition is false"}
    assert whole["run"]["facets"]["veo_run"]["changes"][0]["why"] == "asked"
    assert "generate: exit code 1: no memory" in whole["run"]["facets"]["errorMessage"]["message"]
    for event in events:
        assert event_problems(event) == []


def test_running_run_has_no_end_yet(tmp_path):
    run = ExportedRun(tmp_path)
    run.add("generate", state="RUNNING", finished=None, exit_code=None)
    events = exported(run.write(state="RUNNING", finished=None), tmp_path / "out")
    assert [e["eventType"] for e in events if e["job"]["name"] == "veo-from-scratch"] == ["START"]
    assert [e["eventType"] for e in events if e["job"]["name"].endswith(".generate")] == ["START"]


def test_damaged_table_is_told_and_the_rest_is_written(tmp_path):
    run = ExportedRun(tmp_path).write()
    Path(run.store.root, run.manifests["package"].tables["clips"].path).write_bytes(b"no table")
    evidence = gather(run.folder, run.store)
    write_exports(evidence, tmp_path / "out", ["openlineage"])
    assert any("columns of table" in note for note in evidence.notes)
    events = [json.loads(line) for line in (tmp_path / "out" / "openlineage.ndjson").read_text().splitlines()]
    written = {d["name"]: d for d in task_event(events, "package", "COMPLETE")["outputs"]}
    assert "schema" not in written["veo-from-scratch/package/clips"]["facets"]
