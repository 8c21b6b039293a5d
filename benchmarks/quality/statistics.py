"""Comparing searches: mean ranks, head-to-head wins and paired differences, with bootstrap intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.quality.contestants import Job
from benchmarks.quality.replay import Run
from plumbing.seeds import generator_of

Floats = NDArray[np.float64]
DRAWS = 10_000


def at_budgets(values: Floats, spent: Floats, budgets: Floats, before: float) -> Floats:
    """(..., budgets) of values (..., trials): that of the last trial that had ended when so much was spent.

    Args:
        spent: as values, after each trial. before: the value where none had ended.
    """
    ended = np.sum(spent[..., None] <= budgets * (1 + 1e-12), axis=-2)
    padded = np.concatenate([np.full((*values.shape[:-1], 1), before), values], axis=-1)
    return np.take_along_axis(padded, ended, axis=-1)


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def rounded(self, digits: int) -> list[float]:
        """As plain data."""
        return [round(number, digits) for number in (self.value, self.low, self.high)]


def stacked(runs: Mapping[Job, Run], names: Sequence[str], tables: Sequence[str], field: str = "regrets") -> Floats:
    """(contestants, tables, repeats, trials) of a field of runs, over the repeats that all have.

    Raises: KeyError where a run is missing among those repeats.
    """
    counts = [sum(1 for job in runs if job.contestant == name and job.table == tables[0]) for name in names]
    found = [
        [[getattr(runs[Job(repeat, name, table)], field) for repeat in range(min(counts))] for table in tables]
        for name in names
    ]
    return np.asarray(found, np.float64)


def ranks(regrets: Floats) -> Floats:
    """Ranks from 1, the least regret, over the first axis; equal regrets share the mean of their ranks.

    >>> ranks(np.array([[0.2], [0.1], [0.2]])).ravel()
    array([2.5, 1. , 2.5])
    """
    # The regrets of one configuration may differ by rounding where sums are taken in another order.
    return np.asarray(rankdata(regrets.round(12), axis=0), np.float64)


def over_tables(values: Floats, draws: int = DRAWS) -> Interval:
    """The mean of (tables, repeats), its interval by drawing tables, and within each drawn table its repeats."""
    draw, (tables, repeats) = generator_of("bootstrap", "tables"), values.shape
    means = np.empty(draws)
    for each in range(draws):
        rows = draw.integers(tables, size=(tables, 1))
        columns = draw.integers(repeats, size=(tables, repeats))
        means[each] = values[rows, columns].mean()
    return _interval(float(values.mean()), means)


def over_repeats(values: Floats, draws: int = DRAWS) -> Interval:
    """The mean of (repeats,), its interval by drawing repeats."""
    draw = generator_of("bootstrap", "repeats")
    means = values[draw.integers(len(values), size=(draws, len(values)))].mean(axis=1)
    return _interval(float(values.mean()), means)


def _interval(value: float, means: Floats) -> Interval:
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def rank_differences(regrets: Floats, baseline: int) -> list[Interval]:
    """Each contestant's mean rank less the baseline's, below zero where it is better.

    Args:
        regrets: (contestants, tables, repeats).
    """
    ranked = ranks(regrets)
    return [over_tables(each - ranked[baseline]) for each in ranked]


def wins(regrets: Floats, baseline: int) -> list[Interval]:
    """Head to head with the baseline alone: share of searches won less share lost, above zero where it is better.

    Args:
        regrets: (contestants, tables, repeats).
    """
    rounded = regrets.round(12)
    return [over_tables(np.sign(rounded[baseline] - each)) for each in rounded]
