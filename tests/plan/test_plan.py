"""The estimate of time and cost: its arithmetic, what it refuses, and how it is printed."""

import json
from pathlib import Path

import pytest

from veo_core.cli.main import main
from veo_core.errors import UsageError
from veo_core.plan.estimate import Estimate, Pool, Row, estimate
from veo_core.plan.tables import PEAK_FLOPS, measured, prices
from veo_core.plan.workload import training_flops

H100 = Pool(machine="a3-highgpu-8g", count=2)


def row(estimated: Estimate, stage: str) -> Row:
    return next(row for row in estimated.rows if row.stage == stage)


@pytest.mark.parametrize("size", ["world", "small", "large"])
@pytest.mark.parametrize("target", ["embedded", "kubeflow", "vertex"])
def test_more_clips_never_take_less_time_or_money(target: str, size: str) -> None:
    plans = [estimate(clips, target, size=size) for clips in (1, 1_000, 100_000, 10_000_000)]
    assert [plan.hours for plan in plans] == sorted(plan.hours for plan in plans)
    assert [plan.dollars for plan in plans] == sorted(plan.dollars for plan in plans)
    assert plans[0].hours < plans[-1].hours


@pytest.mark.parametrize("target", ["embedded", "kubeflow", "vertex"])
def test_totals_are_the_sums_of_the_rows(target: str) -> None:
    plan = estimate(5_000, target)
    assert plan.hours == pytest.approx(sum(row.hours for row in plan.rows))
    assert plan.machine_hours == pytest.approx(sum(row.machine_hours for row in plan.rows))
    assert plan.dollars == pytest.approx(sum(row.dollars for row in plan.rows))


def test_the_measured_run_is_reproduced_on_the_measured_machine() -> None:
    plan = estimate(1_600, "embedded")
    seconds = {row.stage: row.hours * 3600 for row in plan.rows}
    assert seconds["prepare"] == pytest.approx(72.1)
    assert seconds["train-base"] == pytest.approx(991.2)
    assert seconds["train-audio-vae"] == pytest.approx(32.2)
    assert plan.dollars == 0
    assert {row.basis for row in plan.rows} == {"measured"}


def test_curation_figures_equal_a_calculation_by_hand() -> None:
    plan = estimate(100_000, "kubeflow", size="small", cpu=Pool(machine="n2-standard-16", count=4))
    core_seconds = 100_000 * 0.7032 * 5
    hours = core_seconds / 64 / 3600 + 3 / 60
    assert row(plan, "prepare").hours == pytest.approx(hours)
    assert row(plan, "prepare").machine_hours == pytest.approx(4 * hours)
    assert row(plan, "prepare").dollars == pytest.approx(4 * hours * 0.77695)
    dedup = 100_000 * 35.2 * 2 / 1600
    assert row(plan, "dedup").machine_hours == pytest.approx(dedup / 16 / 3600 + 3 / 60)


def test_training_figures_equal_a_calculation_by_hand() -> None:
    plan = estimate(100_000, "vertex", size="large", accelerator=H100)
    flops = training_flops("large")["base transformer"]
    assert flops == pytest.approx(35.8e12, rel=0.01)
    seconds = 100_000 * 0.82375 * 10 * flops / (16 * 989e12 * 0.4)
    assert row(plan, "train-base").hours == pytest.approx(seconds / 3600 + 4 / 60)
    assert row(plan, "train-base").dollars == pytest.approx(2 * (seconds / 3600 + 4 / 60) * 87.8328)


def test_spot_machines_cost_their_price_and_the_work_done_twice() -> None:
    plan = estimate(100_000, "vertex", size="large", accelerator=H100.model_copy(update={"purchase": "spot"}))
    firm = estimate(100_000, "vertex", size="large", accelerator=H100)
    start = 4 / 60
    worked = row(firm, "train-base").hours - start
    assert row(plan, "train-base").hours == pytest.approx(1.05 * worked + start)
    assert row(plan, "train-base").dollars == pytest.approx(2 * (1.05 * worked + start) * 52.568)


