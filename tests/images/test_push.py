"""Pushing images to a registry that runs here, and pulling by the digests of the lock."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def docker(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["docker", *arguments], capture_output=True, text=True)


pytestmark = pytest.mark.skipif(
    not (shutil.which("docker-registry") and shutil.which("docker") and docker("info").returncode == 0),
    reason="needs a Docker engine and Debian's package docker-registry",
)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Address of a registry."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "registry.yaml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path / 'registry'}}}}}\n"
        f"http: {{addr: '{address}'}}\nlog: {{level: error}}\n"
    )
    process = subprocess.Popen(["docker-registry", "serve", str(tmp_path / "registry.yaml")])
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{address}/v2/").close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the pushing tool, so that its lock file is not this checkout's."""
    (tmp_path / "images").mkdir()
    shutil.copy(ROOT / "images" / "push.py", tmp_path / "images")
    return tmp_path


@pytest.fixture
def image(tmp_path: Path) -> Iterator[str]:
    """A small image by the name of one that was not built here."""
    names = ("train-tpu", "train-gpu", "serve", "curate")
    unused = [name for name in names if docker("image", "inspect", f"veo-{name}:latest").returncode]
    if not unused:
        pytest.skip("every image was built here, and none may be replaced")
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch\nCOPY Dockerfile /\nLABEL org.opencontainers.image.revision=0123456789abcdef\n"
    )
    tag = f"veo-{unused[0]}:latest"
    assert docker("build", "--quiet", "--tag", tag, str(tmp_path)).returncode == 0
    yield unused[0]
    docker("rmi", "--force", tag)


def push(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(project / "images" / "push.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ)


def test_push_writes_the_digest_under_which_the_registry_has_the_image(
    project: Path, registry: str, image: str
) -> None:
    (project / "images.lock.json").write_text('{"other": "elsewhere/veo-other@sha256:0"}')

    process = push(project, f"{registry}/veo", image)

    assert process.returncode == 0, process.stderr
    lock = json.loads((project / "images.lock.json").read_text())
    assert lock["other"] == "elsewhere/veo-other@sha256:0"
    assert lock[image].startswith(f"{registry}/veo/veo-{image}@sha256:")
    built = docker("image", "inspect", "--format", "{{.Id}}", f"veo-{image}:latest").stdout
    docker("rmi", "--force", f"{registry}/veo/veo-{image}:0123456789ab")
    assert docker("pull", "--quiet", lock[image]).returncode == 0
    assert docker("image", "inspect", "--format", "{{.Id}}", lock[image]).stdout == built
    docker("rmi", "--force", lock[image])


def test_push_of_an_image_that_was_not_built_is_one_line(project: Path, image: str) -> None:
    docker("rmi", "--force", f"veo-{image}:latest")
    assert_refused(push(project, "registry.invalid", image), 1, f"veo-{image}:latest")
    assert not (project / "images.lock.json").exists()


@pytest.mark.parametrize("arguments", [[], ["registry.invalid", "curator"]])
def test_push_when_asked_wrongly_is_one_line(arguments: list[str], project: Path) -> None:
    assert_refused(push(project, *arguments), 2, "usage")


def assert_refused(process: "subprocess.CompletedProcess[str]", code: int, message: str) -> None:
    assert process.returncode == code
    (line,) = process.stderr.splitlines()
    assert message in line
