"""DeLong's variance against the paper's own sums, scikit-learn's AUC and the bootstrap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from results import metrics
from results.delong import delong_covariance, delong_interval, delong_test
from results.intervals import patient_weights


def cases(seed: int, positives: int = 30, negatives: int = 50, models: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and scores of models that share half of what they go by; rounded, so that there are ties."""
    generator = np.random.default_rng(seed)
    positive = np.arange(positives + negatives) < positives
    shared, own = generator.normal(size=len(positive)), generator.normal(size=(models, len(positive)))
    return positive, (shared + own + 1.2 * positive).round(1)


def by_the_papers_sums(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Equations 4 to 6 of DeLong et al. 1988, pair by pair."""
    m, n = int(positive.sum()), int((~positive).sum())
    kernel = np.array(
        [[[1.0 if y < x else 0.5 if y == x else 0.0 for y in row[~positive]] for x in row[positive]] for row in scores]
    )
    v10, v01, areas = kernel.mean(axis=2), kernel.mean(axis=1), kernel.mean(axis=(1, 2))
    s10 = (v10 - areas[:, None]) @ (v10 - areas[:, None]).T / (m - 1)
    s01 = (v01 - areas[:, None]) @ (v01 - areas[:, None]).T / (n - 1)
    return np.asarray(s10 / m + s01 / n)


@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(2, 12))
def test_covariance_is_that_of_the_papers_sums(seed: int, positives: int, negatives: int) -> None:
    positive, scores = cases(seed, positives, negatives, models=3)
    areas, covariance = delong_covariance(positive, scores)
    assert areas == pytest.approx([roc_auc_score(positive, score) for score in scores])
    np.testing.assert_allclose(covariance, by_the_papers_sums(positive, scores), atol=1e-12)


def test_interval_holds_the_auc_and_is_near_the_bootstraps() -> None:
    positive, (score, _) = cases(1, 80, 120)
    area, low, high = delong_interval(positive, score)
    weight = patient_weights(np.arange(len(positive)), positive.astype(np.int64))
    drawn = np.quantile(metrics.auc(positive, score, weight), (0.025, 0.975))
    assert 0 < low < area < high < 1
    assert (low, high) == pytest.approx(tuple(drawn), abs=0.01)


@pytest.mark.parametrize("sign", [1, -1])
def test_interval_of_an_auc_at_the_end_of_the_scale_is_that_point(sign: int) -> None:
    positive = np.arange(10) < 5
    assert delong_interval(positive, sign * positive.astype(float)) == ((sign + 1) / 2,) * 3


def test_test_of_two_scores_has_the_size_that_it_says_where_neither_is_better() -> None:
    rejected = [delong_test(positive, *scores).p < 0.05 for positive, scores in map(cases, range(2000))]
    assert np.mean(rejected) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 2000))


def test_test_of_two_scores_is_the_difference_over_its_deviation() -> None:
    positive, scores = cases(3)
    covariance = by_the_papers_sums(positive, scores)
    deviation = np.sqrt(np.array([1, -1]) @ covariance @ np.array([1, -1]))
    expected = roc_auc_score(positive, scores[0]) - roc_auc_score(positive, scores[1])
    found = delong_test(positive, *scores)
    assert (found.value, found.z) == pytest.approx((expected, expected / deviation))
    assert (found.low, found.high) == pytest.approx(
        (expected - 1.96 * deviation, expected + 1.96 * deviation), abs=1e-5
    )


def test_a_score_does_not_differ_from_itself_or_from_one_that_ranks_alike() -> None:
    positive, (score, _) = cases(4)
    assert delong_test(positive, score, 7 * score + 1) == delong_test(positive, score, score)
    assert (delong_test(positive, score, score).z, delong_test(positive, score, score).p) == (0.0, 1.0)


def test_one_case_of_a_class_is_refused() -> None:
    with pytest.raises(ValueError, match="1 positive and 4 negative cases"):
        delong_interval(np.arange(5) < 1, np.arange(5.0))
