"""The container's process: Vertex's environment, SIGTERM, and one line for what is wrong."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from served import PROMPT, process
from tiny_model import tiny_generator

from veo_core.errors import UsageError
from veo_core.export.folder import export_model
from veo_core.serve.__main__ import main
from veo_core.serve.settings import read_settings
from veo_core.storage import Store


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as `veo export model` writes it."""
    folder = tmp_path_factory.mktemp("exported")
    export_model(tiny_generator(Store(str(folder / "store"))), folder / "veo-tiny")
    return folder / "veo-tiny"


@pytest.mark.thorough
def test_vertex_environment_is_all_that_a_container_needs(exported, judge, tmp_path):
    routes = {
        "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
    }
    environment = {
        **routes,
        "AIP_HTTP_PORT": "0",
        "AIP_STORAGE_URI": exported.as_uri(),
        "VEO_SERVE_OUTPUT": str(tmp_path / "clips"),
        "VEO_SERVE_SAMPLER": "{steps: 1}",
        "OPENAI_BASE_URL": judge.url,
    }
    with process(**environment) as server:
        early = server.get(routes["AIP_HEALTH_ROUTE"])
        assert early.status_code in (200, 503)
        assert early.json()["ready"] == (early.status_code == 200)
        if early.status_code == 503:
            assert server.predict({"prompt": PROMPT}, path=routes["AIP_PREDICT_ROUTE"]).status_code == 503
        server.wait_until_ready(routes["AIP_HEALTH_ROUTE"])
        response = server.predict({"prompt": PROMPT}, path=routes["AIP_PREDICT_ROUTE"])
        (prediction,) = response.json()["predictions"]
        assert len(server.get(prediction["uri"]).content) == prediction["bytes"]
        assert server.get("/predict").status_code == 404
        assert server.terminate() == (0, "serving veo-tiny\nstopped\n")
    assert list((tmp_path / "clips" / "objects").rglob(f"{prediction['sha256']}.mp4"))


def test_sigterm_finishes_what_was_accepted_and_takes_no_more(root, tmp_path):
    flags = ("--model", "veo-tiny@1", "--root", root, "--output", str(tmp_path), "--prompt-filter", "off")
    with (
        process(*flags, "--port", "0", "--batch", "2", "--sampler", "{steps: 1}") as server,
        ThreadPoolExecutor(3) as threads,
    ):
        server.wait_until_ready()
        asked = [
            threads.submit(server.predict, {"prompt": PROMPT}, {"prompt": PROMPT}, steps=64) for _ in range(2)
        ]
        while not (server.metric("veo_running_clips") and server.metric("veo_queue_depth")):
            assert not any(future.done() for future in asked)
            threading.Event().wait(0.01)
        ended = threads.submit(server.terminate)
        responses = [future.result() for future in asked]
        assert [response.status_code for response in responses] == [200, 200]
        assert all(len(response.json()["predictions"]) == 2 for response in responses)
        assert ended.result() == (0, "serving veo-tiny@1\nstopped\n")
        with pytest.raises(httpx.ConnectError):
            server.get("/health")


@pytest.fixture
def signals() -> Iterator[None]:
    """Gives back the handlers of signals that a server sets."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--root", "empty"], "model 'veo-world@default': no model of this name is registered"),
        (["--root", "none"], "store none: there is no such folder"),
        (["--model", "file:///missing/model"], "model file:///missing/model"),
        (["--model", "."], "it holds no model_index.json"),
        (["--host", "256.0.0.1"], "cannot listen on 256.0.0.1:0"),
        (["--output", "file"], "store file: cannot be written"),
        (["--prompt-filter", "judge"], "no judge server: set OPENAI_BASE_URL"),
    ],
)
def test_server_that_cannot_start_says_why_in_one_line(tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert main(["--port", "0", "--prompt-filter", "off", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_model_that_takes_more_steps_than_the_server_allows_is_not_served(root, tmp_path, capsys):
    flags = ["--model", "veo-tiny@1", "--root", root, "--output", str(tmp_path), "--prompt-filter", "off"]
    assert main([*flags, "--port", "0", "--steps", "2"]) == 2
    assert "error: serve: sampler.steps 3 is more than --steps 2" in capsys.readouterr().err.splitlines()


def test_prediction_routes_and_port_are_vertex_ones_or_the_usual_ones():
    environment = {"AIP_HTTP_PORT": "7080", "AIP_STORAGE_URI": "gs://b/m", "VEO_SERVE_OUTPUT": "gs://b/o"}
    vertex = read_settings([], environment)
    assert (vertex.host, vertex.port, vertex.inline) == ("0.0.0.0", 7080, False)
    assert (vertex.model, vertex.output) == ("gs://b/m", "gs://b/o")
    own = read_settings([], {})
    assert (own.host, own.port, own.inline) == ("127.0.0.1", 8080, True)
    assert (own.health_route, own.predict_route) == ("/health", "/predict")
    assert (own.model, own.root, own.output) == ("veo-world@default", "store", "served")
    assert read_settings(["--port", "1"], environment).port == 1


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        ([], {"AIP_STORAGE_URI": "gs://b/m"}, "set VEO_SERVE_OUTPUT"),
        ([], {"AIP_PREDICT_ROUTE": "predict"}, "predict_route"),
        (["--port", "70000"], {}, "port"),
        (["--queue", "2"], {}, "--queue 2 has no room for --instances 8"),
        (["--steps", "4", "--sampler", "{steps: 16}"], {}, "sampler.steps 16 is more than --steps 4"),
        (["--deadline", "0"], {}, "limits.deadline"),
        (["--sampler", "{steps: many}"], {}, "sampler: steps: "),
        (["--sampler", "{steps"], {}, "--sampler {steps"),
        (["--sampler", "{guidance: 2}"], {}, "sampler: unknown key 'guidance'"),
        ([], {"VEO_SERVE_BATCH": "0"}, "batch"),
    ],
)
def test_bad_settings_are_said_in_one_line(flags, environment, message):
    with pytest.raises(UsageError) as caught:
        read_settings(flags, environment)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "environment"),
    [(["--port", "x"], {}), (["--prompt-filter", "maybe"], {}), ([], {"AIP_HTTP_PORT": "x"})],
)
def test_flags_that_cannot_be_read_end_with_2(capsys, flags, environment):
    with pytest.raises(SystemExit, match="2"):
        read_settings(flags, environment)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: argument ")
