"""The explorer's server: what it hands out, to whom, and what it refuses."""

import io
import json
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from PIL import Image
from shown import api_of, get, make_run
from starlette.testclient import TestClient
from synthetic_run import SyntheticRun

from veo_core.cli.main import main
from veo_core.errors import UsageError
from veo_core.evaluate.records import ClipScore
from veo_core.explorer.media import small_jpeg
from veo_core.explorer.server import application
from veo_core.provenance.copies import SignedCopy, put_copy
from veo_core.records.generated import GeneratedClip
from veo_core.records.manifest import Manifest

ORIGIN = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("served")).whole()
    run.write()
    return run


@pytest.fixture(scope="module")
def api(run):
    return api_of(run)


@pytest.fixture(scope="module")
def client(api):
    return TestClient(application(api), base_url=ORIGIN, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def clip(api):
    return get(api, "clips").clips[0]


@pytest.mark.parametrize("path", ["/", "/api/runs", "/api/runs/run-9", "/static/app.js", "/nothing"])
def test_every_answer_forbids_foreign_scripts_and_requests(client, path):
    policy = client.get(path).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert client.get(path).headers["X-Content-Type-Options"] == "nosniff"


def test_defect_is_no_traceback_and_has_the_headers(api, monkeypatch):
    monkeypatch.setattr(api, "get", lambda path, query: 1 / 0)
    client = TestClient(application(api), base_url=ORIGIN, raise_server_exceptions=False)
    answer = client.get("/api/runs")
    assert (answer.status_code, "ZeroDivision" in answer.text) == (500, False)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", ""])
def test_requests_under_another_host_name_are_refused(client, host):
    assert client.get("/api/runs", headers={"Host": host}).status_code == 403


def test_page_and_its_parts_are_served(client):
    page = client.get("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for name, kind in (("app.js", "text/javascript"), ("app.css", "text/css")):
        assert f"/static/{name}" in page.text
        assert client.get(f"/static/{name}").headers["Content-Type"].startswith(kind)
    assert client.get("/static/..%2Fserver.py").status_code == 404


def test_errors_are_one_line_of_json(client):
    answers = [
        client.get("/api/runs/run-9"),
        client.get("/api/runs/run-1/clips", params={"where": "{"}),
        client.get("/media/run-1/nothing"),
        client.get("/thumb/run-1/nothing"),
        client.delete("/api/runs"),
    ]
    assert [answer.status_code for answer in answers] == [404, 400, 404, 404, 405]
    for answer in answers:
        assert list(answer.json()) == ["error"]
        assert "\n" not in answer.json()["error"]


def test_figures_that_are_no_numbers_are_null(tmp_path):
    run = make_run(tmp_path)
    evaluated = run.evaluation()
    score = run.store.get_table(evaluated.tables["scores"], ClipScore)[0]
    table = run.store.put_table([score.model_copy(update={"motion": float("nan")})], ClipScore)
    run.task("evaluate", evaluated.model_copy(update={"tables": {"scores": table}}))
    run.write()
    text = TestClient(application(api_of(run)), base_url=ORIGIN).get("/api/runs/run-1/evaluation").text
    assert json.loads(text, parse_constant=pytest.fail)["clips"][0]["figures"]["motion"] is None


def test_media_come_with_their_type_and_in_ranges(client, run, clip):
    (file,) = (run.folder.parents[1] / "store" / "objects").rglob(f"{clip.media}.mp4")
    whole = client.get(f"/media/run-1/{clip.media}")
    assert (whole.content, whole.headers["Content-Type"]) == (file.read_bytes(), "video/mp4")
    size = len(whole.content)
    for wanted, start, end in (
        ("0-9", 0, 10),
        ("10-", 10, size),
        ("-5", size - 5, size),
        ("5-999999", 5, size),
    ):
        part = client.get(f"/media/run-1/{clip.media}", headers={"Range": f"bytes={wanted}"})
        assert part.status_code == 206
        assert part.content == whole.content[start:end]
        assert part.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
    past = client.get(f"/media/run-1/{clip.media}", headers={"Range": f"bytes={size}-"})
    assert (past.status_code, past.headers["Content-Range"]) == (416, f"bytes */{size}")


def test_model_files_are_downloads_and_no_pages(client, api):
    for file in get(api, "model").files:
        answer = client.get(f"/media/run-1/{file.sha256}")
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment")


def test_objects_that_the_run_does_not_refer_to_are_not_handed_out(client, run):
    secret = run.store.put_bytes(b"of another run", ".mp4")
    assert client.get(f"/media/run-1/{secret.sha256}").status_code == 404


def test_altered_objects_are_not_handed_out(tmp_path):
    run = make_run(tmp_path).whole()
    run.write()
    api = api_of(run)
    clip = get(api, "clips").clips[0]
    (path,) = (tmp_path / "store" / "objects").rglob(f"{clip.media}.mp4")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    answer = TestClient(application(api), base_url=ORIGIN).get(f"/media/run-1/{clip.media}")
    assert (answer.status_code, "altered" in answer.json()["error"]) == (404, True)


def test_generated_clip_is_handed_out_signed(tmp_path):
    run = make_run(tmp_path).whole()
    clip = run.store.get_table(run.evaluation().tables["scores"], ClipScore)[0]
    made = GeneratedClip(
        clip_id=clip.clip_id, prompt=clip.prompt, split="seen", mode="t2v", seed=1, media=clip.media,
        width=64, height=64, fps=8.0, frames=17, seconds=2.0, audio_rate=48_000,
    )  # fmt: skip
    table = {"generated": run.store.put_table([made], GeneratedClip)}
    run.task("generate-again", Manifest(stage="generate", config_digest="c", rows=1, tables=table))
    run.write()
    signed = run.store.put_bytes(b"signed", ".mp4")
    put_copy(run.store, clip.media.sha256, SignedCopy(statement="s", file=signed))
    client = TestClient(application(api_of(run)), base_url=ORIGIN)
    assert client.get(f"/media/run-1/{clip.media.sha256}").content == b"signed"
    (tmp_path / "store" / signed.path).unlink()
    again = client.get(f"/media/run-1/{clip.media.sha256}")
    assert again.status_code == 404


def test_thumbnail_is_a_small_jpeg(client, clip):
    answer = client.get(f"/thumb/run-1/{clip.id}")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (64, 64)


def test_large_pictures_are_made_small_and_others_refused():
    noise = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(data, "JPEG")
    small = Image.open(io.BytesIO(small_jpeg(data.getvalue())))
    assert small.size == (224, 126)
    for hostile in (b"<svg onload='alert(1)'/>", b"\xff\xd8\xff nothing", data.getvalue() + bytes(8_000_000)):
        with pytest.raises(UsageError, match="no picture"):
            small_jpeg(hostile)


def vote(client, pair, choice="left", **fields):
    body = {"a": "run-1", "b": "run-2", "pair": pair, "choice": choice, "left": "a", **fields}
    return client.post("/api/votes", json=body, headers={"Origin": ORIGIN, "X-Veo": "vote"})


@pytest.fixture
def two(tmp_path):
    """A run, and one beside it that made the same."""
    first = make_run(tmp_path).whole()
    first.write()
    second = first.folder.with_name("run-2")
    second.mkdir()
    SyntheticRun(second, first.store).whole().write()
    return first


def test_votes_are_saved_by_system_and_counted(two):
    client = TestClient(application(api_of(two)), base_url=ORIGIN)
    compared = client.get("/api/compare/run-1/run-2").json()
    pairs = [pair["id"] for pair in compared["pairs"]]
    assert len(pairs) == 8
    assert compared["difference"]["diverging"] == ""
    assert vote(client, pairs[0]).json()["wins_a"] == 1
    assert vote(client, pairs[1], left="b").json()["wins_b"] == 1
    vote(client, pairs[2], choice="tie")
    vote(client, pairs[2], choice="tie")  # counts once
    found = client.get("/api/votes/run-1/run-2").json()
    assert (found["votes"], found["wins_a"], found["wins_b"], found["ties"]) == (3, 1, 1, 1)
    assert found["win_rate"] == 0.5
    assert found["ci_low"] <= 0.5 <= found["ci_high"]
    (saved,) = two.folder.glob("votes-*.jsonl")
    assert len(saved.read_text().splitlines()) == 4
    assert two.text not in saved.read_text()


def test_votes_from_elsewhere_are_refused(two):
    client = TestClient(application(api_of(two)), base_url=ORIGIN)
    pair = client.get("/api/compare/run-1/run-2").json()["pairs"][0]["id"]
    body = {"a": "run-1", "b": "run-2", "pair": pair, "choice": "left", "left": "a"}
    for headers in (
        {},
        {"X-Veo": "vote"},
        {"Origin": ORIGIN},
        {"Origin": "http://evil.example", "X-Veo": "vote"},
        {"Origin": "null", "X-Veo": "vote"},
    ):
        assert client.post("/api/votes", json=body, headers=headers).status_code == 403
    assert vote(client, "nothing").status_code == 400
    assert vote(client, pair, choice="both").status_code == 400
    assert vote(client, pair, rater="x" * 65).status_code == 400
    assert vote(client, pair, rater="x" * 70_000).status_code == 413
    assert not list(two.folder.glob("votes-*"))


def test_command_serves_until_it_is_stopped(run):
    command = [
        sys.executable, "-m", "veo_core.cli.main", "ui", "--port", "0",
        "--runs", str(run.folder.parent), "--root", run.store.root,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        address = server.stdout.readline().split()[2]
        with urllib.request.urlopen(f"{address}api/runs") as answer:
            assert json.load(answer)["runs"][0]["id"] == "run-1"
        server.terminate()
        assert server.wait() == 0


def test_bad_arguments_are_one_line(run, tmp_path, capsys):
    runs, root = str(run.folder.parent), run.store.root
    for arguments, says in (
        (["ui", "--runs", str(tmp_path / "none"), "--root", root], "no such folder"),
        (["ui", "--runs", runs, "--root", str(tmp_path / "none")], "no such folder"),
        (["ui", "--runs", runs, "--root", root, "--port", "99999"], "choose another with --port"),
        (["report", "run-9", "--runs", runs, "--root", root], "no runs are called 'run-9'"),
        (["report", "--runs", runs, "--root", root, "--out", "/none/x.html"], "cannot be written"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert says in error
        assert len(error.splitlines()) == 1
