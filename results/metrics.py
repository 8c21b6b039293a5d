"""Metrics as pure functions of labels, probabilities and case weights.

Each takes `weight` of shape (draws, cases) and gives (draws,): a plain metric is one draw of ones, a bootstrap is many
draws of counts, and both run through the same lines. Where a metric is not defined (one class only) it is NaN.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# In the 14-class task, classes 0..6 are the parts' normal ones, 7..13 the same parts' abnormal ones.
ALL_PARTS_CLASSES = 14
FIRST_ABNORMAL = 7

DRAWS_AT_ONCE = 250  # of the AUC: so few stay in a core's cache, which is six times as fast as all 2,000


def ones(cases: int) -> Floats:
    """The weights of a plain metric: (1, cases)."""
    return np.ones((1, cases))


def auc(positive: NDArray[np.bool_], score: Floats, weight: Floats) -> Floats:
    """Area under the ROC curve: the chance that a positive case scores above a negative one, ties counting half.

    Args:
        positive, score: (cases,). weight: (draws, cases), not negative.
    Returns: (draws,); NaN where a draw has no positive or no negative case.
    Source: Hanley and McNeil 1982, Radiology 143(1):29-36, equation 1 (the Wilcoxon statistic).

    >>> auc(np.array([False, True, True]), np.array([0.2, 0.2, 0.9]), ones(3))
    array([0.75])
    """
    positives, negatives = np.flatnonzero(positive), np.flatnonzero(~positive)
    negatives = negatives[np.argsort(score[negatives])]
    below, not_above = (np.searchsorted(score[negatives], score[positives], side) for side in ("left", "right"))
    found = []
    for first in range(0, len(weight) or 1, DRAWS_AT_ONCE):
        of_case = weight[first : first + DRAWS_AT_ONCE].T
        up_to = np.zeros((len(negatives) + 1, of_case.shape[1]))  # the negatives' weight below each of their ranks
        np.cumsum(of_case[negatives], axis=0, out=up_to[1:])
        of_positive = of_case[positives]
        wins = np.einsum("pd,pd->d", of_positive, up_to[below] + up_to[not_above]) / 2
        found.append(_ratio(wins, of_positive.sum(axis=0) * up_to[-1]))
    return np.concatenate(found)


def macro_auc(label: Integers, probability: Floats, weight: Floats) -> Floats:
    """Mean over classes of the one-against-the-rest AUC, over the classes that `label` holds.

    Args:
        label: (cases,) in 0..classes-1. probability: (cases, classes).
    Returns: (draws,); a draw that lacks a class averages over those it has.
    Source: Fawcett 2006, Pattern Recognition Letters 27:861-874, section 9 (unweighted).
    """
    per_class = np.stack([auc(label == each, probability[:, each], weight) for each in np.unique(label)])
    defined = ~np.isnan(per_class)
    return _ratio(np.where(defined, per_class, 0.0).sum(axis=0), defined.sum(axis=0).astype(np.float64))


def confusion(label: Integers, predicted: Integers, classes: int, weight: Floats) -> Floats:
    """Weighted counts, true class by predicted class: (draws, classes, classes).

    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2, ones(3))
    array([[[1., 0.],
            [1., 1.]]])
    """
    cell = np.zeros((len(label), classes * classes))
    cell[np.arange(len(label)), label * classes + predicted] = 1.0
    return (weight @ cell).reshape(-1, classes, classes)


def accuracy(counts: Floats) -> Floats:
    """Share of cases predicted right, from (draws, classes, classes) counts."""
    return _ratio(np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2)))


def kappa(counts: Floats) -> Floats:
    """Agreement beyond chance, from (draws, classes, classes) counts; NaN where chance alone agrees fully.

    Source: Cohen 1960, Educational and Psychological Measurement 20(1):37-46.

    >>> kappa(np.array([[[20.0, 5.0], [10.0, 15.0]]])).round(3)
    array([0.4])
    """
    total = counts.sum(axis=(1, 2))
    agreed = np.trace(counts, axis1=1, axis2=2) / np.where(total > 0, total, np.nan)
    chance = (counts.sum(axis=1) * counts.sum(axis=2)).sum(axis=1) / np.where(total > 0, total, np.nan) ** 2
    return _ratio(agreed - chance, 1 - chance)


def sensitivity(counts: Floats) -> Floats:
    """Share of abnormal cases called abnormal (recall), from (draws, 2, 2) counts."""
    return _ratio(counts[:, 1, 1], counts[:, 1].sum(axis=1))


def specificity(counts: Floats) -> Floats:
    """Share of normal cases called normal, from (draws, 2, 2) counts."""
    return _ratio(counts[:, 0, 0], counts[:, 0].sum(axis=1))


def precision(counts: Floats) -> Floats:
    """Share of cases called abnormal that are, from (draws, 2, 2) counts."""
    return _ratio(counts[:, 1, 1], counts[:, :, 1].sum(axis=1))


def f1(counts: Floats) -> Floats:
    """Harmonic mean of precision and sensitivity, from (draws, 2, 2) counts.

    Source: van Rijsbergen 1979, Information Retrieval, chapter 7: 2 TP / (2 TP + FP + FN).
    """
    hits = counts[:, 1, 1]
    return _ratio(2 * hits, 2 * hits + counts[:, 0, 1] + counts[:, 1, 0])


def brier(label: Integers, probability: Floats, weight: Floats) -> Floats:
    """Mean squared distance between probability and outcome.

    Args:
        probability: (cases, 1), P(abnormal): mean of (p - y)^2; or (cases, classes): summed over classes, in 0..2.
    Source: Brier 1950, Monthly Weather Review 78(1):1-3.

    >>> brier(np.array([1, 0]), np.array([[0.8], [0.4]]), ones(2)).round(3)
    array([0.1])
    """
    classes = probability.shape[1]
    outcome = label[:, None] if classes == 1 else np.eye(classes)[label]
    loss = ((probability - outcome) ** 2).sum(axis=1)
    return _ratio(weight @ loss, weight.sum(axis=1))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """The quotient, NaN where the denominator is 0."""
    return np.asarray(np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0))
