"""A run of the smoke preset, shared by the tests that look at one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from workplace import Workplace


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A place where the smoke preset ran to its end."""
    place = Workplace(tmp_path_factory.mktemp("finished"))
    process = place.run()
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-4000:]
    return place


@pytest.fixture
def new_place(tmp_path: Path) -> Callable[[], Workplace]:
    def make() -> Workplace:
        return Workplace(tmp_path)

    return make
