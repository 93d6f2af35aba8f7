"""Fixture of the report's tests."""

from pathlib import Path

import pytest
from synthetic_run import SyntheticRun

from veo_core.storage import Store


@pytest.fixture
def make_run(tmp_path: Path):
    """A function that begins a synthetic run in an empty folder."""

    def make(**fields: object) -> SyntheticRun:
        folder = tmp_path / "runs" / "run-1"
        folder.mkdir(parents=True)
        return SyntheticRun(folder, Store(str(tmp_path / "store")), **fields)

    return make
