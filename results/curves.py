"""The best value of a search so far against what it has cost, and how far that would vary with other seeds.

A repeat is one search among several that differ by their seed alone. Means over repeats carry the central 95 % of a
bootstrap over repeats: as many are drawn from them with replacement, `intervals.DRAWS` times, and the mean taken each
time.

Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 (two samples, drawn independently) and
13 (percentiles); over seeds as in Agarwal et al. 2021, arXiv:2108.13264.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plumbing.seeds import generator_of
from results.intervals import DRAWS, percentile_intervals
from results.metrics import Floats
from results.records import FINISHED, RUNNING, Trial

UNITS = ("trials", "epochs", "seconds")


def epochs_paid(trial: Trial) -> int:
    """The epochs that the trial trained itself, without those of a trial that it continues; 0 for one that failed."""
    return (trial.epochs_trained or 0) - (trial.first_epoch or 0)


def cost_of(trial: Trial, unit: str) -> float:
    """What the trial cost in one of `UNITS`; seconds are its own, also where others trained beside it."""
    return {"trials": 1.0, "epochs": float(epochs_paid(trial)), "seconds": trial.seconds or 0.0}[unit]


@dataclass(frozen=True)
class BestSoFar:
    """A step function: the best value after each ended trial.

    Attributes:
        cost: (trials,) what was paid by the trial's end, never falling.
        best: (trials,) NaN before the first value.
    """

    cost: Floats
    best: Floats

    @property
    def budget(self) -> float:
        """All that the search has cost."""
        return float(self.cost[-1])

    def at(self, cost: Floats) -> Floats:
        """The best value that the cost has bought; NaN where it is none.

        >>> BestSoFar(np.array([1.0, 2.0, 3.0]), np.array([np.nan, 0.5, 0.75])).at(np.array([1.5, 2.0, 9.0]))
        array([ nan, 0.5 , 0.75])
        """
        return np.concatenate([[np.nan], self.best])[np.searchsorted(self.cost, cost, side="right")]


def best_so_far(trials: Sequence[Trial], unit: str) -> BestSoFar:
    """The best value of a search against its cost in the unit.

    Failed and pruned trials cost what they cost and bring no value; running ones are left out.

    Args:
        trials: in the order of their numbers, one ended at least.
    """
    ended = [trial for trial in trials if trial.state != RUNNING]
    values = [trial.value if trial.state == FINISHED and trial.value is not None else np.nan for trial in ended]
    cost = np.cumsum([cost_of(trial, unit) for trial in ended])
    return BestSoFar(cost, np.fmax.accumulate(np.array(values, float)))


def shared_budget(repeats: Sequence[BestSoFar]) -> float:
    """The cost up to which all repeats go."""
    return min(each.budget for each in repeats)


def values_at(repeats: Sequence[BestSoFar], cost: Floats) -> Floats:
    """The repeats' best values at each cost, (repeats, costs)."""
    return np.stack([each.at(cost) for each in repeats])


def steps(repeats: Sequence[BestSoFar], most: int = 400) -> Floats:
    """The costs at which a repeat's trial ended, up to the shared budget; `most` of them, evenly picked."""
    costs = np.unique(np.concatenate([each.cost for each in repeats]))
    costs = costs[costs <= shared_budget(repeats)]
    return np.asarray(costs[np.unique(np.linspace(0, len(costs) - 1, most).round().astype(int))])


@dataclass(frozen=True)
class Means:
    """Means over repeats at some costs, with their intervals; each (costs,).

    Attributes:
        mean: NaN where a repeat has no value yet. low, high: NaN there, and everywhere with a single repeat.
    """

    mean: Floats
    low: Floats
    high: Floats


def means(values: Floats, name: str) -> Means:
    """Means of (repeats, costs) values; `name` seeds the bootstrap."""
    return _means(values.mean(axis=0), _drawn_means(values, name) if len(values) > 1 else None)


def mean_differences(a: Floats, b: Floats) -> Means:
    """Means of `a` less means of `b`, both (repeats, costs); no interval where either has a single repeat.

    Repeats of a and b are drawn independently, also where they share seeds.
    """
    several = len(a) > 1 and len(b) > 1
    draws = _drawn_means(a, "a") - _drawn_means(b, "b") if several else None
    return _means(a.mean(axis=0) - b.mean(axis=0), draws)


def _drawn_means(values: Floats, name: str) -> Floats:
    """(costs, draws): the means of the values' bootstrap draws."""
    repeats = len(values)
    counts = generator_of("bootstrap over repeats", name).multinomial(repeats, np.full(repeats, 1 / repeats), DRAWS)
    return np.asarray(values.T @ (counts.T / repeats))


def _means(mean: Floats, draws: Floats | None) -> Means:
    found = [None] * len(mean) if draws is None else percentile_intervals(draws)
    bounds = np.array([each or (np.nan, np.nan) for each in found]).reshape(-1, 2)
    return Means(mean, bounds[:, 0], bounds[:, 1])
