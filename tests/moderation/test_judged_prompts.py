"""The filter's judge over HTTP: answers are held against the policy, and without one nothing passes."""

import asyncio
import json
import threading

import pytest
from scripted import ScriptedServer, completion

from veo_core.errors import UsageError
from veo_core.judges.config import JudgeConfig
from veo_core.judges.errors import JudgeUnavailableError
from veo_core.moderation.categories import CATEGORIES, GENERAL_CATEGORIES, code_of
from veo_core.moderation.filter import FilterPolicy, LiveFilter, rule_on_prompts
from veo_core.storage import Store
from veo_core.world.faults import FaultRates
from veo_core.world.server import JudgeServer

SAFE = {"unsafe": False, "category": "none", "risk": 0.0, "reason": "nothing harmful"}
PROMPTS = ["a red circle", "a red circle beside a hazard sign", "a blue square"]
JUDGE_ALONE = FilterPolicy(lexicon=False)
UNUSABLE = {
    "empty": "",
    "empty object": "{}",
    "no JSON": "It is safe.",
    "cut short": json.dumps(SAFE)[:-4],
    "a list": json.dumps([SAFE]),
    "risk above one": SAFE | {"risk": 7},
    "risk missing": {key: value for key, value in SAFE.items() if key != "risk"},
    "unsafe unknown": SAFE | {"unsafe": None},
    "unsafe in words": SAFE | {"unsafe": "perhaps"},
    "null": "null",
}


def config(url: str, **settings: object) -> JudgeConfig:
    usual = {"max_attempts": 1, "max_parse_attempts": 1, "timeout_seconds": 5.0}
    return JudgeConfig.model_validate({"endpoints": [url]} | usual | settings)


@pytest.fixture
def scripted():
    """A judge that answers every question alike."""
    servers = []

    def start(content, status=200):
        body = completion(content) if status == 200 else {"error": {"message": "out of order"}}
        servers.append(ScriptedServer(lambda _: (status, {}, body)))
        return servers[-1].url

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def world():
    with JudgeServer("127.0.0.1", 0, FaultRates()) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def live(url: str, prompt: str, policy: FilterPolicy = JUDGE_ALONE):
    async def ask():
        asked = LiveFilter(policy, config(url))
        try:
            return await asked.prompt(prompt)
        finally:
            await asked.close()

    return asyncio.run(ask())


def test_the_worlds_judge_refuses_what_asks_for_its_hazard(world, tmp_path):
    rulings = rule_on_prompts(PROMPTS, JUDGE_ALONE, config(world.url), Store(str(tmp_path)), "filter")
    assert [(r.unsafe, r.category, r.code, r.tier) for r in rulings[:2]] == [
        (False, "none", 0, "judge"),
        (True, "hazard", 950, "judge"),
    ]
    assert all(ruling.judge_version for ruling in rulings)


def test_what_the_lexicon_refuses_is_not_asked_and_equal_prompts_are_asked_once(world, tmp_path):
    prompts = [*PROMPTS, *PROMPTS]
    rulings = rule_on_prompts(prompts, FilterPolicy(), config(world.url), Store(str(tmp_path)), "filter")
    assert rulings[:3] == rulings[3:]
    assert [ruling.tier for ruling in rulings[:3]] == ["judge", "lexicon", "judge"]
    assert world.tally.report()["requests"]["chat"] == 2


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=UNUSABLE)
def test_an_answer_that_cannot_be_used_is_unsafe(scripted, tmp_path, content):
    url = scripted(content)
    stored = rule_on_prompts(PROMPTS, JUDGE_ALONE, config(url), Store(str(tmp_path)), "filter")
    for ruling in (*stored, live(url, PROMPTS[0])):
        assert (ruling.unsafe, ruling.answered, ruling.code) == (True, False, 999)
        assert ruling.refusal == "it cannot be judged (code 999)"


def test_a_refusal_is_unsafe(world):
    world.faults = FaultRates(refusal=1.0)
    ruling = live(world.url, PROMPTS[0])
    assert (ruling.unsafe, ruling.answered) == (True, False)


def test_a_server_that_fails_lets_nothing_pass(scripted, tmp_path):
    url = scripted("", status=500)
    with pytest.raises(UsageError, match="check the judge server"):
        rule_on_prompts(PROMPTS, JUDGE_ALONE, config(url), Store(str(tmp_path)), "filter")
    with pytest.raises(JudgeUnavailableError):
        live(url, PROMPTS[0])


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        ({"unsafe": True, "category": "none", "risk": 0.0}, "other"),
        ({"unsafe": False, "category": "none", "risk": 0.5}, "other"),
        ({"unsafe": False, "category": "none", "risk": 0.49}, ""),
        ({"unsafe": False, "category": "child_safety", "risk": 0.2}, "child_safety"),
        ({"unsafe": False, "category": "child_safety", "risk": 0.19}, ""),
        ({"unsafe": False, "category": "Violence ", "risk": 0.0}, "violence"),
        ({"unsafe": True, "category": "heresy", "risk": 1.0}, "heresy"),
    ],
)
def test_thresholds_decide_and_an_answer_at_odds_with_itself_counts_as_the_worse(scripted, answer, category):
    ruling = live(scripted(answer | {"reason": "."}), PROMPTS[0])
    assert ruling.unsafe == bool(category)
    assert ruling.code == (code_of(category, CATEGORIES) if category else 0)
    assert not category or ruling.category == category


def test_a_prompt_cannot_fill_places_of_the_question():
    asked = FilterPolicy(question="Unsafe: {categories}. Prompt: {prompt}").asked("{categories}{prompt}")
    assert asked.endswith("Prompt: {categories}{prompt}")


def test_the_worlds_category_is_asked_for_only_where_it_is_listed():
    general = FilterPolicy(categories=GENERAL_CATEGORIES)
    for question in (general.asked("x"), general.asked_of_outputs):
        assert "hazard" not in question
        assert all(category.scene in question for category in GENERAL_CATEGORIES)
    assert "hazard" in FilterPolicy().asked_of_outputs
    assert general.screen("a hazard sign") is None
