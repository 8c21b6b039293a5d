"""Metrics of groups of cases, each group alone: is a model worse on some kinds of studies than on others?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from results.evaluation import Cases, all_metrics, plain_metrics
from results.intervals import patient_weights, percentile_intervals
from results.metrics import Integers

LEAST_OF_A_GROUP = 10  # of each class: with fewer an interval says little, and its ends lean on single patients
METRICS = ("auc", "kappa", "sensitivity", "specificity")


@dataclass(frozen=True)
class GroupFigures:
    """A group in numbers.

    Attributes:
        group: its number. normal_patients, abnormal_patients: those with a case of that label; who has both counts in
            both. figures: metric -> value and 95 % patient bootstrap interval; empty where a class has fewer than
            `LEAST_OF_A_GROUP` patients.
    """

    group: int
    cases: int
    patients: int
    normal_patients: int
    abnormal_patients: int
    figures: Mapping[str, tuple[float, float, float]]


def group_figures(cases: Cases, group: Integers, names: Sequence[str] = METRICS) -> list[GroupFigures]:
    """The figures of each group, by number.

    Args:
        cases: labels 0 and 1, probability (cases, 1). group: (cases,) the case's group.
    Raises: ValueError where there is not one group a case.
    Source: of reporting by group Mitchell et al. 2019, Model Cards for Model Reporting, arXiv:1810.03993.
    """
    if group.shape != cases.labels.shape:
        raise ValueError(f"{len(group)} groups for {len(cases.labels)} cases; give one each")
    return [_of_group(int(number), cases, group == number, names) for number in np.unique(group)]


def _of_group(number: int, cases: Cases, own: np.ndarray, names: Sequence[str]) -> GroupFigures:
    inside = Cases(cases.labels[own], cases.patients[own], cases.probability[own])
    normal, abnormal = (len(np.unique(inside.patients[inside.labels == label])) for label in (0, 1))
    figures: dict[str, tuple[float, float, float]] = {}
    if min(normal, abnormal) >= LEAST_OF_A_GROUP:
        draws = all_metrics(inside, patient_weights(inside.patients, inside.labels), names)
        intervals = percentile_intervals(np.stack([draws[name] for name in names]))
        for (name, value), interval in zip(plain_metrics(inside, names).items(), intervals, strict=True):
            figures[name] = (value, *(interval or (float("nan"), float("nan"))))
    return GroupFigures(number, len(inside.labels), len(np.unique(inside.patients)), normal, abnormal, figures)
