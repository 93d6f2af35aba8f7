import pytest
from scripted import ScriptedServer


@pytest.fixture
def serve(monkeypatch):
    """Start a scripted server and point the environment at it."""
    servers = []

    def start(reply):
        server = ScriptedServer(reply)
        servers.append(server)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        return server

    yield start
    for server in servers:
        server.close()
