"""The bias audit's figures against scipy, exact enumeration and sums by hand."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from veo_core.evaluate.records import ClipScore, SeenObject
from veo_core.judges.batch import Outcome
from veo_core.judges.client import Answered
from veo_core.judges.errors import JudgeRefusalError
from veo_core.records.files import FileRef
from veo_core.safety.bias import audit, audit_counts, audit_world, uniform, world_targets
from veo_core.safety.people import PersonReading, PersonSeen, audit_people, reading_of

TARGET = {"red": 0.5, "green": 0.3, "blue": 0.2}


def figure(*counts: int, target: dict[str, float] = TARGET):
    return audit_counts("colour", counts, sum(counts), target)


@pytest.mark.parametrize("counts", [(120, 60, 20), (100, 60, 40), (90, 75, 35), (104, 49, 47)])
def test_chi_square_and_its_p_value_are_those_of_scipy(counts):
    found = figure(*counts)
    expected = [share * sum(counts) for share in TARGET.values()]
    statistic, p_value = scipy.stats.chisquare(counts, expected)
    assert found.chi_square == pytest.approx(statistic, rel=1e-9)
    assert found.p_value == pytest.approx(p_value, abs=0.015)


@pytest.mark.parametrize("counts", [(4, 0, 0), (0, 0, 4), (1, 1, 4), (3, 2, 1)])
def test_the_p_value_of_few_clips_is_the_exact_one(counts):
    n, wanted = sum(counts), list(TARGET.values())

    def distance(row):
        return sum((c - n * share) ** 2 / (n * share) for c, share in zip(row, wanted, strict=True))

    rows = [row for row in itertools.product(range(n + 1), repeat=3) if sum(row) == n]
    exact = sum(
        scipy.stats.multinomial.pmf(row, n, wanted)
        for row in rows
        if distance(row) >= distance(counts) - 1e-9
    )
    assert figure(*counts).p_value == pytest.approx(exact, abs=0.015)


def test_distance_ratio_and_entropy_by_hand():
    found = figure(6, 3, 1)
    assert found.distance == pytest.approx((0.1 + 0.0 + 0.1) / 2)
    assert found.ratio == 6.0
    entropy = -(0.6 * math.log(0.6) + 0.3 * math.log(0.3) + 0.1 * math.log(0.1)) / math.log(3)
    assert found.entropy == pytest.approx(entropy)
    assert found.distance_low <= found.distance <= found.distance_high


def test_a_value_that_always_comes_is_as_far_as_can_be():
    found = figure(40, 0, 0, target=uniform(TARGET))
    assert found.distance == pytest.approx(2 / 3)
    assert (found.ratio, found.entropy) == (None, 0.0)
    assert found.p_value < 0.001


def test_on_target_samples_are_called_biased_as_often_as_the_level_says():
    rng = np.random.default_rng(5)
    drawn = rng.multinomial(30, list(TARGET.values()), size=60)
    share = np.mean([figure(*map(int, counts)).p_value <= 0.05 for counts in drawn])
    assert share < 0.15


def test_unknown_values_are_counted_apart():
    found = audit("colour", ["red", "red", "", "purple", "blue"], TARGET)
    assert (found.n, found.unknown) == (5, 2)
    assert [share.count for share in found.shares] == [2, 0, 1]
    nothing = audit("colour", ["", ""], TARGET)
    assert (nothing.unknown, nothing.distance, nothing.p_value) == (2, None, None)


def test_only_generated_clips_of_open_prompts_count_in_the_world():
    def clip(**changes):
        usual = {"clip_id": "c", "group": "generated", "prompt": "a shape moving", "split": "unspecified"}
        media = FileRef(path="m", sha256="0" * 64, bytes=1)
        seen = [SeenObject(colour="red", shape="circle")]
        return ClipScore.model_validate(usual | {"mode": "t2v", "media": media, "objects": seen} | changes)

    rows = [clip(), clip(split="seen"), clip(group="real"), clip(objects=[])]
    colour, shape = audit_world(rows, world_targets())
    assert (colour.n, colour.unknown, shape.n) == (2, 1, 2)
    assert audit_world(rows[1:3], world_targets()) == []


@pytest.mark.parametrize(
    ("person", "tone", "said", "expected"),
    [
        (True, 7, " Feminine", (7, "feminine")),
        (True, 0, "masculine", (0, "masculine")),
        (True, 3, "who knows", (3, "unknown")),
        (False, 5, "feminine", (0, "unknown")),
    ],
)
def test_what_the_judge_cannot_tell_is_unknown(person, tone, said, expected):
    answer = PersonSeen(person=person, skin_tone=tone, presentation=said)
    reading = reading_of("c", Outcome(Answered(answer, "v")))
    assert (reading.skin_tone, reading.presentation) == expected


def test_a_refusal_is_unknown_and_tones_are_audited_against_equal_shares():
    refused = reading_of("c", Outcome(None, JudgeRefusalError("no")))
    assert (refused.skin_tone, refused.presentation) == (0, "unknown")
    rows = [PersonReading(clip_id=str(t), skin_tone=t, presentation="feminine") for t in range(1, 11)]
    tone, presentation = audit_people([*rows, refused])
    assert (tone.n, tone.unknown, tone.distance) == (11, 1, 0.0)
    assert presentation.distance == pytest.approx(0.5)
