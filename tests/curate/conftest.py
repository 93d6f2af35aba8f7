from pathlib import Path

import pytest
from curation import SPEC, Curation, JudgeProcess

from veo_core.storage import Store


@pytest.fixture(scope="session")
def judge(tmp_path_factory):
    """A world judge in a process of its own; stages find it through the environment."""
    with JudgeProcess(tmp_path_factory.mktemp("judge")) as process:
        yield process


@pytest.fixture(scope="session")
def curated(tmp_path_factory, judge) -> Curation:
    """200 clips of the world, half of them flawed, after every stage of curation."""
    root = Path(tmp_path_factory.mktemp("curated"))
    with judge.in_environment():
        return Curation.of(SPEC, Store(str(root)))


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))
