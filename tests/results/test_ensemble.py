"""Ensembles chosen greedily: against plain loops and simulations in which the truth is known."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from results import metrics
from results.ensemble import Library, auc_of_draws, expected_of_selection, greedy_selection, mean_probability
from results.intervals import patient_weights
from results.metrics import ALL_PARTS_CLASSES, Floats, Integers


def library(labels: np.ndarray, scores: Floats, kept: int | None = None) -> Library:
    """Of one search that kept the models of its best `kept` trials, or all; scores (trials, patients)."""
    alone = np.array([roc_auc_score(labels, each) for each in scores])
    best = np.argsort(-alone, kind="stable")[: len(scores) if kept is None else kept]
    return Library(
        labels.astype(np.int64),
        np.arange(len(labels)),
        scores[:, :, None].astype(np.float64),
        np.zeros(len(scores), np.int64),
        np.isin(np.arange(len(scores)), best),
    )


def random_scores(seed: int, trials: int, patients: int) -> tuple[np.ndarray, Floats]:
    generator = np.random.default_rng(seed)
    labels = np.arange(patients) % 2
    return labels, labels * 0.7 + generator.normal(size=(trials, patients))


def simulated(seed: int, trials: int = 12, patients: int = 60) -> tuple[np.ndarray, Floats, Floats]:
    """Labels, scores (trials, patients) and the same trials' scores on 4,000 new patients."""
    generator = np.random.default_rng(seed)
    count = patients + 4000
    labels = np.arange(count) % 2
    scores = labels * np.sqrt(2) * norm.ppf(0.75) + (
        generator.normal(size=count) + generator.normal(size=(trials, count))
    ) / np.sqrt(2)
    return labels, scores[:, :patients], scores[:, patients:]


def by_plain_loops(
    labels: np.ndarray, scores: Floats, weight: np.ndarray, candidates: list[int], most: int
) -> Integers:
    """The paper's search, step by step; every patient as often as drawn."""
    drawn = np.repeat(np.arange(len(labels)), weight)

    def value(members: list[int]) -> float:
        mean = np.mean([scores[each] for each in members], axis=0)
        return round(float(roc_auc_score(labels[drawn], mean[drawn])), 12)

    order = sorted(candidates, key=lambda trial: -value([trial]))
    starts = [order[:count] for count in range(1, min(most, len(order)) + 1)]
    members = best = max(starts, key=value)
    while len(members) < most:
        members = [*members, max(order, key=lambda trial: value([*members, trial]))]
        best = max(best, members, key=value)
    return np.bincount(best, minlength=len(scores))


@pytest.mark.parametrize("seed", range(8))
def test_selection_is_that_of_the_papers_steps(seed: int) -> None:
    labels, scores = random_scores(seed, trials=5, patients=24)
    found = greedy_selection(library(labels, scores), most=6)
    assert found.tolist() == by_plain_loops(labels, scores, np.ones(24, int), list(range(5)), 6).tolist()


def test_expected_value_chooses_kept_models_and_ensemble_anew_in_each_draw() -> None:
    labels, scores = random_scores(3, trials=6, patients=40)
    expected = []
    for weight in patient_weights(np.arange(40), labels, 60).astype(int):
        drawn, outside = np.repeat(np.arange(40), weight), np.flatnonzero(weight == 0)
        alone = [round(roc_auc_score(labels[drawn], each[drawn]), 12) for each in scores]
        kept = sorted(range(6), key=lambda trial: -alone[trial])[:3]
        picks = by_plain_loops(labels, scores, weight, kept, 5)
        expected.append(roc_auc_score(labels[outside], picks @ scores[:, outside]))
    found = expected_of_selection(library(labels, scores, kept=3), most=5, draws=60)
    assert found is not None
    assert found.value == pytest.approx(np.mean(expected))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(expected, (0.025, 0.975))))
    picks = by_plain_loops(
        labels, scores, np.ones(40, int), np.flatnonzero(library(labels, scores, 3).kept).tolist(), 5
    )
    assert found.plain == pytest.approx(roc_auc_score(labels, picks @ scores))


