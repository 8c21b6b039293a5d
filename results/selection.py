"""The best of many trials: how good it is once luck is taken off, which trials could be the best, and their ranks.

All is by the bootstrap over patients, the same patients drawn for all trials, so that trials are compared in pairs.
What resampling patients cannot see is the luck of a training's seed: `search.run --confirm` trains again for that.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from results.intervals import CONFIDENCE, percentile_intervals
from results.metrics import Floats, Integers

ROUNDING = 1e-14  # a variance below it is none
# (the trial's place, weights (draws, cases)) to the metric's values (draws,), more being better.
Metric = Callable[[int, Floats], Floats]


@dataclass(frozen=True)
class Corrected:
    """What the best of several trials is expected to reach on patients that did not choose it.

    Attributes:
        value: bias-corrected. low, high: its interval, in simulation it holds the truth 99 to 100 % of the
            time, 93 % with 30 patients and an AUC of 0.95 (docs/benchmarks.md). plain: the best value as it is.
    """

    value: float
    low: float
    high: float
    plain: float

    @property
    def luck(self) -> float:
        """How much of the plain value is due to its having been chosen, as estimated."""
        return self.plain - self.value

    def scaled(self, factor: float) -> "Corrected":
        """In another unit; a negative factor where the metric was turned round to have more be better."""
        low, high = sorted((self.low * factor, self.high * factor))
        return Corrected(self.value * factor, low, high, self.plain * factor)


def bias_corrected(metric: Metric, values: Floats, draws: Floats, weight: Floats) -> Corrected | None:
    """In each draw the trial that is best on the patients drawn, measured on the patients left out.

    Args:
        metric: of any trial. values: (trials,) of the cases as they are. draws: (trials, draws) of `weight`.
        weight: (draws, cases), how often each case was drawn.
    Returns: None where no draw defines the metric on the patients left out.
    Source: Tsamardinos, Greasidou and Borboudakis 2018, Machine Learning 107:1895-1922, algorithm 5 (BBC-CV), here with
        one held-out split in place of cross-validation's pooled predictions.
    """
    left_out = (weight == 0).astype(np.float64)
    chosen = np.where(np.isnan(draws), -np.inf, draws).argmax(axis=0)
    found = np.full(len(weight), np.nan)
    for trial in np.unique(chosen):
        of_trial = chosen == trial
        found[of_trial] = metric(int(trial), left_out[of_trial])
    (interval,) = percentile_intervals(found[None])
    if interval is None:
        return None
    return Corrected(float(np.nanmean(found)), *interval, plain=float(np.nanmax(values)))


@dataclass(frozen=True)
class Comparison:
    """Several trials compared in pairs.

    Attributes:
        could_be_best: (trials,), False where a trial is surely behind another: with 95 % confidence the truly best is
            among the others. ranks: (trials, 2), each trial's 95 % interval of ranks, 1 the best.
    """

    could_be_best: NDArray[np.bool_]
    ranks: Integers


def undecided(trials: int) -> Comparison:
    """Of trials of which nothing is known: each could be best, and have any rank."""
    return Comparison(np.ones(trials, np.bool_), np.tile([1, trials], (trials, 1)))


def compare(values: Floats, draws: Floats) -> Comparison:
    """Which trials cannot be told from the best, and from which to which rank each may truly have.

    A trial is behind another where it is so by more than the largest of its differences to all others would be by
    chance, each in its standard deviations.

    Args:
        values: (trials,). draws: (trials, draws), the same patients in each draw; a draw with NaN is left out.
    Source: of the best Hsu 1981, Annals of Statistics 9(5):1026-1034, the distribution of the maximum by the bootstrap
        (Romano and Wolf 2005, Econometrica 73(4):1237-1282); of ranks the marginal sets of Mogstad, Romano, Shaikh and
        Wilhelm 2024, Review of Economic Studies 91(1):476-518.
    """
    chance = (draws - values[:, None])[:, ~np.isnan(draws).any(axis=0)]
    deviations = _deviations_of_differences(chance)
    best, ranks = np.ones(len(values), np.bool_), np.ones((len(values), 2), np.int64)
    by_chance = np.empty_like(chance)  # one for all trials: 200 of them would take their memory anew each time
    for trial, deviation in enumerate(deviations):
        varies = deviation > 0
        scale = np.where(varies, deviation, 1.0)
        difference = values - values[trial]
        behind = np.where(varies | (difference == 0), difference / scale, np.copysign(np.inf, difference))
        np.subtract(chance, chance[trial], out=by_chance)
        np.divide(by_chance, np.where(varies, deviation, np.inf)[:, None], out=by_chance)
        greatest = by_chance.max(axis=0, initial=0.0)
        best[trial] = behind.max() <= _quantile(greatest)
        most = _quantile(np.maximum(greatest, -by_chance.min(axis=0, initial=0.0)))
        ranks[trial] = 1 + np.sum(behind > most), len(values) - np.sum(behind < -most)
    return Comparison(best, ranks)


def _deviations_of_differences(chance: Floats) -> Floats:
    """(trials, trials), 0 where no draw changes the difference of two."""
    if chance.shape[1] < 2:
        return np.zeros((len(chance), len(chance)))
    covariance = np.atleast_2d(np.cov(chance, ddof=0))
    variance = np.diag(covariance)[:, None] + np.diag(covariance) - 2 * covariance
    return np.asarray(np.sqrt(np.where(variance > ROUNDING, variance, 0.0)))


def _quantile(largest: Floats) -> float:
    return float(np.quantile(largest, CONFIDENCE)) if len(largest) else 0.0
