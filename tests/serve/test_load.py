"""More requests than the model can take: back-pressure, deadlines, clients that leave."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from served import PROMPT, serving

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


def test_request_that_takes_too_long_is_given_up(root, tmp_path):
    with serving(root, tmp_path, "--deadline", "0.05") as client:
        response = client.predict(*[{"prompt": PROMPT}] * 8, **SLOW)
        assert response.status_code == 504
        assert "no clip within 0.05 s" in response.json()["error"]
        assert client.metric('veo_clips_total{mode="t2v"}') == 0


def test_client_that_leaves_takes_its_request_along(root, tmp_path):
    with serving(root, tmp_path, "--batch", "1") as client:
        body = {"instances": [{"prompt": PROMPT}] * 8, "parameters": SLOW}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{client.url}/predict", json=body, timeout=httpx.Timeout(60, read=0.3))
        while client.metric('veo_requests_total{code="499",route="predict"}') == 0:
            threading.Event().wait(0.02)
        assert client.metric("veo_queue_depth") == 0
        assert client.clip()["sha256"]
