"""Runs of the platforms as records: the answers are made of the platforms' own message types."""

import json
import re
import sys
from pathlib import Path

import fsspec
import kfp_server_api
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))

from buckets import s3_bucket
from curated_run import CuratedRun
from google.cloud.aiplatform_v1 import types as vertex_types
from platform_answers import JOB, RUN, Place, kubeflow_answer, kubeflow_version, vertex_answer

from veo_core.cli.main import main
from veo_core.errors import UsageError
from veo_core.lineage.evidence import gather
from veo_core.lineage.importers import kubeflow, vertex
from veo_core.lineage.importers.artifacts import ArtifactFolder
from veo_core.lineage.importers.platform import write_run
from veo_core.records.run import RunRecord, TaskRecord
from veo_core.storage import Store

ROOT = "gs://veo-bucket/pipelines"


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported")
    return CuratedRun(Store(str(folder / "store")), folder / "here").write()


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path / "bucket")


def import_answer(tmp_path, place, platform, answer) -> Path:
    """The folder of the run that `veo runs import` made of an answer."""
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    given = ["--from", platform, "--answer", str(tmp_path / "answer.json"), "--runs", str(tmp_path / "runs")]
    copy = ["--artifacts", str(place.folder)] if place is not None else []
    assert main(["runs", "import", *given, *copy]) == 0
    [folder] = (tmp_path / "runs").iterdir()
    return folder


def record_of(folder: Path) -> RunRecord:
    return RunRecord.model_validate_json((folder / "run.json").read_bytes())


def task(record: RunRecord, name: str) -> TaskRecord:
    return next(task for task in record.tasks if task.name == name)


def test_answers_are_of_the_platforms_own_types(curated, place):
    answer = kubeflow_answer(curated.folder, place)
    assert set(answer) <= set(kfp_server_api.V2beta1Run.attribute_map.values())
    for detail in answer["run_details"]["task_details"]:
        assert set(detail) <= set(kfp_server_api.V2beta1PipelineTaskDetail.attribute_map.values())
    vertex_types.PipelineJob.from_json(json.dumps(vertex_answer(curated.folder, place)))


def test_kubeflow_run_has_the_digests_of_its_manifests(curated, place, tmp_path):
    folder = import_answer(tmp_path, place, "kubeflow", kubeflow_answer(curated.folder, place))
    record = record_of(folder)
    assert (record.target, record.state, record.pipeline) == ("kubeflow", "SUCCEEDED", "veo-from-scratch")
    assert record.launch["platform_run"] == RUN
    manifests = curated.manifests()
    for name in ("collect", "prepare", "describe", "annotate", "package"):
        [artifact] = task(record, name).outputs["manifest"]
        assert artifact.sha256 == manifests[name].digest
        assert artifact.metadata["platform_uri"].startswith(f"{ROOT}/veo-from-scratch/{RUN}/{name}/")
        assert task(record, name).output_parameters["digest"] == manifests[name].digest
    prepare = task(record, "prepare")
    assert prepare.inputs["sources"][0].sha256 == manifests["collect"].digest
    assert prepare.parameters["sources_digest"] == manifests["collect"].digest
    assert (prepare.parameters["seed"], prepare.depends_on) == (7, ["collect", "for-loop-1"])
    order = [task.name for task in record.tasks]
    assert order == ["collect", "prepare", "describe", "dedup", "annotate", "package"]
    assert (prepare.started, prepare.finished) == (1_795_862_210.0, 1_795_862_240.0)
    assert prepare.command[:3] == ["python", "-m", "veo_core.launch.judged"]
    assert "@sha256:" in prepare.code["its image"]


