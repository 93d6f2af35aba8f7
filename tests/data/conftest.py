"""A dataset of two buckets: 10 square clips of 32x32x9 and 5 wide, longer ones of 64x32x17."""

import pytest
from footage import clip_of, pack

from veo_core.records.manifest import Manifest
from veo_core.storage import Store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(str(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="session")
def dataset(store: Store) -> Manifest:
    square = [("train" if number < 7 else "validation", number, (32, 32, 9)) for number in range(10)]
    wide = [("train" if number < 14 else "validation", number, (64, 32, 17)) for number in range(10, 15)]
    return pack(store, [(split, clip_of(store, number, *shape)) for split, number, shape in square + wide])