def test_plain_value_is_too_good_and_the_expected_one_is_not() -> None:
    plain, expected, truth = [], [], []
    for seed in range(40):
        labels, scores, new = simulated(seed)
        own = library(labels[:60], scores, kept=4)
        found = expected_of_selection(own, most=8, draws=60)
        assert found is not None
        chosen = mean_probability(greedy_selection(own, 8), new[:, :, None])[:, 0]
        truth.append(roc_auc_score(labels[60:], chosen))
        plain.append(found.plain)
        expected.append(found.value)
    bias, left = np.array(plain) - truth, np.array(expected) - truth
    assert bias.mean() > 3 * bias.std() / np.sqrt(len(bias))
    assert abs(left.mean()) < bias.mean() / 2


def test_chance_of_having_been_kept_is_taken_off_too() -> None:
    """Of four kept models alone the choice looks nearly free of luck, though they are the best of 40."""
    of_all: list[float] = []
    of_kept: list[float] = []
    for seed in range(20):
        labels, scores, _ = simulated(seed, trials=40)
        own = library(labels[:60], scores, kept=4)
        for found, trials in ((of_all, np.ones(40, bool)), (of_kept, own.kept)):
            part = library(labels[:60], scores[trials], kept=4)
            corrected = expected_of_selection(part, most=4, draws=40)
            assert corrected is not None
            found.append(corrected.value)
    assert np.mean(of_all) < np.mean(of_kept) - 0.01


def test_a_trial_that_is_best_alone_stays_alone() -> None:
    labels, scores = random_scores(0, trials=4, patients=30)
    scores[2] = labels
    assert greedy_selection(library(labels, scores)).tolist() == [0, 0, 1, 0]


def test_two_trials_that_err_apart_are_taken_together() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    scores = np.array([[0.9, 0.1, 0.2, 0.8, 0.8, 0.8], [0.1, 0.1, 0.1, 0.9, 0.9, 0.05], [0.5, 0.6, 0.5, 0.4, 0.5, 0.5]])
    own = library(labels, scores)
    picks = greedy_selection(own)
    assert picks[2] == 0
    assert (picks[:2] > 0).all()
    mixed = mean_probability(picks, own.probability)[:, 0]
    assert roc_auc_score(labels, mixed) > max(roc_auc_score(labels, each) for each in scores)


def test_a_trial_is_picked_again_where_once_is_not_enough() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    scores = np.array([[0.35, 0.38, 0.4, 0.3, 0.9], [0.0, 0.0, 0.0, 0.06, 0.0]])  # 0.3 + 0.06 is below 0.38
    assert greedy_selection(library(labels, scores)).tolist() == [1, 2]


def test_only_kept_models_are_picked_and_never_more_than_asked() -> None:
    labels, scores = random_scores(5, trials=8, patients=40)
    for most in (1, 2, 7):
        own = library(labels, scores, kept=3)
        picks = greedy_selection(own, most)
        assert 1 <= picks.sum() <= most
        assert not picks[~own.kept].any()


def test_nothing_to_pick_from_is_told() -> None:
    labels, scores = random_scores(0, trials=2, patients=10)
    with pytest.raises(ValueError, match="0 kept models"):
        greedy_selection(library(labels, scores, kept=0))
    with pytest.raises(ValueError, match="0 picks"):
        greedy_selection(library(labels, scores), most=0)


def test_one_class_alone_has_no_expected_value() -> None:
    own = library(*random_scores(0, trials=3, patients=12))
    one_class = Library(np.zeros(12, np.int64), own.patients, own.probability, own.search, own.kept)
    assert expected_of_selection(one_class, draws=10) is None


@pytest.mark.parametrize("classes", [1, ALL_PARTS_CLASSES])
def test_auc_of_scores_that_differ_by_draw_is_the_leaderboards(classes: int) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2 if classes == 1 else ALL_PARTS_CLASSES - 1, size=50)
    score = generator.integers(0, 6, size=(30, 50, classes)) / 6  # many ties
    weight = generator.integers(0, 3, size=(30, 50)).astype(np.float64)
    weight[0, labels == 1] = 0
    found = auc_of_draws(labels, score, weight)
    expected = [
        metrics.auc(labels == 1, own[:, 0], of_draw[None])[0]
        if classes == 1
        else metrics.macro_auc(labels, own, of_draw[None])[0]
        for own, of_draw in zip(score, weight, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isnan(found[0]) == (classes == 1)
