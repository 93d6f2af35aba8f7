"""Recipes: a preset, a user's file over it, single settings, and one judge for all stages."""

import pytest

from veo_core.cli.recipe import load_recipe, parameters
from veo_core.errors import UsageError

JUDGED = ("describe", "safety_filter", "quality_filter", "annotate", "safety_evaluation")
FOOTAGE = {"world": None, "folder": "clips"}


def test_one_judge_section_stands_for_every_stage_that_asks(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("judge: {model: qwen, max_in_flight: 8}\nannotate: {judge: {model: omni}}\n")
    recipe = load_recipe("smoke", [file], ["judge.max_attempts=2"])
    judges = {stage: getattr(recipe, stage).judge for stage in JUDGED}
    assert {stage: judge.model for stage, judge in judges.items()} == {
        **dict.fromkeys(JUDGED, "qwen"),
        "annotate": "omni",
    }
    assert {(judge.max_in_flight, judge.max_attempts) for judge in judges.values()} == {(8, 2)}


def test_parts_are_numbered_strings_that_a_loop_can_take():
    recipe = load_recipe("smoke", [], ["parts=3"])
    assert parameters(recipe, "store")["parts"] == ["0/3", "1/3", "2/3"]


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("judge.modle=x", "model"),
        ("judge=x", "judge"),
        ("dedupe.enabled=false", "dedup"),
        ("parts=65", "parts"),
        ("executor=spark", "executor"),
        ("quality_filter.rules=[dork]", "quality_filter.rules"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line_that_names_the_right_one(setting, hint):
    with pytest.raises(UsageError, match=hint) as caught:
        load_recipe("smoke", [], [setting])
    assert "\n" not in str(caught.value)


def test_of_several_recipes_the_later_wins_and_the_others_stay(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("seed: 1\nsafety_evaluation: {frames: 2, frame_side: 32}\n")
    second.write_text("seed: 2\nsafety_evaluation: {frames: 3}\n")
    recipe = load_recipe("smoke", [first, second], [])
    assert (recipe.seed, recipe.safety_evaluation.frames, recipe.safety_evaluation.frame_side) == (2, 3, 32)


def test_the_worlds_category_and_bias_hold_only_where_the_world_is_filmed():
    world, own = load_recipe("smoke", [], []), load_recipe("smoke", [], [], {"collect": FOOTAGE})
    for stage in ("generate", "safety_evaluation"):
        assert "hazard" in {category.name for category in getattr(world, stage).filter.categories}
        refused = {category.name for category in getattr(own, stage).filter.categories}
        assert "hazard" not in refused
        assert refused >= {"child_safety", "sexual", "violence"}
    assert (world.safety_evaluation.people, own.safety_evaluation.people) == (False, True)
    assert own.safety_evaluation.bias_targets == {}
    assert (own.generate.unspecified, own.generate.unspecified_people) == (0, 24)
    told = load_recipe("smoke", [], ["safety_evaluation.people=false"], {"collect": FOOTAGE})
    assert not told.safety_evaluation.people
