"""From which probability on a case is called abnormal, chosen on the valid split alone, and what a choice is worth."""

import numpy as np
from numpy.typing import NDArray

from results.metrics import Floats, Integers

SENSITIVITY = 0.90
YOUDEN, SENSITIVE = "Youden", f"sensitivity {SENSITIVITY:.2f}"


def chosen_thresholds(label: Integers, probability: Floats) -> dict[str, float]:
    """How a threshold was chosen -> the threshold.

    Args:
        label: (cases,) in {0, 1} of valid, both present. probability: (cases,), calibrated.
    Raises: ValueError where a class is absent.
    """
    return {
        YOUDEN: youden_threshold(label, probability),
        SENSITIVE: threshold_at_sensitivity(label, probability, SENSITIVITY),
    }


def youden_threshold(label: Integers, probability: Floats) -> float:
    """The threshold with the largest sensitivity + specificity - 1; of several the one nearest to 0.5.

    Args:
        label: (cases,) in {0, 1}, both present. probability: (cases,); a case is called abnormal at or above it.
    Raises: ValueError where a class is absent.
    Source: Youden 1950, Cancer 3(1):32-35.

    >>> round(youden_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.4, 0.9])), 3)
    0.3
    """
    thresholds, sensitivity, specificity = _curve(label, probability)
    index = sensitivity + specificity
    best = thresholds[index >= index.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def threshold_at_sensitivity(label: Integers, probability: Floats, sensitivity: float = SENSITIVITY) -> float:
    """The largest threshold that finds at least this share of abnormal cases.

    Args:
        label: (cases,) in {0, 1}, both present. probability: (cases,). sensitivity: above 0, at most 1.
    Raises: ValueError where a class is absent.

    >>> round(threshold_at_sensitivity(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.4, 0.9])), 3)
    0.15
    """
    thresholds, reached, _ = _curve(label, probability)
    return float(thresholds[reached >= sensitivity - 1e-12].max())


def _curve(label: Integers, probability: Floats) -> tuple[Floats, Floats, Floats]:
    """Thresholds half-way between neighbouring probabilities, with the sensitivity and specificity of each.

    The first, 0, calls every case abnormal. None calls no case so: neither rule chooses that.
    """
    if not 0 < label.sum() < len(label):
        raise ValueError("a threshold needs normal and abnormal cases")
    levels = np.unique(probability)
    thresholds = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2])
    called = probability >= thresholds[:, None]
    return thresholds, called[:, label == 1].mean(axis=1), (~called[:, label == 0]).mean(axis=1)


def net_benefit(label: Integers, probability: Floats, thresholds: Floats) -> Floats:
    """True positives less false positives, these weighed by the odds at the threshold, per case: (thresholds,).

    To compare with calling no case abnormal, which is 0, and all: `net_benefit_of_all`.

    Args:
        label: (cases,) in {0, 1}. probability: (cases,). thresholds: (thresholds,), each in [0, 1].
    Returns: NaN at a threshold of 1, whose odds have no number.
    Source: Vickers and Elkin 2006, Medical Decision Making 26(6):565-574.

    >>> net_benefit(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9]), np.array([0.5]))
    array([0.])
    """
    return _net_benefit(label, probability >= thresholds[:, None], thresholds)


def net_benefit_of_all(label: Integers, thresholds: Floats) -> Floats:
    """The net benefit of calling every case abnormal: (thresholds,), NaN at 1."""
    return _net_benefit(label, np.ones((len(thresholds), len(label)), np.bool_), thresholds)


def _net_benefit(label: Integers, called: NDArray[np.bool_], thresholds: Floats) -> Floats:
    hits, alarms = called[:, label == 1].sum(axis=1), called[:, label == 0].sum(axis=1)
    odds = np.divide(thresholds, 1 - thresholds, out=np.full(len(thresholds), np.nan), where=thresholds < 1)
    return np.asarray((hits - alarms * odds) / len(label))
