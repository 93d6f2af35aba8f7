"""Servers of registries, and the bucket that Vertex reads models from."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))

from buckets import gcs_root
from model_service import VertexServer

__all__ = ["gcs_root"]


@pytest.fixture(scope="session")
def vertex_service(authority, tmp_path_factory) -> Iterator[VertexServer]:
    server = VertexServer(tmp_path_factory.mktemp("vertex"), authority)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(server.credentials))
        yield server
    server.close()


@pytest.fixture
def vertex(vertex_service) -> VertexServer:
    """Vertex AI without any model; the environment holds credentials for it."""
    vertex_service.reset()
    return vertex_service
