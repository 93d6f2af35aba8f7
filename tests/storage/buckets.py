"""Servers that speak the protocols of S3 and Google Cloud Storage, in processes of their own on loopback."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import fsspec
import pytest
import s3fs

_S3 = "from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
_GCS = (
    "from gcp_storage_emulator.server import create_server;"
    "create_server('127.0.0.1', {port}, in_memory=True, default_bucket='bucket').run()"
)


@contextlib.contextmanager
def _server(program: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", program.format(port=port)],
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


@pytest.fixture(scope="session")
def s3_root() -> Iterator[str]:
    """An S3 bucket; the environment says where the server is."""
    with _server(_S3) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()  # those of another folder's tests have another server
        s3fs.S3FileSystem(use_listings_cache=False).mkdir("bucket")
        yield "s3://bucket"


@pytest.fixture(scope="session")
def gcs_root() -> Iterator[str]:
    """A bucket of Google Cloud Storage; the environment says where the server is."""
    with _server(_GCS) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        # Its default asks a gRPC service that the emulator has not, at every access, for the kind of bucket.
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        fsspec.get_filesystem_class("gs").clear_instance_cache()
        yield "gs://bucket"


@pytest.fixture(params=["s3", "gcs"])
def bucket(request, tmp_path) -> str:
    """A prefix of a bucket, of this test's own, in one protocol after the other."""
    root = request.getfixturevalue(f"{request.param}_root")
    return f"{root}/{tmp_path.name}-{os.getpid()}"
