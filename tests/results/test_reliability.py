"""Calibration against scikit-learn, the identity of Murphy's parts, and labels drawn case by case."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from results.rates import wilson_interval
from results.reliability import (
    brier_parts,
    chance_calibration_error,
    expected_calibration_error,
    reliability_curve,
)


def cases(seed: int, count: int = 300, sharpen: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probability = generator.beta(1, 2, count)
    return (generator.random(count) < probability**sharpen).astype(np.int64), probability


def test_curve_is_scikit_learns_of_equal_numbers() -> None:
    label, probability = cases(0)
    shares, means = calibration_curve(label, probability, n_bins=10, strategy="quantile")
    found = reliability_curve(label, probability)
    assert [each.cases for each in found] == [30] * 10
    assert [each.share for each in found] == pytest.approx(shares)
    assert [each.mean for each in found] == pytest.approx(means)
    assert (found[0].low, found[0].high) == wilson_interval(round(found[0].share * 30), 30)


def test_equal_probabilities_are_never_parted() -> None:
    probability = np.array([0.2] * 7 + [0.9] * 3)
    label = np.array([0, 1] * 5)
    assert [(each.cases, each.mean) for each in reliability_curve(label, probability)] == [
        (7, pytest.approx(0.2)),
        (3, pytest.approx(0.9)),
    ]


def test_no_cases_have_no_bins() -> None:
    assert reliability_curve(np.array([], np.int64), np.array([])) == []


@given(st.integers(0, 1000), st.integers(1, 60))
def test_brier_parts_add_up_to_the_score_of_the_bins_means(seed: int, count: int) -> None:
    label, probability = cases(seed, count)
    binned = probability.copy()
    edges = np.unique(np.sort(probability)[np.arange(1, 10) * count // 10])
    place = np.searchsorted(edges, probability, side="right")
    for each in np.unique(place):
        binned[place == each] = probability[place == each].mean()
    parts = brier_parts(label, probability)
    total = parts.reliability - parts.resolution + parts.uncertainty
    assert total == pytest.approx(brier_score_loss(label, binned))


def test_calibration_error_is_the_mean_distance_by_hand() -> None:
    label, probability = np.array([0, 1, 1, 1]), np.array([0.2, 0.2, 0.7, 0.7])
    assert expected_calibration_error(label, probability, bins=2) == pytest.approx((2 * 0.3 + 2 * 0.3) / 4)


def test_error_by_chance_is_that_of_labels_drawn_from_the_probabilities_themselves() -> None:
    _, probability = cases(1, 100)
    generator = np.random.default_rng(0)
    drawn = [
        expected_calibration_error((generator.random(100) < probability).astype(np.int64), probability)
        for _ in range(1000)
    ]
    found = chance_calibration_error(probability, np.random.default_rng(1))
    assert found == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / np.sqrt(1000))
    assert found > 0.05  # the bias is there: ten cases a bin


def test_miscalibrated_probabilities_show_more_than_chance() -> None:
    label, probability = cases(2, 1000, sharpen=3.0)
    by_chance = chance_calibration_error(probability, np.random.default_rng(0))
    assert expected_calibration_error(label, probability) > 3 * by_chance
