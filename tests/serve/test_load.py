"""More requests than the model can take: back-pressure, deadlines, clients that leave."""

import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from served import PROMPT, serving

from veo_core.world.faults import FaultRates

SLOW = {"steps": 32}


def test_more_than_the_queue_holds_is_told_to_come_back(root, tmp_path):
    flags = ("--queue", "1", "--instances", "1", "--batch", "1")
    with serving(root, tmp_path, *flags) as client, ThreadPoolExecutor(8) as threads:
        together = threading.Barrier(8)

        def ask(seed: int) -> httpx.Response:
            together.wait()
            return client.predict({"prompt": PROMPT, "seed": seed}, **SLOW)

        responses = list(threads.map(ask, range(8)))
        codes = Counter(response.status_code for response in responses)
        assert set(codes) == {200, 429}
        for response in responses:
            if response.status_code == 429:
                assert int(response.headers["retry-after"]) >= 1
                assert "too many requests" in response.json()["error"]
        assert client.metric('veo_requests_total{code="429",route="predict"}') == codes[429]
        assert client.clip()["sha256"]


def test_request_that_takes_too_long_is_given_up(root, judge, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", judge.url)
    monkeypatch.setattr(judge, "faults", FaultRates(slow=1.0, slow_seconds=60.0))
    with serving(root, tmp_path, "--prompt-filter", "judge", "--deadline", "3", "--batch", "1") as client:
        response = client.predict({"prompt": PROMPT})
        assert response.status_code == 504
        assert response.json() == {"error": "no clip within 3 s"}
        assert client.metric('veo_clips_total{mode="t2v"}') == 0


def test_body_that_does_not_come_is_given_up(root, tmp_path):
    with serving(root, tmp_path, "--deadline", "3", "--batch", "1") as client:
        host, port = client.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            headers = "Host: a\r\nContent-Type: application/json\r\nContent-Length: 100"
            connection.sendall(f"POST /predict HTTP/1.1\r\n{headers}\r\n\r\n{{".encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_client_that_leaves_takes_its_request_along(root, tmp_path):
    with serving(root, tmp_path, "--batch", "1") as client:
        body = {"instances": [{"prompt": PROMPT}] * 8, "parameters": SLOW}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{client.url}/predict", json=body, timeout=httpx.Timeout(60, read=0.3))
        while client.metric('veo_requests_total{code="499",route="predict"}') == 0:
            threading.Event().wait(0.02)
        assert client.metric("veo_queue_depth") == 0
        assert client.clip()["sha256"]
