"""Profiles, and the services that they lead to."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_network
import google_rest
import kfp_server
import pipeline_service
import pytest
import yaml
from certificates import Authority
from google_network import Certified, Proxy
from google_rest import GoogleRest
from kfp_server import KfpServer
from pipeline_service import PROJECT, VertexServer
from submit_profiles import DIGESTS, KUBEFLOW, QUOTAS, REGISTRY, SECRETS, VERTEX

from pipelines.submit import kubeflow, vertex
from pipelines.submit.compiled import Compiled
from pipelines.targets.remote import JudgeServer


@pytest.fixture(autouse=True, scope="session")
def _compiled_once() -> Iterator[None]:
    """The same profile's pipeline is compiled once for all tests; that takes seconds."""
    compile_anew = Compiled.of
    memory: dict[Any, Compiled] = {}

    def of(profile: Path, pipeline: str, choice: int, judge: JudgeServer) -> Compiled:
        lock = (profile.parent / yaml.safe_load(profile.read_text())["images"]).read_text()
        key = (_placement(profile), lock, pipeline, choice, judge)
        if key not in memory:
            memory[key] = compile_anew(profile, pipeline, choice, judge)
        return memory[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compiled, "of", of)
        yield


def _placement(profile: Path) -> str:
    """The profile without what the compiled form does not hold."""
    return json.dumps(yaml.safe_load(profile.read_text()) | {"endpoint": "", "experiment": ""})


@pytest.fixture(scope="session")
def certified(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return Certified.by(authority, tmp_path_factory.mktemp("google"))


@dataclass(frozen=True)
class Google:
    """Google Cloud as the SDKs see it."""

    vertex: VertexServer
    rest: GoogleRest


@pytest.fixture
def google(certified: Certified, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """A project in which nothing is missing, behind Google's own host names."""
    private = google_network.write_account_key(tmp_path / "key.json", PROJECT)
    key_lines = [line for line in private.splitlines() if len(line) > 60]
    vertex = VertexServer(secrets=[*SECRETS.values(), *key_lines, google_rest.ACCESS_TOKEN])
    rest = GoogleRest(images=set(DIGESTS.values()), quotas=dict(QUOTAS))
    with ExitStack() as stack:
        stack.enter_context(pipeline_service.serving(vertex, certified))
        stack.enter_context(google_rest.serving(rest, certified))
        proxy = Proxy(grpc=vertex.port, rest=rest.port)
        stack.callback(proxy.close)
        for name in ("no_proxy", "NO_PROXY", "grpc_proxy", "http_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        environment = {
            "https_proxy": proxy.url,
            "HTTPS_PROXY": proxy.url,
            "REQUESTS_CA_BUNDLE": str(certified.roots),
            "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json"),
            **SECRETS,
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield Google(vertex, rest)


@pytest.fixture
def kfp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpServer]:
    """A cluster of many users, and a token for it."""
    token = tmp_path / "token"
    token.write_text(kfp_server.TOKEN)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    with kfp_server.serving(KfpServer(secrets=[*SECRETS.values(), kfp_server.TOKEN])) as server:
        yield server


WriteProfile = Callable[..., Path]


@pytest.fixture
def write_profile(tmp_path: Path) -> WriteProfile:
    """Writes a profile, with changes of its fields, beside the lock file of its images."""

    def write(base: dict[str, Any], **changes: Any) -> Path:
        lock = {name: f"{REGISTRY}/veo-{name}@{digest}" for name, digest in DIGESTS.items()}
        (tmp_path / "images.lock.json").write_text(json.dumps(lock))
        path = tmp_path / "profile.yaml"
        path.write_text(yaml.safe_dump(base | changes))
        return path

    return write


@dataclass(frozen=True)
class Outcome:
    """How a submitter ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """Its one line of error, without the word."""
        assert self.err.startswith("error: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("error: ").rstrip()


JUDGE = "--set=judge.endpoints=[https://judge.example/v1]"


@pytest.fixture
def submit_vertex(write_profile: WriteProfile, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the submitter to Vertex with a profile, changes of its fields, and arguments; it never waits."""

    def run(*arguments: str, **changes: Any) -> Outcome:
        path = write_profile(VERTEX, **changes)
        given = ["--profile", str(path), "--preset", "smoke", JUDGE, *arguments]
        code = vertex.main(given, pause=lambda seconds: None)
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def submit_kfp(
    kfp: KfpServer, write_profile: WriteProfile, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Runs the submitter to Kubeflow Pipelines likewise."""

    def run(*arguments: str, **changes: Any) -> Outcome:
        path = write_profile(KUBEFLOW | {"endpoint": kfp.url}, **changes)
        given = ["--profile", str(path), "--pipeline=curation", "--preset", "smoke", JUDGE, *arguments]
        code = kubeflow.main(given, pause=lambda seconds: None)
        return Outcome(code, *capfd.readouterr())

    return run