def test_kubeflow_run_says_what_is_not_told(curated, place, tmp_path):
    record = record_of(import_answer(tmp_path, place, "kubeflow", kubeflow_answer(curated.folder, place)))
    cached = task(record, "dedup")
    assert (cached.state, cached.outputs, cached.attempts, cached.exit_code) == ("CACHED", {}, 0, None)
    assert cached.reason == "Kubeflow Pipelines: SKIPPED: its outputs were in the cache"
    unknown = "; ".join(record.unknown)
    assert "exit codes, attempts, memory, library versions, hardware" in unknown
    assert "dedup: its manifest, for the platform does not say where it is" in unknown
    assert "the commit of its code: no label of the run says it" in unknown
    assert "evaluate, safety-evaluation, condition-6/register: the platform lists no such task" in unknown
    assert "train-base" not in {task.name for task in record.tasks}
    assert (record.git_sha, record.python, record.cpus, record.packages) == ("", "", 0, {})


def test_artifacts_are_read_from_the_cluster_s_own_object_store(curated, place, tmp_path):
    answer = kubeflow_answer(curated.folder, place)
    with s3_bucket() as bucket:
        answer["runtime_config"]["pipeline_root"] = f"{bucket.replace('s3://', 'minio://')}/v2/artifacts"
        fs, path = fsspec.core.url_to_fs(f"{bucket}/v2/artifacts", use_listings_cache=False)
        fs.put(f"{place.folder}/", f"{path}/", recursive=True)
        record = record_of(import_answer(tmp_path, None, "kubeflow", answer))
    [artifact] = task(record, "package").outputs["manifest"]
    assert artifact.sha256 == curated.manifests()["package"].digest
    assert artifact.metadata["platform_uri"].startswith("minio://")


def test_kubeflow_version_tells_the_commit(curated, place, tmp_path):
    artifacts = ArtifactFolder(ROOT, str(place.folder))
    answer = kubeflow_answer(curated.folder, place)
    run = kubeflow.read(answer, kubeflow_version(), "http://kfp.example", artifacts)
    record = record_of(write_run(run, tmp_path / "runs", artifacts))
    assert (record.git_sha, record.git_dirty) == ("a" * 40, True)
    assert task(record, "collect").log == f"http://kfp.example/#/runs/details/{RUN}"
    assert record.launch["address"] == f"http://kfp.example/#/runs/details/{RUN}"


@pytest.mark.parametrize("names", ["camelCase", "snake_case"])
def test_vertex_job_has_artifacts_attempts_and_logs(curated, place, tmp_path, names):
    answer = vertex_answer(curated.folder, place, names=names)
    record = record_of(import_answer(tmp_path, place, "vertex", answer))
    assert (record.target, record.state, record.launch["platform_run"]) == ("vertex", "SUCCEEDED", JOB)
    assert (record.git_sha, record.git_dirty, record.created) == ("a" * 40, True, 1_795_862_203.5)
    manifests = curated.manifests()
    for name in ("collect", "dedup", "package"):
        made = task(record, name)
        assert made.outputs["manifest"][0].sha256 == manifests[name].digest
        assert made.outputs["manifest"][0].metadata["rows"] == 12
        assert made.output_parameters["digest"] == "told by the execution"
        assert made.attempts == 2
        assert made.log.startswith("https://console.cloud.google.com/logs/query;query=resource.labels.job_id")
    collect = task(record, "collect")
    assert collect.command[:2] == ["python", "-m"]
    assert re.fullmatch(r".+/veo-curate@sha256:[0-9a-f]{64}", collect.code["its image"])
    assert task(record, "dedup").state == "CACHED"
    assert task(record, "dedup").reason == "Vertex AI Pipelines: SKIPPED: skipped because of a cache hit"
    assert task(record, "package").inputs["clips"][0].sha256 == manifests["annotate"].digest


def test_imported_run_answers_why(curated, place, tmp_path, capsys):
    folder = import_answer(tmp_path, place, "vertex", vertex_answer(curated.folder, place))
    capsys.readouterr()
    code = main(["why", curated.copy.clip_id, "--root", curated.store.root, "--runs", str(folder.parent)])
    told = capsys.readouterr()
    assert (code, told.err) == (0, "")
    assert "dropped: near_duplicate, 0.97 (threshold 0.85)" in told.out
    assert "not known      exit codes, memory, library versions and hardware" in told.out
    assert main(["runs", "--runs", str(folder.parent)]) == 0
    capsys.readouterr()
    image = f"sha256:{1:064x}"
    assert main(["why", image, "--root", curated.store.root, "--runs", str(folder.parent)]) == 0
    assert (
        f"  is             image veo-curate\n  at             registry.example/veo-curate@{image}"
        in capsys.readouterr().out
    )


