"""A split's probabilities to all metrics, by image and by study, with their intervals.

A study's probability is the mean over its images (Rajpurkar et al. 2017, arXiv:1712.06957, section 3). A case is called
abnormal above 0.5; of 14 classes the likeliest counts. For the 14-class task accuracy and kappa are over 14 classes,
AUC is macro over the classes present, and sensitivity, specificity, precision and F1 ask only whether normal or
abnormal was found: P(abnormal) is the sum over the seven abnormal classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results import metrics
from results.calibration import apply_temperature
from results.intervals import patient_weights, percentile_intervals
from results.metrics import ALL_PARTS_CLASSES, FIRST_ABNORMAL, Floats, Integers
from results.records import ImageList, Measure

Probabilities = NDArray[np.floating[Any]]

METRICS = ("auc", "accuracy", "kappa", "sensitivity", "specificity", "precision", "f1", "brier")


@dataclass(frozen=True)
class Cases:
    """Images or studies with their labels, patients (numbered) and probabilities (cases, classes)."""

    labels: Integers
    patients: Integers
    probability: Floats


def image_cases(images: ImageList, probability: Probabilities) -> Cases:
    """The images themselves as cases.

    Raises: ValueError where there is not one row of probabilities an image, or one is NaN.
    """
    if len(probability) != len(images.labels):
        raise ValueError(f"{len(probability)} probabilities for {len(images.labels)} images; give one each")
    if np.isnan(probability).any():
        raise ValueError(f"row {int(np.isnan(probability).any(axis=1).argmax())}: probability is NaN")
    return Cases(images.labels, images.patient_numbers, probability.astype(np.float64))


def study_cases(images: ImageList, probability: Probabilities) -> Cases:
    """One case a study: the mean probability of its images.

    Raises: ValueError as `image_cases`.
    """
    by_image = image_cases(images, probability)
    study, classes = images.study_numbers, by_image.probability.T
    first = np.unique(study, return_index=True)[1]
    sums = np.stack([np.bincount(study, of_class) for of_class in classes], axis=1)
    return Cases(by_image.labels[first], by_image.patients[first], sums / np.bincount(study)[:, None])


def all_metrics(cases: Cases, weight: Floats, names: Sequence[str] = METRICS) -> dict[str, Floats]:
    """Every metric, or those named, for every draw: name -> (draws,).

    Args:
        weight: (draws, cases).
    """
    labels, probability = cases.labels, cases.probability
    classes = probability.shape[1]
    counts = cache(lambda: _confusion(cases, weight))
    called = counts if classes == 1 else cache(lambda: _confusion(as_abnormal(cases), weight))
    make: dict[str, Callable[[], Floats]] = {
        "auc": lambda: (
            metrics.auc(labels == 1, probability[:, 0], weight)
            if classes == 1
            else metrics.macro_auc(labels, probability, weight)
        ),
        "accuracy": lambda: metrics.accuracy(counts()),
        "kappa": lambda: metrics.kappa(counts()),
        "sensitivity": lambda: metrics.sensitivity(called()),
        "specificity": lambda: metrics.specificity(called()),
        "precision": lambda: metrics.precision(called()),
        "f1": lambda: metrics.f1(called()),
        "brier": lambda: metrics.brier(labels, probability, weight),
    }
    return {name: make[name]() for name in names}


def as_abnormal(cases: Cases) -> Cases:
    """The same asked only whether normal or abnormal: labels 0 and 1, probability (cases, 1) within 0..1."""
    if cases.probability.shape[1] == 1:
        return cases
    p_abnormal = np.clip(cases.probability[:, FIRST_ABNORMAL:].sum(axis=1, keepdims=True), 0.0, 1.0)
    return Cases((cases.labels >= FIRST_ABNORMAL).astype(np.int64), cases.patients, p_abnormal)


def calibrated(cases: Cases, temperature: float) -> Cases:
    """The same with probabilities that mean what they say; a study's mean is scaled, as `predict` does it."""
    return Cases(cases.labels, cases.patients, apply_temperature(cases.probability, temperature))


def _confusion(cases: Cases, weight: Floats) -> Floats:
    """Weighted counts, true class by called class: (draws, 2, 2) or (draws, 14, 14)."""
    if cases.probability.shape[1] == 1:
        return metrics.confusion(cases.labels, (cases.probability[:, 0] > 0.5).astype(np.int64), 2, weight)
    return metrics.confusion(cases.labels, cases.probability.argmax(axis=1), ALL_PARTS_CLASSES, weight)


def confusion_counts(images: ImageList, probability: Probabilities) -> Integers:
    """The studies of a split by their true class (rows) and the class that they were called (columns).

    Args:
        probability: (images, classes), classes 1 or 14.
    Returns: (2, 2) or (14, 14).
    Raises: ValueError as `image_cases`.
    """
    cases = study_cases(images, probability)
    counts: Integers = _confusion(cases, metrics.ones(len(cases.labels)))[0].astype(np.int64)
    return counts


def plain_metrics(cases: Cases, names: Sequence[str] = METRICS) -> dict[str, float]:
    """Every metric of the cases as they are, or those named; NaN where it is not defined."""
    found = all_metrics(cases, metrics.ones(len(cases.labels)), names)
    return {name: float(values[0]) for name, values in found.items()}


def measures(split: str, images: ImageList, probability: Probabilities) -> tuple[Measure, ...]:
    """Every metric of a split by image and by study, each with its 95 % patient bootstrap interval.

    Args:
        probability: (images, classes), classes 1 or 14.
    Raises: ValueError as `image_cases`.
    """
    found = []
    for level, cases in (("image", image_cases(images, probability)), ("study", study_cases(images, probability))):
        draws = all_metrics(cases, patient_weights(cases.patients, cases.labels))
        intervals = percentile_intervals(np.stack([draws[name] for name in METRICS]))
        for (name, value), interval in zip(plain_metrics(cases).items(), intervals, strict=True):
            known = None if np.isnan(value) else value
            found.append(Measure(split, level, name, known, *(interval or (None, None))))
    return tuple(found)
