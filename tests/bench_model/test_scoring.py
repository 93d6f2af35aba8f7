"""How the model's bench counts, on scores whose figures are known."""

import numpy as np
import pytest

from benchmarks.model.following import BARS, attribute_rows, extra_false_onsets, sync_rows
from benchmarks.model.rebuilt import psnr_of
from benchmarks.model.scoring import bound, jobs, share_row
from benchmarks.model.tutorial import score_rows
from benchmarks.report import Row
from veo_core.evaluate.following import score_attributes
from veo_core.evaluate.records import ClipScore, SeenObject
from veo_core.records.files import FileRef
from veo_core.world.grammar import held_out, parse

PROMPT = "a red circle moving left with a low tone"


def score(
    prompt: str,
    *objects: tuple[str, str, str],
    pitch: str = "low",
    split: str = "held_out",
    contacts: tuple[float, ...] = (0.5,),
    onsets: tuple[float, ...] = (0.52,),
    group: str = "generated",
) -> ClipScore:
    wanted = parse(prompt)
    assert wanted is not None
    seen = [SeenObject(shape=shape, colour=colour, direction=way) for shape, colour, way in objects]
    return ClipScore.model_validate(
        {
            "clip_id": "c",
            "group": group,
            "prompt": prompt,
            "split": split,
            "mode": "t2v" if group == "generated" else "",
            "media": FileRef(path="c", sha256="c", bytes=1),
            "attributes": score_attributes(wanted, seen, pitch),
            "objects": seen,
            "pitch": pitch,
            "contacts": list(contacts),
            "onsets": list(onsets),
        }
    )


def by_name(rows: list[Row]) -> dict[str, Row]:
    return {row.metric: row for row in rows}


RIGHT = score(PROMPT, ("circle", "red", "left"))
WRONG_WAY = score(PROMPT, ("circle", "red", "right"), contacts=(0.5, 1.0), onsets=(0.58, 1.7))


def test_attributes_of_a_suite_meet_the_bar_of_the_preset_or_miss_it():
    rows = by_name(list(attribute_rows([RIGHT] * 3 + [WRONG_WAY], 0, BARS["world"])))
    assert rows["held out: shape"].value == 1.0
    assert rows["held out: shape"].met is True
    assert rows["held out: direction"].value == 0.75
    assert rows["held out: direction"].met is False
    together = rows["held out: all together, the number of objects too"]
    assert (together.value, together.target) == (0.75, 0.80)
    assert together.ci_low is not None
    assert together.ci_low < 0.75 < together.ci_high


def test_attributes_without_a_bar_have_no_target():
    rows = list(attribute_rows([RIGHT], 0, None))
    assert {row.target for row in rows} == {None}


def test_false_onsets_are_counted_beyond_those_on_true_footage():
    real = [score(PROMPT, ("circle", "red", "left"), onsets=(0.5, 1.5), group="real", split="real")] * 4
    more = extra_false_onsets([RIGHT, WRONG_WAY, WRONG_WAY], real, seed=0)
    assert more.value == pytest.approx(2 / 3 - 1.0)
    assert more.low is not None
    assert more.low < more.value < more.high
    rows = by_name(list(sync_rows([RIGHT, WRONG_WAY], real, 0, BARS["world"])))
    assert rows["held out: contacts that sound within 100 ms"].value == pytest.approx(2 / 3)
    assert rows["held out: contacts that sound within 50 ms"].value == pytest.approx(1 / 3)
    assert rows["held out: false onsets beyond those on true footage"].met is True


def test_sound_of_two_objects_is_reported_apart_and_held_against_true_clips_of_two():
    two = "a red circle moving left and a blue cross moving up"
    late = score(two, split="two_objects", contacts=(0.5,), onsets=(1.5,))
    real = [score(two, onsets=(0.5,), group="real", split="real"), RIGHT.model_copy(update={"group": "real"})]
    rows = by_name(list(sync_rows([RIGHT, late], real, 0, BARS["world-full"])))
    assert rows["held out: contacts that sound within 50 ms"].met is True
    apart = rows["two objects: contacts that sound within 50 ms"]
    assert (apart.value, apart.target) == (0.0, None)
    assert rows["two objects: false onsets beyond those on true footage"].value == 1.0


def test_colours_on_the_wrong_shapes_are_not_bound():
    two = "a red circle moving left and a blue cross moving up"
    assert parse(two) is not None
    right = score(two, ("cross", "blue", "up"), ("circle", "red", "left"), split="two_objects")
    crossed = score(two, ("cross", "red", "up"), ("circle", "blue", "left"), split="two_objects")
    assert bound([right, crossed]) == [True, False]
    (row,) = share_row("bound", bound([right, crossed]), target=0.85)
    assert (row.value, row.met) == (0.5, False)
    assert share_row("bound", []) == []


def test_prompts_of_the_held_out_suite_are_held_out_and_follow_from_the_seed():
    asked = jobs({"seen": 3, "held_out": 3}, 5)
    assert [job.suite for job in asked] == ["seen"] * 3 + ["held_out"] * 3
    assert all(held_out(parse(job.prompt)) == (job.suite == "held_out") for job in asked)
    assert asked == jobs({"seen": 3, "held_out": 3}, 5) != jobs({"seen": 3, "held_out": 3}, 6)


def test_a_table_of_two_systems_has_one_beside_the_other():
    rows = by_name(list(score_rows([RIGHT], [WRONG_WAY], [RIGHT], 0)))
    assert rows["held out: direction"].value == 1.0
    assert rows["held out: direction"].baseline == 0.0
    assert rows["contacts"].baseline == 2.0


def test_psnr_by_hand():
    truth = np.zeros((2, 4, 4, 3), np.uint8)
    other = truth.copy()
    other[1] = 51  # a fifth of the range
    assert psnr_of(other, truth) == [pytest.approx(100.0), pytest.approx(-20 * np.log10(0.2))]
