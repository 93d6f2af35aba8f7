import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "judges"))
sys.path.insert(0, str(Path(__file__).parents[2]))

from curation import SPEC, Curation, judged_by, manifest_of
from scripted import ScriptedServer

from benchmarks.curate.judge import JudgeProcess
from veo_core.records.manifest import Manifest
from veo_core.storage import Store


@pytest.fixture(scope="session")
def judge(tmp_path_factory):
    """A world judge in a process of its own; stages find it through the environment."""
    with JudgeProcess(tmp_path_factory.mktemp("judge")) as process:
        yield process


@pytest.fixture(scope="session")
def curated(tmp_path_factory, judge) -> Curation:
    """200 clips of the world, half of them flawed, after every stage of curation."""
    root = Path(tmp_path_factory.mktemp("curated"))
    with judged_by(judge):
        return Curation.of(SPEC, Store(str(root)))


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture(scope="session")
def small(curated) -> Manifest:
    """Eight prepared clips of the curated store."""
    return manifest_of(curated.store, curated.clips("prepare")[:8])


@pytest.fixture
def serve(monkeypatch):
    """Start a scripted judge and point the environment at it."""
    servers = []

    def start(reply):
        servers.append(ScriptedServer(reply))
        monkeypatch.setenv("OPENAI_BASE_URL", servers[-1].url)
        return servers[-1]

    yield start
    for server in servers:
        server.close()