def test_longer_footage_takes_longer_to_prepare_alone() -> None:
    short, long = (estimate(1_000, "embedded", seconds=seconds) for seconds in (2.5, 5))
    assert row(long, "prepare").hours == pytest.approx(2 * row(short, "prepare").hours)
    assert row(long, "annotate").hours == row(short, "annotate").hours


def test_every_price_names_a_source_that_the_table_explains() -> None:
    book = prices()
    for name, machine in book.machines.items():
        assert (machine.on_demand is None) == (machine.spot is None) == (not machine.source), name
        assert not machine.source or machine.source in book.sources, name
        assert (machine.chip is None) == (machine.chips == 0), name
    assert book.read is not None


def test_every_training_stage_has_its_assumptions() -> None:
    table = measured()
    stages = {training.stage for training in table.training}
    assert stages == set(table.assumed.passes) == set(table.assumed.most_samples)
    assert {training.part for training in table.training} == set(training_flops("world"))
    assert set(PEAK_FLOPS) == {machine.chip for machine in prices().machines.values() if machine.chip}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "laptop"}, "target 'laptop' is not known: give one of embedded, kubeflow, vertex"),
        ({"size": "huge"}, "size 'huge' is not known: give one of world, small, large"),
        ({"clips": 0}, "0 clips: must be at least 1"),
        ({"seconds": -1.0}, "-1.0 seconds a clip: must be above 0"),
        ({"seconds": 0.0}, "0.0 seconds a clip: must be above 0"),
        ({"accelerator": Pool(machine="a9-giga")}, "machine type 'a9-giga' is not known"),
        ({"accelerator": Pool(machine="n2-standard-8")}, "n2-standard-8 has no accelerator"),
        (
            {"accelerator": Pool(machine="ct5lp-hightpu-4t")},
            "no on_demand price of ct5lp-hightpu-4t is known",
        ),
    ],
)
def test_what_is_not_known_is_refused_in_one_line(arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refusal:
        estimate(**{"clips": 1_000, "target": "vertex", **arguments})
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["", "0xa3-highgpu-8g", "a3-highgpu-8g:flex", "2x", "A3", "2 x a3-highgpu-8g"]
)
def test_a_choice_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no choice of machines"):
        Pool.parse_choice(text)


def test_prices_of_the_user_go_over_the_committed_ones(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(
        "machines: {ct5lp-hightpu-4t: {cores: 112, chip: v5e, chips: 4, spot: 2.0}}\n"
        "surcharge: {vertex: 0.15}\n"
    )
    pool = Pool(machine="ct5lp-hightpu-4t", count=2, purchase="spot")
    plan = estimate(1_000, "vertex", accelerator=pool, prices_file=file)
    trained = row(plan, "train-base")
    assert trained.dollars == pytest.approx(trained.machine_hours * 2.0 * 1.15)
    assert row(plan, "pipeline run").dollars == 0.03


def test_a_misspelt_key_of_the_users_prices_is_named(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("machine: {}\n")
    with pytest.raises(UsageError, match="unknown key 'machine'; did you mean 'machines'"):
        estimate(1_000, "vertex", prices_file=file)


def test_command_prints_the_table_and_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "plan",
        "--clips",
        "1000",
        "--target",
        "vertex",
        "--choice",
        "2xa3-highgpu-8g",
        "--size",
        "small",
    ]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "1,000 clips of 5 s on vertex, size small" in printed
    assert "train-base        2 x a3-highgpu-8g" in printed
    assert main([*command, "--json"]) == 0
    plan = estimate(1_000, "vertex", size="small", accelerator=H100)
    told = json.loads(capsys.readouterr().out)
    assert told["dollars"] == pytest.approx(plan.dollars)
    assert told["hours"] == pytest.approx(plan.hours)
    assert [row["stage"] for row in told["rows"]] == [row.stage for row in plan.rows]


def test_command_refuses_an_unknown_target_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--clips", "10", "--target", "moon"]) == 2
    assert (
        capsys.readouterr().err
        == "error: target 'moon' is not known: give one of embedded, kubeflow, vertex\n"
    )
