"""Probabilities against scipy's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from veo_core.watermark.chance import energy_tail, joined, normal_tail


@given(st.floats(-10, 30))
def test_normal_tail_equals_scipys(z: float) -> None:
    assert normal_tail(z) == pytest.approx(stats.norm.sf(z), rel=1e-6)


@given(st.floats(0, 1500), st.sampled_from([2, 64, 128]))
def test_energy_tail_equals_scipys(energy: float, values: int) -> None:
    assert energy_tail(energy, values) == pytest.approx(stats.chi2.sf(energy, values), rel=1e-6, abs=1e-300)


@given(st.floats(1e-100, 1), st.floats(1e-100, 1))
def test_joined_equals_scipys(first: float, second: float) -> None:
    assert joined(first, second) == pytest.approx(
        stats.combine_pvalues([first, second], method="fisher").pvalue, rel=1e-6
    )


def test_joint_of_what_never_happens_by_chance_is_zero() -> None:
    assert joined(0.0, 0.5) == 0.0
