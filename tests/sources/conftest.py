import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "curate"))

from serving import Server
from signing import Signer

from veo_core.sources.policy import DownloadPolicy
from veo_core.storage import Store
from veo_core.world.studio import film_clip
from veo_core.world.truth import WorldSpec


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """A video with sound, of a few kilobytes."""
    return film_clip(WorldSpec(clips=1, seed=2), 0, tmp_path_factory.mktemp("film")).path


@pytest.fixture(scope="session")
def signer() -> Signer:
    """Someone who signs C2PA manifests."""
    return Signer()


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture(autouse=True)
def own_downloads(tmp_path, monkeypatch) -> None:
    """Partial downloads of one test are not those of another."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))


@pytest.fixture
def serve():
    """Start a server with a scripted answer."""
    servers = []

    def start(answer, **where) -> Server:
        servers.append(Server(answer, **where))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def policy_for(*servers: Server, **changes) -> DownloadPolicy:
    """A policy that lets downloads reach test servers, and does not wait long."""
    hosts = [server.host for server in servers]
    quick = {"backoff_seconds": 0.0, "max_wait_seconds": 5.0, "read_seconds": 5.0, "max_seconds": 20.0}
    values = {"allowed_hosts": hosts, "allow_private_hosts": hosts, "allow_http": True} | quick | changes
    return DownloadPolicy(**values)