def test_altered_manifest_of_an_imported_run_is_named(curated, place, tmp_path):
    answer = vertex_answer(curated.folder, place)
    [path] = place.folder.glob("*/*/collect_1/manifest")
    path.write_bytes(path.read_bytes().replace(b'"rows":25', b'"rows":26'))
    evidence = gather(import_answer(tmp_path, place, "vertex", answer), curated.store)
    assert "collect: its manifest was altered: the sha256 does not match" in evidence.notes


def test_missing_artifact_is_said_to_be_unknown(curated, place, tmp_path):
    answer = vertex_answer(curated.folder, place)
    next(place.folder.glob("*/*/prepare_2/manifest")).unlink()
    record = record_of(import_answer(tmp_path, place, "vertex", answer))
    assert task(record, "prepare").outputs["manifest"][0].sha256 == curated.manifests()["prepare"].digest
    assert any("prepare: what manifest holds: gs://" in unknown for unknown in record.unknown)


@pytest.mark.parametrize(
    "uri", ["file:///etc/passwd", "/etc/passwd", f"{ROOT}/../../etc/passwd", "gs://other-bucket/secret", ROOT]
)
def test_nothing_outside_of_the_run_s_root_is_read(tmp_path, uri):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("secret")
    with pytest.raises(UsageError, match="is not below the run's root"):
        ArtifactFolder(ROOT, str(tmp_path / "a" / "b")).read(uri)


def test_name_that_leads_elsewhere_is_refused(curated, place, tmp_path):
    answer = vertex_answer(curated.folder, place)
    tasks = answer["pipelineSpec"]["root"]["dag"]["tasks"]
    tasks["../../outside"] = tasks.pop("collect")
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    given = ["runs", "import", "--from", "vertex", "--answer", str(tmp_path / "answer.json")]
    assert main([*given, "--runs", str(tmp_path / "runs")]) == 2
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("platform", "answer"),
    [("kubeflow", {}), ("kubeflow", {"run_id": 3}), ("vertex", {}), ("vertex", {"taskDetails": "none"})],
)
def test_answer_that_is_no_run_is_one_line(tmp_path, capsys, platform, answer):
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    given = ["--from", platform, "--answer", str(tmp_path / "answer.json"), "--runs", str(tmp_path / "runs")]
    assert main(["runs", "import", *given]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: not understood as a ")
    assert error.count("\n") == 1


def test_unfinished_and_failed_runs_say_how_far_they_came(tmp_path, place):
    folder = tmp_path / "curated"
    run = CuratedRun(Store(str(folder / "store")), folder / "here").write(until="dedup")
    answer = vertex_answer(run.folder, place)
    record = record_of(import_answer(tmp_path, place, "vertex", answer))
    assert task(record, "dedup").state == "FAILED"
    assert task(record, "dedup").reason == "Vertex AI Pipelines: FAILED: the judge server was gone"
    assert task(record, "annotate").state == "PENDING"
    skipped = json.loads(json.dumps(answer)) | {"state": "PIPELINE_STATE_FAILED"}
    skipped["jobDetail"]["taskDetails"].append(
        {"taskId": "90", "taskName": "condition-6", "state": "NOT_TRIGGERED"}
    )
    record = record_of(import_answer(tmp_path, place, "vertex", skipped))
    condition = task(record, "condition-6")
    assert condition.state == "SKIPPED"
    assert condition.reason == "Vertex AI Pipelines: NOT_TRIGGERED: its condition does not hold"
    assert "what became of safety-filter, quality-filter, " in "; ".join(record.unknown)
    assert vertex.read(skipped).address.endswith("?project=123456789012")
