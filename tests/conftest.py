"""What holds for all tests: how they are spread over processes, and which signals they heed."""

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from certificates import Authority
from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/pipeline", "tests/curate", "tests/submit")
"""Folders whose tests share what takes long to make: each runs in one process, and before the others."""


def pytest_configure(config: pytest.Config) -> None:
    """A shell starts background jobs with these signals ignored, and what tests start would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.option.loadscopereorder = False
    if "PYTEST_XDIST_WORKER" in os.environ:  # a core each: more threads than cores wait for each other
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 starves its workers beside other tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(TOGETHER))


def pytest_runtest_teardown() -> None:
    """A runtime on a CPU flushes denormal numbers in its whole process, where Hypothesis draws them."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """One for all tests, since gRPC reads the certificates that it trusts once a process."""
    authority = Authority()
    roots = tmp_path_factory.mktemp("authority") / "roots.pem"
    roots.write_bytes(authority.pem())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(roots))
        yield authority


@pytest.fixture(scope="session", autouse=True)
def settings_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests sign with is not the user's certificate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        yield


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return ByFile(config, log)


class ByFile(LoadScopeScheduling):
    """Tests of a file, or of a folder in `TOGETHER`, run in one process.

    Marks of the kind `xdist_group` do not: xdist 3.8 hands them on in a name that pytest 9.2 passes over.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)
