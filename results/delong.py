"""DeLong's variance of areas under ROC curves: an interval for one, and a test for two on the same cases.

Cases are taken for independent: where patients have several studies, the patient bootstrap is the one to trust.
Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44(3):837-845, computed by mid-ranks after Sun and Xu 2014,
IEEE Signal Processing Letters 21(11):1389-1393.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

from results.intervals import DEVIATIONS
from results.metrics import Floats


@dataclass(frozen=True)
class Difference:
    """The first AUC less the second; z and the two-sided p of the hypothesis that there is none."""

    value: float
    low: float
    high: float
    z: float
    p: float


def delong_covariance(positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """AUCs of several scores on the same cases, and their covariance.

    Args:
        positive: (cases,), at least two of each kind. scores: (models, cases).
    Returns: (models,) AUCs; (models, models).
    Raises: ValueError where a class has fewer than two cases.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if min(positives, negatives) < 2:
        raise ValueError(f"{positives} positive and {negatives} negative cases; DeLong's variance needs two of each")
    of_positive, of_negative = scores[:, positive], scores[:, ~positive]
    among_all = rankdata(np.concatenate([of_positive, of_negative], axis=1), axis=1)
    # Of each positive case the share of negatives that it beats, of each negative the share of positives that beat it.
    beats = (among_all[:, :positives] - rankdata(of_positive, axis=1)) / negatives
    beaten = 1 - (among_all[:, positives:] - rankdata(of_negative, axis=1)) / positives
    covariance = np.cov(beats) / positives + np.cov(beaten) / negatives
    return beats.mean(axis=1), np.atleast_2d(covariance)


def delong_interval(positive: NDArray[np.bool_], score: Floats) -> tuple[float, float, float]:
    """The AUC and its 95 % interval, made on the logit scale, so that it stays within 0..1.

    An AUC of 0 or 1 has no variance by DeLong: its interval is that point alone.

    Args:
        positive, score: (cases,).
    Raises: ValueError as `delong_covariance`.
    Source: of the logit scale Pepe 2003, The Statistical Evaluation of Medical Tests, section 5.2.

    >>> delong_interval(np.array([False, False, True, True]), np.array([0.1, 0.2, 0.3, 0.4]))
    (1.0, 1.0, 1.0)
    """
    (area,), covariance = delong_covariance(positive, score[None])
    deviation = float(np.sqrt(covariance[0, 0]))
    if deviation == 0:
        return float(area), float(area), float(area)
    margin = DEVIATIONS * deviation / (area * (1 - area))
    return float(area), float(expit(logit(area) - margin)), float(expit(logit(area) + margin))


def delong_test(positive: NDArray[np.bool_], first: Floats, second: Floats) -> Difference:
    """Two scores on the same cases: z is 0 and p is 1 where the two rank all pairs alike.

    Args:
        positive, first, second: (cases,).
    Raises: ValueError as `delong_covariance`.
    """
    areas, covariance = delong_covariance(positive, np.stack([first, second]))
    value = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    deviation = np.sqrt(max(variance, 0.0))
    z = value / deviation if deviation > 0 else 0.0 if value == 0 else float(np.copysign(np.inf, value))
    margin = DEVIATIONS * deviation
    return Difference(value, float(value - margin), float(value + margin), float(z), float(2 * norm.sf(abs(z))))
