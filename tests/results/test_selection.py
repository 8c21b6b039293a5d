"""The best of many trials: against plain loops, closed forms and simulations in which the truth is known."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from results import metrics
from results.intervals import patient_weights
from results.metrics import Floats
from results.selection import Metric, bias_corrected, compare

TRUE_AUC = 0.8


def simulated(seed: int, trials: int = 20, patients: int = 100, better: float = 0.0) -> tuple[np.ndarray, Floats]:
    """Labels and scores (trials, patients), each trial of AUC 0.8; the first is better by so many deviations."""
    generator = np.random.default_rng(seed)
    labels = np.arange(patients) % 2
    shared, own = generator.normal(size=patients), generator.normal(size=(trials, patients))
    apart = np.sqrt(2) * norm.ppf(TRUE_AUC) + better * (np.arange(trials) == 0)[:, None]
    return labels, (shared + own) / np.sqrt(2) + apart * labels


def drawn(labels: np.ndarray, scores: Floats, count: int = 500) -> tuple[Metric, Floats, Floats, Floats]:
    """The metric, its values, its draws and their weights."""
    weight = patient_weights(np.arange(len(labels)), labels, draws=count)

    def metric(trial: int, weight: Floats) -> Floats:
        return metrics.auc(labels == 1, scores[trial], weight)

    values = np.array([metric(trial, metrics.ones(len(labels)))[0] for trial in range(len(scores))])
    return metric, values, np.stack([metric(trial, weight) for trial in range(len(scores))]), weight


def test_bias_corrected_value_is_that_of_the_papers_algorithm() -> None:
    labels, scores = simulated(0, trials=4, patients=30)
    metric, values, draws, weight = drawn(labels, scores, count=60)
    expected = []
    for counts in weight.astype(int):
        inside, outside = np.repeat(np.arange(30), counts), np.flatnonzero(counts == 0)
        best = max(range(4), key=lambda trial: roc_auc_score(labels[inside], scores[trial][inside]))
        if 0 < labels[outside].sum() < len(outside):
            expected.append(roc_auc_score(labels[outside], scores[best][outside]))
    found = bias_corrected(metric, values, draws, weight)
    assert found is not None
    assert found.value == pytest.approx(np.mean(expected))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(expected, (0.025, 0.975))))
    assert (found.plain, found.luck) == pytest.approx((max(values), max(values) - np.mean(expected)))


def test_luck_is_taken_off_where_all_trials_are_equally_good() -> None:
    found = [bias_corrected(*drawn(*simulated(seed), count=200)) for seed in range(60)]
    plain, corrected = (np.array([getattr(each, name) for each in found]) for name in ("plain", "value"))
    assert plain.mean() - TRUE_AUC > 0.02
    assert abs(corrected.mean() - TRUE_AUC) < 3 * corrected.std() / np.sqrt(len(corrected))
    assert abs(corrected.mean() - TRUE_AUC) < (plain.mean() - TRUE_AUC) / 3


def test_one_trial_has_no_luck_of_choice() -> None:
    found = bias_corrected(*drawn(*simulated(1, trials=1)))
    assert found is not None
    assert found.value == pytest.approx(found.plain, abs=0.01)


def test_where_no_draw_defines_the_metric_there_is_no_corrected_value() -> None:
    labels, scores = np.zeros(10, np.int64), np.random.default_rng(0).random((2, 10))
    assert bias_corrected(*drawn(labels, scores, count=20)) is None


def test_the_best_is_among_those_that_could_be_best_as_often_as_is_said() -> None:
    sizes, held = [], []
    for seed in range(200):
        _, values, draws, _ = drawn(*simulated(seed, trials=8, better=0.3), count=200)
        found = compare(values, draws).could_be_best
        held.append(found[0])
        sizes.append(found.sum())
    assert np.mean(held) >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 200)
    assert 1 < np.mean(sizes) < 7  # it says something


def test_of_two_trials_the_worse_is_out_where_a_one_sided_z_test_says_so() -> None:
    generator, decided = np.random.default_rng(0), []
    for _ in range(200):
        draws = generator.normal(size=(2, 4000))
        values = generator.normal(size=2) * 1.5
        z = abs(values[0] - values[1]) / np.sqrt(2)
        if abs(z - norm.ppf(0.95)) > 0.1:  # else the draws decide
            worse = int(values.argmin())
            found = compare(values, draws + values[:, None]).could_be_best[worse]
            decided.append((bool(found), bool(z < norm.ppf(0.95))))
    assert {expected for _, expected in decided} == {True, False}
    assert all(told == expected for told, expected in decided)


def test_many_alike_trials_that_are_far_behind_are_out_and_equal_ones_stay() -> None:
    labels, scores = simulated(2, trials=5, patients=300, better=2.0)
    scores[4] = scores[0]
    _, values, draws, _ = drawn(labels, scores)
    assert compare(values, draws).could_be_best.tolist() == [True, False, False, False, True]
    assert compare(values, draws).ranks[[0, 4]].tolist() == [[1, 2], [1, 2]]


def test_ranks_are_sure_where_trials_are_far_apart_and_open_where_they_are_alike() -> None:
    apart = np.array([0.9, 0.5, 0.7])
    noise = np.random.default_rng(0).normal(scale=0.01, size=(3, 1000))
    assert compare(apart, apart[:, None] + noise).ranks.tolist() == [[1, 1], [3, 3], [2, 2]]
    alike = np.full(3, 0.7)
    assert compare(alike, alike[:, None] + noise).ranks.tolist() == [[1, 3]] * 3


def test_rank_intervals_hold_the_true_rank_as_often_as_is_said() -> None:
    held = []
    for seed in range(200):
        _, values, draws, _ = drawn(*simulated(seed, trials=6, better=0.8), count=200)
        low, high = compare(values, draws).ranks[0]
        held.append(low <= 1 <= high)
    assert np.mean(held) >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 200)


def test_a_rank_in_the_middle_is_held_at_both_ends_as_often_as_is_said() -> None:
    """The middle trial's own chance decides: an interval sure at one end only would hold nine times in ten."""
    truth, deviation = np.array([0.01, 0.0, -0.01]), np.array([0.02, 1.0, 0.02])
    generator, held = np.random.default_rng(0), []
    for _ in range(2000):
        values = truth + deviation * generator.normal(size=3)
        draws = values[:, None] + deviation[:, None] * generator.normal(size=(3, 500))
        low, high = compare(values, draws).ranks[1]
        held.append(low <= 2 <= high)
    assert np.mean(held) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 2000))


def test_one_trial_is_first_and_could_be_best() -> None:
    _, values, draws, _ = drawn(*simulated(0, trials=1))
    assert compare(values, draws).could_be_best.tolist() == [True]
    assert compare(values, draws).ranks.tolist() == [[1, 1]]


def test_trials_that_call_every_case_alike_differ_by_no_chance() -> None:
    values, draws = np.array([0.9, 0.8]), np.array([[0.9] * 5, [0.8] * 5])
    assert compare(values, draws).could_be_best.tolist() == [True, False]
    assert compare(values, draws).ranks.tolist() == [[1, 1], [2, 2]]
