"""Fixtures of the tests of lineage."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))

from buckets import bucket, gcs_root, s3_root
from synthetic_run import SyntheticRun

from veo_core.storage import Store

__all__ = ["bucket", "gcs_root", "make_run", "s3_root"]


@pytest.fixture
def make_run(tmp_path: Path):
    """A function that begins a synthetic run in an empty folder."""

    def make(**fields: object) -> SyntheticRun:
        folder = tmp_path / "runs" / "run-1"
        folder.mkdir(parents=True)
        return SyntheticRun(folder, Store(str(tmp_path / "store")), **fields)

    return make
