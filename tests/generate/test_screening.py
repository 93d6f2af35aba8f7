"""Prompts and given pictures before generation: what is refused, and that no judge means no clip."""

import socket
import threading

import numpy as np
import pytest

from veo_core.errors import UsageError
from veo_core.generate.request import Request
from veo_core.generate.screening import screen, shown_pictures
from veo_core.world.faults import FaultRates
from veo_core.world.film import render
from veo_core.world.plan import scene_of
from veo_core.world.server import JudgeServer
from veo_core.world.truth import WorldSpec

MODEL = "world-detector-1"
HARMFUL = "a red circle beside a hazard sign"


@pytest.fixture
def judge(monkeypatch):
    with JudgeServer("127.0.0.1", 0, FaultRates()) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        yield server
        server.shutdown()


def pictures(count: int, *, hazard: bool) -> np.ndarray:
    return render(scene_of(WorldSpec(seed=3), 0, hazard=hazard), np.linspace(0, 1, count), 128, 128)


def refused(requests: list[Request], mode: str) -> list[int]:
    """The codes of refusals, 0 for what passes."""
    return [ruling.code for ruling in screen(requests, mode, MODEL)]


def test_each_request_gets_its_own_ruling_in_order():
    requests = [Request("a red circle"), Request(HARMFUL), Request("a man stabs another man"), Request("")]
    assert refused(requests, "world") == [0, 950, 300, 0]
    assert refused(requests, "off") == [0, 0, 0, 0]


def test_the_worlds_own_category_counts_only_where_its_judge_is_asked():
    requests = [Request("a warning sign on a motorway"), Request("a man stabs another man")]
    assert refused(requests, "world") == [950, 300]
    assert refused(requests, "lexicon") == [0, 300]


@pytest.mark.parametrize("mode", ["world", "judge"])
def test_given_pictures_are_judged_too(judge, mode):
    requests = [
        Request("a red circle", image=pictures(1, hazard=True)[0]),
        Request("a red circle", image=pictures(1, hazard=False)[0]),
        Request("", video=pictures(9, hazard=True)),
    ]
    assert refused(requests, mode) == [950, 0, 950]


def test_of_a_given_video_its_first_and_last_pictures_are_shown():
    clip = pictures(9, hazard=False)
    still = [Request("", image=clip[index]) for index in (0, -1)]
    shown = shown_pictures(Request("", video=clip))
    assert len(shown) == 4
    assert [shown[0], shown[-1]] == [shown_pictures(request)[0] for request in still]


@pytest.mark.parametrize("fault", ["refusal", "malformed"])
def test_a_judge_without_a_usable_answer_refuses_every_request(judge, fault):
    judge.faults = FaultRates.model_validate({fault: 1.0})
    assert refused([Request("a red circle"), Request("a blue square")], "judge") == [999, 999]


def test_a_judge_that_is_down_is_a_usage_error(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with pytest.raises(UsageError, match="the safety filter does not answer"):
        screen([Request("a red circle")], "judge", MODEL)
