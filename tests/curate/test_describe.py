"""Describe: what is asked about each clip, and what is kept of the answer."""

import itertools

import pytest
from curation import PREPARE, context, ledger_of, manifest_of
from scripted import ScriptedServer, completion

from veo_core.curate import collect, describe, prepare
from veo_core.curate.decisions import ClipTable
from veo_core.errors import UsageError
from veo_core.judges.config import Budget, JudgeConfig
from veo_core.stage import Part, PartFinished
from veo_core.storage import Store
from veo_core.world.truth import WorldSpec

_unique = itertools.count()


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """A store, and six clips in it."""
    store = Store(str(tmp_path_factory.mktemp("describe")))
    spec = WorldSpec(clips=6, seed=12)
    sources = collect.run(config=collect.CollectConfig(world=spec), context=context(store, "collect"))
    prepared = prepare.run(sources=sources, config=PREPARE, context=context(store, "prepare"))
    return store, list(ClipTable(prepared, store))


@pytest.fixture
def described(filmed, monkeypatch):
    """Describe clips by a judge that always gives the same answer, or that of the world."""
    store, clips = filmed
    servers = []

    def run(answer, *, of=clips, part=None, **config):
        servers.append(ScriptedServer(lambda body: (200, {}, completion(answer))))
        monkeypatch.setenv("OPENAI_BASE_URL", servers[-1].url)
        settings = {"prompt": f"{next(_unique)}"} | config
        manifest = describe.run(
            clips=manifest_of(store, of),
            config=describe.DescribeConfig(**settings),
            context=context(store, "describe", part=part),
        )
        return manifest, servers[-1]

    yield run, servers
    for server in servers:
        server.close()


def test_answer_with_nothing_but_the_description_is_enough(described, filmed):
    run, _ = described
    manifest, _ = run({"description": "a  red\ncircle"})
    texts = [clip.description.text for clip in list(ClipTable(manifest, filmed[0]))]
    assert texts == ["a red circle"] * 6


def test_what_is_read_and_described_is_scrubbed(described, filmed):
    run, _ = described
    manifest, _ = run(
        {
            "description": "A man named John Smith holds a sign.",
            "objects": ["sign"],
            "setting": "a street",
            "people": 1,
            "visible_text": ["OPEN", "john@example.org", "license plate ABC 1234"],
            "camera": "pans left",
        }
    )
    description = next(iter(ClipTable(manifest, filmed[0]))).description
    assert description.text == "A man holds a sign."
    assert description.visible_text == ["OPEN", "[e-mail]", "license plate [plate]"]
    assert (description.people, description.camera, description.objects) == (1, "pans left", ["sign"])


def test_worlds_judge_answers_every_field(judge, filmed, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", judge.url)
    store, clips = filmed
    manifest = describe.run(
        clips=manifest_of(store, clips),
        config=describe.DescribeConfig(),
        context=context(store, "describe"),
    )
    assert manifest.counts.kept == 6
    assert all(" moves " in clip.description.text for clip in list(ClipTable(manifest, store)))


def test_metrics_tell_what_the_answers_took_at_the_budgets_prices(described):
    run, _ = described
    judge = JudgeConfig(budget=Budget(input_price=1e4, output_price=1e5))
    manifest, server = run({"description": "a circle"}, judge=judge)
    assert manifest.metrics["judge_answers"] == len(server.requests) == 6
    assert manifest.metrics["judge_input_tokens"] == 600
    assert manifest.metrics["judge_output_tokens"] == 60
    assert manifest.metrics["judge_cost"] == pytest.approx(6.0 + 6.0)
    assert manifest.metrics["judge_bytes_sent"] > 6 * 1000


def test_budget_that_is_spent_ends_the_stage_and_a_higher_one_goes_on(described):
    run, servers = described
    low = JudgeConfig(max_in_flight=2, budget=Budget(max_requests=4))
    with pytest.raises(UsageError, match=r"describe: the budget is spent.*4 of 6 requests are done"):
        run({"description": "a circle"}, judge=low, prompt="paid")
    high = JudgeConfig(max_in_flight=2, budget=Budget(max_requests=6))
    manifest, server = run({"description": "a circle"}, judge=high, prompt="paid")
    assert (manifest.counts.kept, [len(one.requests) for one in servers]) == (6, [4, 2])
    assert server is servers[-1]


def test_part_asks_under_its_share_of_the_budget(described):
    run, servers = described
    judge = JudgeConfig(max_in_flight=1, budget=Budget(max_requests=6))
    for index in range(2):
        with pytest.raises((PartFinished, UsageError)):
            run({"description": "a circle"}, judge=judge, prompt="shared", part=Part(index, 2))
    assert all(len(one.requests) <= 3 for one in servers)
    manifest, _ = run({"description": "a circle"}, judge=judge, prompt="shared")
    assert (manifest.counts.kept, sum(len(one.requests) for one in servers)) == (6, 6)


def test_ledger_names_the_model_and_the_version_that_answered(described, filmed):
    run, _ = described
    manifest, _ = run({"description": "a circle"}, judge=JudgeConfig(model="asked-for"))
    decisions = ledger_of(manifest, filmed[0])
    assert {decision.judge for decision in decisions} == {"asked-for"}
    assert {decision.judge_version.split()[0] for decision in decisions} == {"served-model-2"}
