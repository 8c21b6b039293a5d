"""Best value so far, and bootstraps over repeated searches."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.curves import (
    BestSoFar,
    best_so_far,
    epochs_paid,
    mean_differences,
    means,
    shared_budget,
    steps,
    values_at,
)
from results.metrics import Floats
from results.records import FAILED, FINISHED, PRUNED, RUNNING, Trial


def trial(number: int, value: float | None, epochs: int | None = 2, state: str = FINISHED, **more: Any) -> Trial:
    values: dict[str, Any] = {each.name: None for each in fields(Trial)}
    values |= {"number": number, "state": state, "value": value, "epochs_trained": epochs, "seconds": 10.0}
    return Trial(**values | more)


TRIALS = [
    trial(0, None, None, FAILED, seconds=1.0),
    trial(1, 0.5),
    trial(2, 0.9, 1, PRUNED),
    trial(3, 0.4),
    trial(4, 0.7, 5),
    trial(5, None, None, RUNNING, seconds=None),
]


@pytest.mark.parametrize(
    ("unit", "cost"),
    [("trials", [1, 2, 3, 4, 5]), ("epochs", [0, 2, 3, 5, 10]), ("seconds", [1, 11, 21, 31, 41])],
)
def test_failed_and_pruned_trials_cost_but_bring_no_value(unit: str, cost: list[float]) -> None:
    curve = best_so_far(TRIALS, unit)
    assert curve.cost.tolist() == cost
    assert np.array_equal(curve.best, [np.nan, 0.5, 0.5, 0.5, 0.7], equal_nan=True)


def test_a_continued_trial_pays_only_for_its_own_epochs() -> None:
    parent, child = trial(0, 0.5, 3), trial(1, 0.6, 9, continues=0, first_epoch=3)
    assert [epochs_paid(parent), epochs_paid(child)] == [3, 6]
    assert best_so_far([parent, child], "epochs").budget == 9


def test_a_cost_buys_what_had_ended_by_then() -> None:
    curve = best_so_far(TRIALS, "seconds")
    assert np.array_equal(curve.at(np.array([0.5, 10.9, 11, 40.9, 41, 99])), [np.nan, np.nan, 0.5, 0.5, 0.7, 0.7], True)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9)), min_size=1, max_size=30))
def test_the_best_never_falls_and_ends_at_the_greatest(drawn: list[tuple[float, int]]) -> None:
    curve = best_so_far([trial(number, value, epochs) for number, (value, epochs) in enumerate(drawn)], "epochs")
    assert (np.diff(curve.best) >= 0).all()
    assert curve.best[-1] == max(value for value, _ in drawn)
    assert curve.at(np.array([curve.budget])) == curve.best[-1]


def test_steps_are_where_trials_ended_up_to_the_shared_budget() -> None:
    repeats = [BestSoFar(np.array([1.0, 4.0, 6.0]), np.ones(3)), BestSoFar(np.array([2.0, 4.0]), np.ones(2))]
    assert shared_budget(repeats) == 4
    assert steps(repeats).tolist() == [1, 2, 4]
    assert steps(repeats, most=2).tolist() == [1, 4]


def test_means_are_undefined_until_every_repeat_has_a_value() -> None:
    repeats = [
        BestSoFar(np.array([1.0, 2.0]), np.array([0.5, 0.7])),
        BestSoFar(np.array([1.0, 2.0]), np.array([np.nan, 0.9])),
    ]
    found = means(values_at(repeats, np.array([1.0, 2.0])), "a")
    assert np.isnan([found.mean[0], found.low[0], found.high[0]]).all()
    assert (found.mean[1], found.low[1], found.high[1]) == (pytest.approx(0.8), pytest.approx(0.7), pytest.approx(0.9))


def test_one_repeat_has_no_interval_and_nor_has_a_difference_with_it() -> None:
    one, two = np.array([[0.5]]), np.array([[0.6], [0.8]])
    for found in (means(one, "a"), mean_differences(one, two), mean_differences(two, one)):
        assert np.isfinite(found.mean).all()
        assert np.isnan([found.low, found.high]).all()
    assert mean_differences(two, one).mean == pytest.approx(0.2)


def repeats(seed: int, number: int, centre: float, spread: float) -> Floats:
    return np.random.default_rng(seed).normal(centre, spread, (number, 1))


def test_interval_of_a_difference_agrees_with_the_normal_approximation() -> None:
    """sqrt(s_a^2 / n_a + s_b^2 / n_b) is the standard error of a difference of independent means."""
    a, b = repeats(1, 60, 0.8, 0.03), repeats(2, 40, 0.7, 0.02)
    found = mean_differences(a, b)
    margin = 1.96 * np.sqrt(a.var() / 60 + b.var() / 40)
    assert found.low[0] == pytest.approx(a.mean() - b.mean() - margin, abs=0.1 * margin)
    assert found.high[0] == pytest.approx(a.mean() - b.mean() + margin, abs=0.1 * margin)


def test_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    """Of 200 pairs of 20 repeats 95 % should hold it; percentiles of 20 hold a little less. 5 standard deviations."""
    held = 0
    for seed in range(200):
        found = mean_differences(repeats(2 * seed, 20, 0.8, 0.03), repeats(2 * seed + 1, 20, 0.75, 0.03))
        held += bool(found.low[0] <= 0.05 <= found.high[0])
    assert 0.935 * 200 - 5 * np.sqrt(200 * 0.935 * 0.065) <= held < 200


def test_equal_sides_are_drawn_independently() -> None:
    same = repeats(3, 10, 0.8, 0.05)
    found = mean_differences(same, same)
    assert found.mean[0] == 0
    assert found.low[0] < -0.01 < 0.01 < found.high[0]


def test_intervals_are_the_same_each_time() -> None:
    values = repeats(4, 30, 0.8, 0.05)
    assert (means(values, "a").low, means(values, "a").high) == (means(values, "a").low, means(values, "a").high)
    assert means(values, "a").low != means(values, "b").low
