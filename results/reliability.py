"""Do probabilities mean what they say: the reliability curve, its error, and the Brier score taken apart."""

from dataclasses import dataclass

import numpy as np

from results.metrics import Floats, Integers
from results.rates import wilson_interval

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Cases of like probability: their mean, the share that was abnormal, and that share's 95 % Wilson interval."""

    cases: int
    mean: float
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class BrierParts:
    """The Brier score is `reliability - resolution + uncertainty`, of forecasts that are the means of their bins.

    Attributes:
        reliability: how far the bins' probabilities are from their shares, 0 the best. resolution: how far those
            shares are from the overall share, more is better. uncertainty: that of the outcome itself.
    """

    reliability: float
    resolution: float
    uncertainty: float


def reliability_curve(label: Integers, probability: Floats, bins: int = BINS) -> list[Bin]:
    """Bins of equal numbers of cases, ordered by probability; equal probabilities are never parted, no cases no bins.

    Args:
        label: (cases,) in {0, 1}. probability: (cases,), of label 1.
    """
    return [
        Bin(len(own), float(probability[own].mean()), float(label[own].mean()), *_wilson(label[own]))
        for own in _members(probability, bins)
    ]


def _wilson(label: Integers) -> tuple[float, float]:
    return wilson_interval(int(label.sum()), len(label))


def _members(probability: Floats, bins: int) -> list[Integers]:
    if len(probability) == 0:
        return []
    order = np.argsort(probability, kind="stable")
    edges = np.unique(probability[order[np.arange(1, bins) * len(order) // bins]])
    place = np.searchsorted(edges, probability, side="right")
    return [np.flatnonzero(place == each) for each in np.unique(place)]


def expected_calibration_error(label: Integers, probability: Floats, bins: int = BINS) -> float:
    """Mean distance between probability and share, bins weighing as many as their cases.

    It is biased upwards: the fewer the cases of a bin, the further is its share from its probability by chance alone.
    `chance_calibration_error` says how far.

    Args:
        label: (cases,) in {0, 1}. probability: (cases,), of label 1.
    Source: Naeini, Cooper and Hauskrecht 2015, AAAI, Obtaining Well Calibrated Probabilities Using Bayesian Binning;
        of the bias Nixon et al. 2019, arXiv:1904.01685.
    """
    curve = reliability_curve(label, probability, bins)
    return sum(each.cases * abs(each.mean - each.share) for each in curve) / len(label)


def chance_calibration_error(
    probability: Floats, generator: np.random.Generator, bins: int = BINS, draws: int = 1000
) -> float:
    """The mean calibration error that perfectly calibrated probabilities would show with labels drawn from them.

    Args:
        probability: (cases,).
    Source: the consistency resampling of Bröcker and Smith 2007, Weather and Forecasting 22(3):651-661.
    """
    label = generator.random((draws, len(probability))) < probability
    distance = np.zeros(draws)
    for own in _members(probability, bins):
        distance += len(own) * np.abs(label[:, own].mean(axis=1) - probability[own].mean())
    return float(distance.mean() / len(probability))


def brier_parts(label: Integers, probability: Floats, bins: int = BINS) -> BrierParts:
    """Reliability, resolution and uncertainty.

    Args:
        label: (cases,) in {0, 1}. probability: (cases,), of label 1.
    Source: Murphy 1973, Journal of Applied Meteorology 12(4):595-600.
    """
    overall = float(label.mean())
    curve = reliability_curve(label, probability, bins)
    return BrierParts(
        reliability=sum(each.cases * (each.mean - each.share) ** 2 for each in curve) / len(label),
        resolution=sum(each.cases * (each.share - overall) ** 2 for each in curve) / len(label),
        uncertainty=overall * (1 - overall),
    )
