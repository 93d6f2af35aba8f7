"""What the explorer knows of a run, in whatever state it was left."""

import json
import math
from pathlib import Path

import pytest
from shown import HOSTILE, api_of, get, library_of, make_run
from synthetic_run import EDGES

from veo_core.errors import UsageError
from veo_core.explorer.api import Api, NotFoundError
from veo_core.records.dataset import FilterQuality
from veo_core.records.manifest import Manifest
from veo_core.records.similarity import BINS, SimilarityReport
from veo_core.storage import Store

HARMLESS_TEXT = "0.125, at least 0.05; 0.25 is needed"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with every stage, done."""
    run = make_run(tmp_path_factory.mktemp("whole")).whole()
    run.write()
    return api_of(run)


def test_list_tells_what_each_run_was_and_how_it_ended(whole):
    (run,) = whole.get("/api/runs", {}).runs
    assert (run.state, run.state_words, run.model, run.gate) == ("SUCCEEDED", "succeeded", "world@1", "open")
    assert run.tasks == {"SUCCEEDED": len(EDGES)}
    assert (run.collected, run.kept) == (12, 8)
    assert run.parameters == {"seed": "0", "collect.folder": "a red circle moving left"}
    followed = next(figure for figure in run.headlines if figure.name == "following_all/seen")
    assert math.isclose(followed.value, 21 / 32)
    assert 0.48 < followed.ci_low < followed.value < followed.ci_high < 0.8


def test_run_shows_every_task_with_command_inputs_and_log(whole):
    run = get(whole)
    assert [task.name for task in run.tasks] == list(EDGES)
    assert run.pages == ["funnel", "clips", "training", "evaluation", "model"]
    for task in run.tasks:
        assert f"veo_core.{task.name}" in task.command
        assert f"{task.name}: started" in get(whole, f"tasks/{task.index}/log").text
    assert run.tasks[2].counts["dropped"] == 4


def test_graph_puts_every_task_below_those_it_depends_on(whole):
    graph = get(whole).graph
    layer = {node.name: node.layer for node in graph.nodes}
    assert all(layer[parent] < layer[child] for child, parents in EDGES.items() for parent in parents)
    named = {(graph.nodes[first].name, graph.nodes[second].name) for first, second in graph.links}
    assert ("package", "train-base") not in named  # longer paths imply it
    assert ("dedup", "package") in named


def test_funnel_accounts_for_every_item(whole):
    funnel = get(whole, "funnel")
    for place, stage in enumerate(funnel.stages):
        out = sum(flow.items for flow in funnel.flows if flow.source == place)
        assert out == stage.received + stage.added
    (copies,) = [flow for flow in funnel.flows if flow.rule == "near_duplicate"]
    assert (copies.verdict, copies.items, copies.target) == ("dropped", 4, None)


def test_evaluation_shows_scores_checks_and_what_was_seen_in_each_clip(whole):
    evaluation = get(whole, "evaluation")
    assert [(place.split, place.title) for place in evaluation.places][:2] == [
        ("seen", "Seen"),
        ("held_out", "Held-out"),
    ]
    assert len(evaluation.clips) == 8
    wrong = [a for clip in evaluation.clips for a in clip.attributes if a.name == "direction" and not a.right]
    assert [(a.wanted, a.seen) for a in wrong] == [("left", "right")] * 3
    assert evaluation.promotion.reason == "worse than world@3: a red circle moving left"
    assert [d.verdict for d in evaluation.promotion.differences] == ["worse", "undecided"]
    assert evaluation.safety.titles["unsafe_outputs"] == "Generated clips judged unsafe"


def test_training_pairs_validation_with_its_figure(whole):
    stages = get(whole, "training").stages
    assert [stage.name for stage in stages] == [name for name in EDGES if name.startswith("train-")]
    loss = stages[0].curves[0]
    assert (loss.title, [series.validation for series in loss.series]) == ("loss", [False, True])
    assert loss.series[0].steps == [float(step) for step in range(0, 600, 10)]
    assert loss.series[1].steps == [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]


def test_model_page_names_card_licences_and_files(whole):
    model = get(whole, "model")
    assert model.reference == "world@1"
    assert [(block.kind, block.text) for block in model.card] == [("heading", "card")]
    assert all(file.there for file in model.files)
    assert [licence.clips for licence in model.licences] == [8]


def test_closed_gate_says_which_rule_keeps_it_closed(tmp_path):
    run = make_run(tmp_path, text=HARMLESS_TEXT)
    gate, _ = run.gate(approved=False)
    run.task("safety-evaluation", gate)
    run.write()
    document = get(api_of(run))
    assert (document.gate.met, document.gate.rules) == (1, 2)
    assert [check.reason for check in document.gate.closed_by] == [HARMLESS_TEXT]
    assert document.summary.gate == "closed"


def test_failed_task_comes_with_the_end_of_its_log(tmp_path):
    run = make_run(tmp_path, state="FAILED", text="ValueError: the loss is not finite")
    run.task("collect", run.ledger_manifest("collect", run.clips(3), []))
    run.task("prepare", state="FAILED", exit_code=1, reason="exit code 1")
    run.task("dedup", state="SKIPPED", started=None, finished=None, reason="prepare failed", exit_code=None)
    run.write()
    document = get(api_of(run))
    (notice,) = document.notices
    assert (notice.task, notice.text) == (1, "prepare failed: exit code 1")
    assert "ValueError: the loss is not finite" in notice.log
    assert get(api_of(run), "funnel").unfinished == [
        "prepare: failed exit code 1",
        "dedup: skipped prepare failed",
    ]
    assert document.pages == ["funnel", "clips"]


@pytest.mark.parametrize(
    ("alive", "state", "left"), [(True, "RUNNING", "RUNNING"), (False, "INTERRUPTED", "CANCELLED")]
)
def test_run_whose_runner_is_gone_was_interrupted(tmp_path, alive, state, left):
    run = make_run(tmp_path, state="RUNNING")
    run.task("collect", run.ledger_manifest("collect", run.clips(3), []))
    run.task("prepare", state="RUNNING", finished=None, exit_code=None)
    run.write()
    api = api_of(run, alive=alive)
    document = get(api)
    assert (document.summary.state, document.tasks[1].state) == (state, left)
    assert get(api, "clips").total == 3


def test_empty_run_says_what_is_not_known(tmp_path):
    run = make_run(tmp_path, state="RUNNING")
    run.write()
    document = get(api_of(run, alive=True))
    assert document.graph is None
    assert document.pages == []
    assert {figure.note for figure in document.summary.headlines} == {"not known"}


def test_damaged_record_is_listed_beside_the_others(tmp_path):
    run = make_run(tmp_path).whole()
    record = run.write() / "run.json"
    other = tmp_path / "runs" / "run-2"
    other.mkdir()
    (other / "run.json").write_bytes(record.read_bytes())
    record.write_bytes(record.read_bytes()[:1000])
    api = api_of(run)
    newest, damaged = api.get("/api/runs", {}).runs
    assert (newest.id, newest.state) == ("run-2", "SUCCEEDED")
    assert damaged.state == "DAMAGED"
    document = get(api)
    assert "run.json is damaged" in document.notes[0]
    assert document.tasks == []
    assert get(api, "clips").total == 0
    assert api.get("/api/compare/run-1/run-2", {}).difference is None


def test_damaged_record_tells_what_its_file_and_folder_still_tell(tmp_path):
    run = make_run(tmp_path).whole()
    path = run.write() / "run.json"
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps({**record, "state": "EXPLODED", "git_sha": 5, "created": 7.5}))
    document = get(api_of(run))
    assert (document.summary.state, document.summary.created) == ("DAMAGED", 7.5)
    assert document.summary.git_sha == ""
    assert document.record["state"] == "EXPLODED"
    assert any("tasks have left logs" in note and "tasks/collect/log.txt" in note for note in document.notes)


def test_altered_manifest_is_told_and_the_rest_is_shown(tmp_path):
    run = make_run(tmp_path).whole()
    run.write()
    path = run.folder / "artifacts" / "evaluate" / "manifest"
    path.write_bytes(path.read_bytes().replace(b'"rows":8', b'"rows":9'))
    document = get(api_of(run))
    assert any("evaluate: its manifest was altered" in note for note in document.notes)
    assert "altered" in document.tasks[list(EDGES).index("evaluate")].problem
    assert "funnel" in document.pages


def test_missing_objects_are_told_and_the_rest_is_shown(tmp_path):
    run = make_run(tmp_path).whole()
    run.write()
    objects = run.folder.parents[1] / "store" / "objects"
    for missing in [*objects.rglob("*.jsonl"), *objects.rglob("*.parquet")]:
        missing.unlink()
    api = api_of(run)
    for page in ("training", "funnel", "evaluation", "clips/fields"):
        assert any("missing" in note for note in get(api, page).notes), page
    assert get(api, "evaluation").checks
    assert len(get(api, "funnel").stages) == 3


def test_logs_outside_the_run_are_not_read(tmp_path):
    (tmp_path / "secret.txt").write_text("canary-secret")
    run = make_run(tmp_path)
    run.task("collect", log="../../secret.txt")
    run.write()
    assert get(api_of(run), "tasks/0/log").text == ""


def test_tables_outside_the_store_are_not_read(tmp_path):
    run = make_run(tmp_path)
    found = run.ledger_manifest("collect", run.clips(3), [])
    ledger = found.tables["ledger"]
    secret = tmp_path / "secret.parquet"
    secret.write_bytes((tmp_path / "store" / ledger.path).read_bytes())
    astray = ledger.model_copy(update={"path": "../secret.parquet"})
    run.task("collect", found.model_copy(update={"tables": {"ledger": astray}}))
    run.write()
    api = api_of(run)
    assert get(api, "clips").total == 0
    assert "leads out of the store" in get(api, "funnel").notes[0]


def test_log_is_read_on_from_where_it_ended(tmp_path):
    run = make_run(tmp_path)
    run.task("collect")
    run.write()
    path = run.folder / run.tasks[0].log
    path.write_text("ä" * 100_000)
    first = get(api_of(run), "tasks/0/log")
    assert (first.end, first.size) == (200_000, 200_000)
    assert set(first.text) == {"ä"}
    with path.open("a") as log:
        log.write("more\n")
    later = get(api_of(run), "tasks/0/log", **{"from": str(first.end)})
    assert (later.text, later.start) == ("more\n", 200_000)


def test_hostile_texts_stay_what_they_are(tmp_path):
    run = make_run(tmp_path, text=HOSTILE).whole()
    run.task("</a>", reason=HOSTILE, component=HOSTILE, state="FAILED")
    run.write()
    api = api_of(run)
    assert get(api).tasks[-1].reason == HOSTILE
    assert all(HOSTILE in row.name for row in get(api, "clips").clips if row.media)
    assert get(api, "evaluation").clips[0].prompt == HOSTILE


def test_similarity_and_filter_quality_are_in_the_funnel(tmp_path):
    run = make_run(tmp_path)
    report = SimilarityReport(
        motion=[0] * (BINS - 2) + [7, 12],
        cosine=[0] * (BINS - 1) + [19],
        thresholds={"min_motion": 0.85},
        layers={"packets": 4},
        pairs={"candidates": 19},
    )
    quality = FilterQuality(filter="blurred", precision=1.0, recall=0.9, n=20, evidence="bench")
    found = run.ledger_manifest("dedup", run.clips(3), [])
    files = {"similarity.json": run.store.put_bytes(report.to_bytes(), ".json")}
    tables = found.tables | {"filter_quality": run.store.put_table([quality], FilterQuality)}
    run.task("dedup", found.model_copy(update={"files": files, "tables": tables}))
    run.write()
    funnel = get(api_of(run), "funnel")
    assert funnel.similarity == [report]
    assert funnel.filters == [quality]


def test_run_that_ends_with_the_dataset_tells_its_size_and_of_no_model(tmp_path):
    run = make_run(tmp_path)
    package = run.ledger_manifest("package", run.clips(9), [])
    run.task("package", package.model_copy(update={"metrics": {"train_clips": 7.0, "validation_clips": 2.0}}))
    run.write()
    document = get(api_of(run))
    figures = {figure.name: figure.value for figure in document.summary.headlines}
    assert figures == {"kept": 9, "train_clips": 7, "validation_clips": 2, "shards": 0}
    with pytest.raises(NotFoundError, match="registered no model"):
        get(api_of(run), "model")


def test_iteration_of_a_loop_is_named_by_its_stage_and_number(tmp_path):
    run = make_run(tmp_path)
    run.task("for-loop-1/3/prepare-part", component="prepare-part")
    run.write()
    assert get(api_of(run)).graph.nodes[0].label == "prepare-part 3"


def test_runs_of_one_name_in_two_folders_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        run = make_run(tmp_path / folder, text=folder)
        run.task("collect")
        run.write()
    store = Store(str(tmp_path / "store"))
    api = Api(library_of(tmp_path / "a" / "runs", tmp_path / "b" / "runs", store=store))
    ids = [run.id for run in api.get("/api/runs", {}).runs]
    assert len(set(ids)) == 2
    texts = {api.get(f"/api/runs/{run}", {}).record["platform"] for run in ids}
    assert texts == {"a", "b"}


def test_run_is_read_again_when_its_record_changes(tmp_path):
    run = make_run(tmp_path, state="RUNNING")
    run.task("collect", state="RUNNING")
    run.write()
    api = api_of(run, alive=True)
    assert get(api).summary.tasks == {"RUNNING": 1}
    run.tasks.clear()
    run.task("collect", Manifest(stage="collect", config_digest="c"))
    run.state = "SUCCEEDED"
    run.write()
    assert get(api).summary.tasks == {"SUCCEEDED": 1}


def test_folder_that_is_not_there_is_a_usage_error(tmp_path: Path):
    with pytest.raises(UsageError, match="there is no such folder"):
        library_of(tmp_path / "none", store=Store(str(tmp_path / "store")))


def test_unknown_paths_and_runs_are_not_found(whole):
    for path in ("/api/runs/run-9", "/api/runs/run-1/nothing", "/api", "/api/runs/run-1/tasks/99/log"):
        with pytest.raises(NotFoundError):
            whole.get(path, {})
