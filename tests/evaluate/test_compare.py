"""Candidate against baseline: what differs is found, what does not is not, and the rule follows."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from veo_core.evaluate.compare import differences_of, holm, promotion
from veo_core.evaluate.following import score_attributes
from veo_core.evaluate.records import ClipScore, SeenObject
from veo_core.records.files import FileRef
from veo_core.world.grammar import parse, prompt_suite

MEDIA = FileRef(path="objects/aa/a.mp4", sha256="a" * 64, bytes=1)
PROMPTS = [prompt.text for prompt in prompt_suite("seen", 40, 0)]


def system(
    seed: int, *, right: float = 0.6, flicker: float = 1.0, prompts=PROMPTS, seeds=(0,)
) -> list[ClipScore]:
    """Clips of which a share `right` follows its prompt, and that flicker by about `flicker`."""
    rng = np.random.default_rng(seed)
    scores = []
    for prompt in prompts:
        wanted = parse(prompt)
        hard = rng.normal()
        for number in seeds:
            follows = rng.random() < right
            objects = [
                SeenObject(
                    shape=o.shape,
                    colour=o.colour,
                    direction=o.direction,
                    size=o.size or "",
                    speed=o.speed or "",
                )
                for o in wanted.objects
                if follows
            ]
            pitch = (wanted.pitch or "") if follows else ""
            scores.append(
                ClipScore(
                    clip_id="a" * 64,
                    group="generated",
                    prompt=prompt,
                    split="seen",
                    mode="t2v",
                    seed=number,
                    media=MEDIA,
                    objects=objects,
                    pitch=pitch,
                    attributes=score_attributes(wanted, objects, pitch),
                    flicker=flicker + 0.05 * hard + 0.05 * rng.normal(),
                    loudness=-20.0,
                    clipped=0.0,
                )
            )
    return scores


def verdict(candidate, baseline):
    return promotion(candidate, baseline, generated="g" * 64, model="veo-world@3", seed=0)


def of(found, metric):
    (row,) = [d for d in found if d.metric == metric]
    return row


def test_a_candidate_that_follows_better_is_promoted():
    found = verdict(system(1, right=0.95), system(2, right=0.4))
    assert found.promote
    assert of(found.differences, "following_all").verdict == "better"
    assert "better than veo-world@3: following_all" in found.reason
    assert found.baseline == "veo-world@3"


def test_a_candidate_that_is_worse_in_one_metric_is_not_promoted():
    found = verdict(system(1, right=0.95, flicker=2.0), system(2, right=0.4))
    assert not found.promote
    assert of(found.differences, "flicker").verdict == "worse"
    assert found.reason.startswith("worse than veo-world@3: flicker")


def test_an_equal_candidate_is_not_promoted():
    found = verdict(system(1), system(2))
    assert not found.promote
    assert {d.verdict for d in found.differences} == {"undecided"}


def test_the_first_model_has_nothing_to_beat():
    found = promotion(system(1), [], generated="g" * 64, model="", seed=0)
    assert found.promote
    assert found.differences == []


def test_models_without_shared_prompts_cannot_be_compared():
    found = verdict(system(1, prompts=PROMPTS[:20]), system(2, prompts=PROMPTS[20:]))
    assert not found.promote
    assert found.differences == []


def test_signs_are_of_candidate_less_baseline_and_only_metrics_with_a_direction_are_tested():
    found = differences_of(system(1, flicker=0.8), system(2, flicker=1.0), seed=0)
    row = of(found, "flicker")
    assert row.difference == pytest.approx(row.candidate - row.baseline)
    assert row.ci_low < row.difference < row.ci_high < 0
    assert "loudness" not in {d.metric for d in found}


def test_several_clips_of_a_prompt_are_one_piece_of_evidence():
    single = of(differences_of(system(1), system(2), seed=0), "following_all")
    several = of(
        differences_of(system(1, seeds=range(4)), system(2, seeds=range(4)), seed=0), "following_all"
    )
    assert single.prompts == several.prompts == len(PROMPTS)


def test_p_value_of_a_paired_difference_is_that_of_scipy():
    mine, theirs = system(1, flicker=1.02), system(2, flicker=1.0)
    (p,) = [d.p_value for d in differences_of(mine, theirs, seed=0) if d.metric == "flicker"]
    result = scipy.stats.permutation_test(
        ([c.flicker for c in mine], [c.flicker for c in theirs]),
        lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        random_state=0,
    )
    assert p == pytest.approx(min(1.0, len(differences_of(mine, theirs, seed=0)) * result.pvalue), abs=0.06)


@pytest.mark.slow
def test_equal_systems_are_rarely_told_apart():
    """Family-wise error: all verdicts together are wrong in one of twenty comparisons."""
    wrong = 0
    for seed in range(60):
        found = differences_of(system(1000 + seed), system(2000 + seed), seed=seed)
        wrong += any(d.verdict != "undecided" for d in found)
    assert wrong <= 7


@given(st.lists(st.floats(0.0001, 1.0), min_size=1, max_size=12))
@settings(max_examples=100)
def test_holm_is_the_step_down_procedure(p_values):
    """Rejections equal those of the procedure itself: compare the k-th smallest with 0.05 / (m - k)."""
    rejected = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] * (len(p_values) - rank) > 0.05:
            break
        rejected.add(index)
    adjusted = holm(p_values)
    assert {i for i, p in enumerate(adjusted) if p <= 0.05} == rejected
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
