"""The winner's curse, measured: against the plain metric, closed forms and cases in which the optimism is known."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import winners_curse
from benchmarks.winners_curse import (
    AGAIN,
    AUCS,
    CORRECTED,
    FRESH,
    INTERVALS,
    NARROWED,
    PATIENTS,
    PLAIN,
    SEARCHES,
    WINNER,
    Field,
    areas,
    coverage,
    drawn,
    logit_intervals,
    markdown,
    optimism,
    ratio,
    winner,
    winner_coverage,
)
from plumbing.seeds import generator_of
from results import metrics
from results.delong import delong_covariance, delong_interval
from results.intervals import patient_weights


@pytest.mark.parametrize("cases", [7, 100, 301])
def test_areas_of_many_scores_equal_the_plain_metric_to_the_last_bit(cases: int) -> None:
    draw = generator_of("areas", cases)
    positive, scores = np.arange(cases) % 3 == 0, draw.integers(0, 9, (5, cases)) / 8  # many ties
    weight = patient_weights(np.arange(cases), positive.astype(np.int64), draws=50)
    expected = np.stack([metrics.auc(positive, score, weight) for score in scores])
    assert np.array_equal(areas(positive, scores, weight), expected)


def test_drawn_scores_have_the_auc_and_the_correlation_asked_for() -> None:
    aucs, correlations = [], []
    for repeat in range(30):
        positive, scores, truths, _ = drawn(Field(0.8, 100, 0.5), generator_of("drawn", repeat))
        assert (truths == 0.8).all()
        aucs.append(areas(positive, scores, metrics.ones(100)).mean())
        of_class = (np.corrcoef(scores[:, each]) for each in (positive, ~positive))
        correlations += [each[np.triu_indices(len(scores), 1)].mean() for each in of_class]
    assert np.mean(aucs) == pytest.approx(0.8, abs=0.02)
    assert np.mean(correlations) == pytest.approx(0.5, abs=0.05)


def test_drawn_true_aucs_spread_as_asked() -> None:
    truths = np.concatenate([drawn(Field(0.8, 20, 0.0, 0.02), generator_of("spread", each))[2] for each in range(40)])
    assert truths.mean() == pytest.approx(0.8, abs=0.002)
    assert truths.std() == pytest.approx(0.02, abs=0.002)


def test_a_winner_is_the_same_again_and_looks_better_than_it_is() -> None:
    first, again = (winner(Field(0.8, 60, 0.5), 0) for _ in range(2))
    truth, plain, corrected, low, high = first
    assert first.tolist() == again.tolist()
    assert truth == 0.8
    assert low < corrected < high
    assert corrected < plain


def test_logit_intervals_are_delongs_where_the_deviation_is() -> None:
    positive, scores, _, _ = drawn(Field(0.8, 60, 0.5), generator_of("logit"))
    values, covariance = delong_covariance(positive, scores)
    found = logit_intervals(values, np.sqrt(np.diag(covariance)))
    assert found == pytest.approx(np.array([delong_interval(positive, score)[1:] for score in scores]))
    assert logit_intervals(np.ones(1), np.zeros(1)) == pytest.approx(np.ones((1, 2)))


def test_coverage_counts_the_intervals_that_hold_the_truth() -> None:
    share, low, high = coverage(np.array([0.0, 0.6, 0.5, 0.0]), np.array([1.0, 1.0, 0.7, 0.4]), 0.5)
    assert share == 50.0
    assert low < 50.0 < high


def test_the_narrowed_interval_shrinks_around_the_value() -> None:
    truth, value, low, high = 0.5, 0.6, 0.49, 0.7  # 0.6 - 0.11 / sqrt(e - 1) = 0.516
    found = winner_coverage(np.array([[truth], [0.8], [value], [low], [high]]))
    assert (found[WINNER][0], found[NARROWED][0]) == (100.0, 0.0)


def test_the_ratio_of_proportional_means_is_certain() -> None:
    below = generator_of("ratio").random(50)
    assert ratio(below / 4, below).rounded(6) == [0.25, 0.25, 0.25]


def test_without_luck_of_the_seed_there_is_no_optimism() -> None:
    runs = np.repeat(generator_of("no luck").random((300, 1)), 4, axis=1)
    assert optimism(runs, 2, generator_of("searches")) == pytest.approx(np.zeros((3, SEARCHES)))


def test_of_equal_configurations_the_winner_is_by_the_expected_maximum_too_good_and_its_fresh_seed_is_not() -> None:
    runs = generator_of("luck alone").standard_normal((30_000, 5))
    plain, fresh, again = optimism(runs, 1, generator_of("searches")).mean(axis=1)
    assert plain == pytest.approx(2.508, abs=0.05)  # mean of the largest of 100 normals; Harter 1961, Biometrika 48
    assert fresh == pytest.approx(0, abs=0.05)
    assert again == pytest.approx(1.163, abs=0.05)  # of the largest of 5


def test_the_seeds_of_choice_confirmation_and_truth_are_disjoint() -> None:
    of_seed = np.array([0.0, 1.0, 10.0])
    plain, fresh, again = optimism(np.tile(of_seed, (200, 1)), 1, generator_of("searches")) * 3
    # With a seed for each role, confirmation less truth is the difference of the two that did not choose.
    assert set(fresh.round(9)) == {one + two + three for one in (-9, 9) for two in (-10, 10) for three in (-1, 1)}
    assert fresh == pytest.approx(again)
    # The truth of one seed's choice is another's value; all three choose once.
    truths = {one + two + three for one in (1, 10) for two in (0, 10) for three in (0, 1)}
    assert set(plain.round(9)) == {11 - truth for truth in truths}


def test_markdown_shows_intervals_and_leaves_empty_what_a_row_lacks() -> None:
    assert markdown([{"a": [1.5, 1.0, 2.0], "b": "x"}, {"a": 3}]).splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| 1.5 (1 to 2) | x |",
        "| 3 |  |",
    ]


def test_the_plot_is_drawn_of_the_figures_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winners_curse, "REPOSITORY", tmp_path)
    estimate = [0.5, 0.4, 0.6]
    bias = [{"true AUC": "0.8, all", "correlation": 0.5, PLAIN: estimate, CORRECTED: estimate}]
    held = {name: [95.0, 94.0, 96.0] for name in INTERVALS}
    covered = [{"patients": patients, "true AUC": auc, **held} for patients in PATIENTS for auc in AUCS]
    optimisms = dict.fromkeys((PLAIN, AGAIN, FRESH[0]), estimate)
    recorded = [{"table": "hpobench-car", **optimisms, FRESH[1]: estimate}, {"table": "nasbench201-x", **optimisms}]
    winners_curse.draw(bias, covered, [*recorded, {"table": "fcnet-x", **optimisms, FRESH[1]: estimate}])
    assert (tmp_path / "docs" / "winners_curse.png").stat().st_size > 10_000
