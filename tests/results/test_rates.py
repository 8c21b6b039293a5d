"""Shares against SciPy, binomial sums and published figures."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from results.intervals import CONFIDENCE, DEVIATIONS
from results.rates import mcnemar_test, paired_difference, wilson_interval


def test_deviations_are_the_normal_quantile_of_the_confidence() -> None:
    assert pytest.approx(norm.ppf((1 + CONFIDENCE) / 2), abs=1e-15) == DEVIATIONS


@given(st.integers(1, 500), st.data())
def test_wilson_interval_is_scipys(cases: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, cases))
    expected = binomtest(successes, cases).proportion_ci(0.95, "wilson")
    assert wilson_interval(successes, cases) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(
    ("successes", "cases", "expected"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_interval_is_newcombes(successes: int, cases: int, expected: tuple[float, float]) -> None:
    """Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3."""
    assert wilson_interval(successes, cases) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(("successes", "cases"), [(0, 0), (3, 2), (-1, 5)])
def test_a_share_without_cases_is_refused(successes: int, cases: int) -> None:
    with pytest.raises(ValueError, match="a share needs cases"):
        wilson_interval(successes, cases)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_mcnemar_is_the_binomial_sum_of_both_tails(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array([pair[place] for pair in pairs], np.bool_) for place in (0, 1))
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(~first & second))
    total, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(Fraction(comb(total, each), 2**total) for each in range(fewer + 1))
    assert mcnemar_test(first, second) == pytest.approx(float(min(Fraction(1), 2 * tail)))
    assert mcnemar_test(first, second) == mcnemar_test(second, first)


def test_paired_difference_is_fagerlands() -> None:
    """Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33:2850-2875, table V: 1, 1, 7 and 12 children."""
    first, second = np.array([True] * 2 + [False] * 19), np.array([True, False] + [True] * 7 + [False] * 12)
    assert paired_difference(first, second) == pytest.approx((-6 / 21, -0.508, -0.013), abs=6e-4)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_paired_difference_turns_round_and_has_a_width_always(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array([pair[place] for pair in pairs], np.bool_) for place in (0, 1))
    difference, low, high = paired_difference(first, second)
    assert difference == pytest.approx(first.mean() - second.mean())
    assert paired_difference(second, first) == pytest.approx((-difference, -high, -low))
    assert -1 <= low < high <= 1


def test_paired_difference_holds_the_truth_as_often_as_it_says() -> None:
    """100 cases, both right 70 %, the first alone 15 %, the second alone 10 %: the truth is 0.05."""
    outcomes = np.random.default_rng(5).choice(4, size=(4000, 100), p=(0.7, 0.15, 0.1, 0.05))
    held = 0
    for drawn in outcomes:
        _, low, high = paired_difference(drawn <= 1, (drawn == 0) | (drawn == 2))
        held += low <= 0.05 <= high
    assert held / 4000 == pytest.approx(0.95, abs=0.012)  # 3.5 deviations of 4,000 draws
