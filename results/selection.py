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

# (the trial's place, weights (draws, cases)) to the metric's values (draws,), more being better.
Metric = Callable[[int, Floats], Floats]


@dataclass(frozen=True)
class Corrected:
    """What the best of several trials is expected to reach on patients that did not choose it.

    Attributes:
        value: bias-corrected. low, high: its 95 % interval. plain: the best value as it is.
    """

    value: float
    low: float
    high: float
    plain: float

    @property
    def luck(self) -> float:
        """How much of the plain value is due to its having been chosen, as estimated."""
        return self.plain - self.value


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


def could_be_best(values: Floats, draws: Floats) -> NDArray[np.bool_]:
    """Which trials cannot be told from the best: with 95 % confidence the truly best is among them.

    A trial is out where some other beats it by more than the largest of its differences to all others would by chance.

    Args:
        values: (trials,). draws: (trials, draws), the same patients in each draw.
    Source: multiple comparisons with the best, Hsu 1981, Annals of Statistics 9(5):1026-1034, the distribution of the
        maximum by the bootstrap (Romano and Wolf 2005, Econometrica 73(4):1237-1282).
    """
    found = np.ones(len(values), np.bool_)
    for trial in range(len(values)):
        behind, by_chance = _differences(values, draws, trial)
        found[trial] = behind.max(initial=0.0) <= _quantile(by_chance.max(axis=0, initial=0.0))
    return found


def rank_intervals(values: Floats, draws: Floats) -> Integers:
    """Each trial's 95 % interval of ranks, 1 the best: (trials, 2).

    Args:
        values: (trials,). draws: (trials, draws), the same patients in each draw.
    Source: Mogstad, Romano, Shaikh and Wilhelm 2024, Review of Economic Studies 91(1):476-518, marginal sets.
    """
    found = np.empty((len(values), 2), np.int64)
    for trial in range(len(values)):
        behind, by_chance = _differences(values, draws, trial)
        most = _quantile(np.abs(by_chance).max(axis=0, initial=0.0))
        found[trial] = 1 + np.sum(behind > most), len(values) - np.sum(-behind > most)
    return found


def _differences(values: Floats, draws: Floats, trial: int) -> tuple[Floats, Floats]:
    """How far the trial is behind each other, (others,), and by chance, (others, draws), in standard deviations.

    Draws that do not define the metric are left out. A difference that no draw changes is beyond any chance.
    """
    others = np.arange(len(values)) != trial
    behind = values[others] - values[trial]
    drawn = draws[others] - draws[trial]
    drawn = drawn[:, ~np.isnan(drawn).any(axis=0)]
    deviation = drawn.std(axis=1) if drawn.shape[1] else np.zeros(len(behind))
    certain = np.where(behind == 0, 0.0, np.copysign(np.inf, behind))
    scale = np.where(deviation > 0, deviation, 1.0)
    by_chance = np.where(deviation > 0, (drawn - behind[:, None]).T / scale, 0.0).T
    return np.where(deviation > 0, behind / scale, certain), by_chance


def _quantile(largest: Floats) -> float:
    return float(np.quantile(largest, CONFIDENCE)) if len(largest) else 0.0
