"""Thresholds against scikit-learn's ROC curve, net benefit case by case."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from results.thresholds import net_benefit, net_benefit_of_all, threshold_at_sensitivity, youden_threshold

SEEDS = st.integers(0, 1000)


def cases(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    label = (np.arange(40) % 3 == 0).astype(np.int64)
    return label, (generator.random(40) * 0.7 + 0.3 * label * generator.random(40)).round(2)


def rates(label: np.ndarray, probability: np.ndarray, threshold: float) -> tuple[float, float]:
    called = probability >= threshold
    return float(called[label == 1].mean()), float((~called[label == 0]).mean())


@given(SEEDS)
def test_youdens_threshold_reaches_the_largest_index_of_the_roc_curve(seed: int) -> None:
    label, probability = cases(seed)
    false, true, _ = roc_curve(label, probability)
    assert sum(rates(label, probability, youden_threshold(label, probability))) - 1 == pytest.approx(max(true - false))


@given(SEEDS, st.sampled_from([0.5, 0.9, 1.0]))
def test_the_threshold_at_a_sensitivity_is_the_most_specific_that_reaches_it(seed: int, least: float) -> None:
    label, probability = cases(seed)
    false, true, _ = roc_curve(label, probability, drop_intermediate=False)
    sensitivity, specificity = rates(label, probability, threshold_at_sensitivity(label, probability, least))
    assert sensitivity >= least
    assert specificity == pytest.approx(1 - min(false[true >= least - 1e-12]))


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="needs normal and abnormal cases"):
        youden_threshold(np.ones(3, np.int64), np.arange(3) / 3)


def test_where_a_case_is_surely_abnormal_the_threshold_stays_below_1() -> None:
    label, probability = np.array([0, 0, 1, 1]), np.array([0.0, 0.2, 1.0, 1.0])
    found = threshold_at_sensitivity(label, probability)
    assert (found, rates(label, probability, found)) == (0.6, (1.0, 1.0))
    assert youden_threshold(label, probability) == 0.6


def test_all_are_called_abnormal_where_their_probability_is_the_same() -> None:
    label, probability = np.array([0, 1]), np.ones(2)
    assert (threshold_at_sensitivity(label, probability), youden_threshold(label, probability)) == (0.0, 0.0)


def test_neighbours_a_rounding_below_1_leave_only_1_between_them_and_it_is_kept() -> None:
    label, probability = np.array([0, 1]), np.array([np.nextafter(1.0, 0.0), 1.0])
    found = threshold_at_sensitivity(label, probability)
    assert (found, rates(label, probability, found)) == (1.0, (1.0, 1.0))


def test_net_benefit_has_no_number_at_a_threshold_of_1() -> None:
    label, probability = np.array([0, 1, 1]), np.array([0.2, 0.9, 1.0])
    assert net_benefit(label, probability, np.array([0.5, 1.0])) == pytest.approx([2 / 3, np.nan], nan_ok=True)
    assert net_benefit_of_all(label, np.array([0.5, 1.0])) == pytest.approx([1 / 3, np.nan], nan_ok=True)


@given(SEEDS, st.floats(0, 0.99))
def test_net_benefit_counts_hits_less_weighted_alarms(seed: int, threshold: float) -> None:
    label, probability = cases(seed)
    hits = sum(1 for y, p in zip(label, probability, strict=True) if p >= threshold and y == 1)
    alarms = sum(1 for y, p in zip(label, probability, strict=True) if p >= threshold and y == 0)
    expected = hits / 40 - alarms / 40 * threshold / (1 - threshold)
    assert net_benefit(label, probability, np.array([threshold]))[0] == pytest.approx(expected)


def test_calling_all_abnormal_is_worth_the_prevalence_at_0_and_nothing_where_the_odds_are_the_prevalences() -> None:
    label, _ = cases(0)
    prevalence = label.mean()
    assert net_benefit_of_all(label, np.array([0.0, prevalence])) == pytest.approx([prevalence, 0.0])
