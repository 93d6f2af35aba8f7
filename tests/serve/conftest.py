"""A small registered model, and a judge, for the tests of serving."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "generate"))
sys.path.insert(0, str(Path(__file__).parents[1] / "registry"))

from model_evidence import Evidence
from tiny_model import store_model

from veo_core.records.drawing import Drawing, SamplerConfig
from veo_core.storage import Store
from veo_core.world.faults import FaultRates
from veo_core.world.server import JudgeServer


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store in which a small model, which is drawn in three steps, is registered as veo-tiny@1."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    drawing = Drawing(sampler=SamplerConfig(steps=3, video_guidance=1.25))
    Evidence(store, files=store_model(store), drawing=drawing).register("veo-tiny")
    return store.root


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgeServer]:
    """The world's judge, over real HTTP."""
    with JudgeServer("127.0.0.1", 0, FaultRates()) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
