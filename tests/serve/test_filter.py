"""The prompt filter: harmful prompts and images make no clip, and neither does a judge that says nothing."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from served import PROMPT, Client, b64, serving

from veo_core.errors import UsageError
from veo_core.serve.settings import read_settings
from veo_core.world.faults import FaultRates
from veo_core.world.film import render
from veo_core.world.plan import scene_of
from veo_core.world.server import JudgeServer
from veo_core.world.truth import WorldSpec

HARMFUL = "a red circle beside a hazard sign"


@pytest.fixture(scope="module")
def server(root: str, judge: JudgeServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_BASE_URL", judge.url)
        output = tmp_path_factory.mktemp("output")
        with serving(root, output, "--prompt-filter", "judge") as client:
            yield client


@pytest.fixture
def faults(judge: JudgeServer) -> Iterator[JudgeServer]:
    """The judge, whose faults end with the test."""
    yield judge
    judge.faults = FaultRates()


def test_ordinary_prompt_passes_and_harmful_one_does_not(server):
    assert server.predict({"prompt": PROMPT}).status_code == 200
    response = server.predict({"prompt": PROMPT}, {"prompt": HARMFUL})
    assert response.status_code == 422
    assert response.json() == {"error": "the safety filter refuses the prompt: hazard (code 950)"}
    assert server.metric('veo_filter_verdicts_total{verdict="refused"}') == 1
    assert server.metric('veo_clips_total{mode="t2v"}') == 1


@pytest.mark.parametrize(("hazard", "status"), [(True, 422), (False, 200)])
def test_image_is_judged_as_the_first_picture_that_it_will_be(server, hazard, status):
    (frame,) = render(scene_of(WorldSpec(seed=3), 0, hazard=hazard), np.zeros(1), 128, 128)
    data = cv2.imencode(".png", frame[..., ::-1])[1].tobytes()
    response = server.predict({"image": b64(data)})
    assert response.status_code == status, response.text
    assert ("refuses the image" in response.text) == hazard


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        ("error", 503, "does not answer"),
        ("malformed", 422, "cannot be judged"),
        ("refusal", 422, "be judged"),
    ],
)
def test_judge_without_a_usable_answer_lets_nothing_through(server, faults, fault, status, message):
    before = server.metric('veo_clips_total{mode="t2v"}')
    faults.faults = FaultRates.model_validate({fault: 1.0})
    response = server.predict({"prompt": PROMPT})
    assert response.status_code == status
    assert message in response.json()["error"]
    assert ("retry-after" in response.headers) == (status == 503)
    assert server.metric('veo_clips_total{mode="t2v"}') == before
    faults.faults = FaultRates()
    assert server.predict({"prompt": PROMPT}).status_code == 200


def test_world_filter_needs_no_server_of_its_own(root, tmp_path):
    with serving(root, tmp_path, "--prompt-filter", "world") as client:
        assert client.predict({"prompt": HARMFUL}).status_code == 422
        assert client.get("/info").json()["filtered"]


def test_filter_is_off_only_where_a_setting_says_so(root, tmp_path, monkeypatch):
    assert read_settings([], {}).prompt_filter == "judge"
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with (
        pytest.raises(UsageError, match="no judge server"),
        serving(root, tmp_path, "--prompt-filter", "judge"),
    ):
        pass
    with serving(root, tmp_path, "--prompt-filter", "off") as client:
        assert client.predict({"prompt": HARMFUL}).status_code == 200
        assert not client.get("/info").json()["filtered"]
