"""Servers that speak the protocols of S3 and Google Cloud Storage, in processes of their own on loopback."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
import s3fs

_S3 = "from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
_GCS = (
    "from gcp_storage_emulator.server import create_server;"
    "create_server('127.0.0.1', {port}, in_memory=True, default_bucket='bucket').run()"
)

_PROXY = str(Path(__file__).with_name("faulty_proxy.py"))


@contextlib.contextmanager
def _server(*command: str) -> Iterator[str]:
    """A server that a command of Python's starts; `{port}` in it stands for the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, *(part.format(port=port) for part in command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            assert process.poll() is None, "the server did not start"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _behind_faults(server: contextlib.AbstractContextManager[str], share: float) -> Iterator[str]:
    with server as url, _server(_PROXY, url, "{port}", str(share)) as proxy:
        yield proxy


@contextlib.contextmanager
def s3_bucket(faults: float = 0.0) -> Iterator[str]:
    """An S3 bucket whose server fails a share of the requests; the environment says where it is."""
    server = _server("-c", _S3)
    with _behind_faults(server, faults) if faults else server as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()  # those of another folder's tests have another server
        s3fs.S3FileSystem(use_listings_cache=False).mkdir("bucket")
        yield "s3://bucket"
    s3fs.S3FileSystem.clear_instance_cache()


@contextlib.contextmanager
def gcs_bucket(faults: float = 0.0) -> Iterator[str]:
    """A bucket of Google Cloud Storage, as `s3_bucket`."""
    server = _server("-c", _GCS)
    with _behind_faults(server, faults) if faults else server as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        # Its default asks a gRPC service that the emulator has not, at every access, for the kind of bucket.
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        fsspec.get_filesystem_class("gs").clear_instance_cache()
        yield "gs://bucket"
    fsspec.get_filesystem_class("gs").clear_instance_cache()


def fault_counts(variable: str) -> dict[str, int]:
    """Faults and requests of the server that an environment variable names."""
    with urllib.request.urlopen(f"{os.environ[variable]}/faults") as answer:
        counts: dict[str, int] = json.load(answer)
    return counts


@pytest.fixture(scope="session")
def s3_root() -> Iterator[str]:
    with s3_bucket() as root:
        yield root


@pytest.fixture(scope="session")
def gcs_root() -> Iterator[str]:
    with gcs_bucket() as root:
        yield root


@pytest.fixture(params=["s3", "gcs"])
def bucket(request, tmp_path) -> str:
    """A prefix of a bucket, of this test's own, in one protocol after the other."""
    root = request.getfixturevalue(f"{request.param}_root")
    return f"{root}/{tmp_path.name}-{os.getpid()}"
