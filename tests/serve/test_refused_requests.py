"""Malformed, oversize and hostile requests: each gets a 4xx with a message, and the server goes on."""

import json
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import PROMPT, Client, b64, picture, serving

JSON = {"content-type": "application/json"}
BODY_BYTES = 200_000


@pytest.fixture(scope="module")
def server(root: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    flags = ("--body-bytes", str(BODY_BYTES), "--steps", "20", "--instances", "3")
    with serving(root, tmp_path_factory.mktemp("output"), *flags) as client:
        yield client


def refused(response: httpx.Response, status: int, message: str) -> None:
    assert response.status_code == status, response.text
    assert message in response.json()["error"]
    assert "\n" not in response.json()["error"]


def asked(instance: Any = None, **parameters: Any) -> bytes:
    instance = {"prompt": PROMPT} if instance is None else instance
    return json.dumps({"instances": [instance], "parameters": parameters}).encode()


def bomb() -> bytes:
    """A PNG file of a few kB that claims 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    size = (30_000).to_bytes(4, "big")
    header = chunk(b"IHDR", size + size + bytes([8, 2, 0, 0, 0]))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1_000_000))) + chunk(b"IEND", b"")
    )


def image(data: bytes) -> bytes:
    return asked({"prompt": PROMPT, "image": b64(data)})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON"),
        (b"{no json", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b"[" * 50_000, "recursion limit"),
        (b'{"instances": [{"prompt": "\\ud800"}]}', "the body is not JSON"),
        (b'{"instances": [{"prompt": "a", "seed": ' + b"9" * 5000 + b"}]}", "the body is not JSON"),
        (b"[]", "valid dictionary"),
        (b"{}", "instances: Field required"),
        (b'{"instances": []}', "instances"),
        (b'{"instances": {"prompt": "a"}}', "instances"),
        (json.dumps({"instances": [{"prompt": PROMPT}] * 4}).encode(), "4 in one request, at most 3"),
        (b'{"instances": [{"prompt": "a"}], "parameter": {}}', "did you mean 'parameters'?"),
        (asked("a prompt"), "instances.0"),
        (asked({"promt": PROMPT}), "did you mean 'prompt'?"),
        (asked({}), "instances.0: nothing to make"),
        (asked({"prompt": " \n"}), "instances.0: nothing to make"),
        (asked({"prompt": 5}), "instances.0.prompt"),
        (asked({"prompt": "red " * 20}), "has 20 tokens, the limit is 12"),
        (asked({"prompt": "x" * 3000}), "at most 2000 characters"),
        (asked({"prompt": PROMPT, "seed": -1}), "instances.0.seed"),
        (asked(seed=2**53), "parameters.seed"),
        (asked(seed=0.5), "parameters.seed"),
        (asked(steps=0), "parameters.steps"),
        (asked(steps=21), "parameters.steps: 21, at most 20"),
        (asked(guidance=21), "parameters.guidance"),
        (b'{"instances": [{"prompt": "a"}], "parameters": {"guidance": NaN}}', "the body is not JSON"),
        (b'{"instances": [{"prompt": "a"}], "parameters": {"guidance": 1e999}}', "parameters.guidance"),
        (asked({"prompt": PROMPT, "image": "abc"}), "instances.0.image"),
        (asked({"prompt": PROMPT, "image": {"b64": "%%"}}), "image.b64: not valid base64"),
        (asked({"prompt": PROMPT, "image": {"b64": ""}}), "not a PNG or JPEG file"),
        (asked({"prompt": PROMPT, "image": {"uri": "file:///etc/passwd"}}), "instances.0.image.b64: Field"),
        (image(b"#!/bin/sh"), "not a PNG or JPEG file"),
        (image(b"RIFF0000WEBPVP8 "), "not a PNG or JPEG file"),
        (image(picture()[:200]), "image: "),
        (image(b"\xff\xd8\xff" + bytes(100)), "image: "),
        (image(bomb()), "image: "),
    ],
    ids=range(36),
)
def test_what_is_wrong_is_said(server, body, message):
    refused(server.post(content=body, headers=JSON), 400, message)


def test_body_above_the_limit_is_refused(server):
    body = asked({"prompt": PROMPT, "image": {"b64": "A" * BODY_BYTES}})
    refused(server.post(content=body, headers=JSON), 413, f"more than {BODY_BYTES} bytes")


def test_body_without_a_length_is_refused_at_the_limit(server):
    pieces = (b" " * 10_000 for _ in range(1000))
    refused(server.post(content=pieces, headers=JSON), 413, f"more than {BODY_BYTES} bytes")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_body_that_is_not_declared_as_json_is_refused(server, kind):
    refused(server.post(content=asked(), headers={"content-type": kind}), 415, "application/json")


def test_unknown_paths_and_methods_are_refused(server):
    refused(server.get("/nothing"), 404, "GET /nothing is unknown here")
    refused(server.get("/predict"), 405, "GET /predict is unknown here")
    refused(server.post("/health"), 405, "POST /health is unknown here")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"G" * 100_000])
def test_bytes_that_are_no_http_get_a_400(server, sent):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(sent)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def test_server_goes_on_after_all_of_it(server):
    assert server.clip()["bytes"] > 0


def test_inline_clips_are_refused_where_the_platform_limits_responses(root, tmp_path):
    with serving(root, tmp_path, "--host", "127.0.0.1", AIP_HTTP_PORT="0") as client:
        refused(client.predict({"prompt": PROMPT}, inline=True), 400, "parameters.inline")
        assert client.clip()["sha256"]


def test_store_that_cannot_be_written_is_a_500_without_details(root, tmp_path: Path):
    with serving(root, tmp_path / "output") as client:
        (tmp_path / "output").rename(tmp_path / "gone")
        (tmp_path / "output").write_text("a file where the store was")
        response = client.predict({"prompt": PROMPT})
    assert response.status_code == 500
    assert str(tmp_path) not in response.text
