import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))

from buckets import bucket, gcs_root, s3_root
from serving import Server
from signing import Signer

from veo_core.storage import Store
from veo_core.world.studio import film_clip
from veo_core.world.truth import WorldSpec

__all__ = ["bucket", "gcs_root", "s3_root"]


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
