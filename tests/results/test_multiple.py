"""Holm's adjustment against its definition by steps, by hand and drawn, and in simulated tests of nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.multiple import holm


@pytest.mark.parametrize(
    ("given_p", "expected"),
    [
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),  # times 5, 4, 3, (2, 1)
        ([0.5, 0.6], [1.0, 1.0]),
        ([], []),
    ],
)
def test_adjusted_values_are_those_found_by_hand(given_p: list[float], expected: list[float]) -> None:
    assert holm(given_p) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_what_is_rejected_is_what_holms_steps_reject(p_values: list[float]) -> None:
    """Holm 1979: the smallest against 0.05 / n, the next against 0.05 / (n - 1), until one is not below."""
    left = sorted(range(len(p_values)), key=lambda place: p_values[place])
    rejected = set()
    while left and p_values[left[0]] * len(left) < 0.05:
        rejected.add(left.pop(0))
    assert set(np.flatnonzero(holm(p_values) < 0.05)) == rejected
    assert (holm(p_values) >= np.array(p_values)).all()


def test_of_tests_of_nothing_any_is_below_a_twentieth_once_in_twenty_times() -> None:
    p_values = np.random.default_rng(0).random((4000, 12))
    assert np.mean([holm(row).min() < 0.05 for row in p_values]) == pytest.approx(0.05, abs=0.012)
    assert np.mean(p_values.min(axis=1) < 0.05) > 0.4  # unadjusted
