"""What holds for all tests: how they are spread over processes, and which signals they heed."""

import signal

import pytest


def pytest_configure() -> None:
    """A shell starts background jobs with these signals ignored, and what tests start would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file runs in one process, and all that share the smoke run in one."""
    for item in items:
        group = item.path.parent if item.path.parent.name == "pipeline" else item.path
        item.add_marker(pytest.mark.xdist_group(str(group)))
