"""Bootstrap over patients: how a metric would vary with other patients of the same kind."""

from functools import lru_cache

import numpy as np

from plumbing.seeds import generator_of
from results.metrics import Floats, Integers

DRAWS = 2000
CONFIDENCE = 0.95
DEVIATIONS = 1.959963984540054  # a normal distribution's quantile at (1 + CONFIDENCE) / 2; SciPy loads slowly


def patient_weights(patients: Integers, labels: Integers, draws: int = DRAWS) -> Floats:
    """How often each case is in each bootstrap draw; a patient's cases come and go together.

    Patients are drawn with replacement within strata, a patient's stratum being its highest label, so that no draw
    lacks a class that enough patients have.

    Args:
        patients: (cases,) the case's patient, numbered from 0. labels: (cases,).
    Returns: (draws, cases) counts, read-only; the same for the same patients and labels (a fixed, named seed).
    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 (clusters) and 13 (percentiles).
    """
    return _patient_weights(patients.astype(np.int64).tobytes(), labels.astype(np.int64).tobytes(), draws)


@lru_cache(maxsize=4)  # valid and test, by image and by study: the same for all trials of a search
def _patient_weights(patients_bytes: bytes, labels_bytes: bytes, draws: int) -> Floats:
    patients, labels = (np.frombuffer(each, np.int64) for each in (patients_bytes, labels_bytes))
    numbers, case_patient = np.unique(patients, return_inverse=True)
    stratum = np.zeros(len(numbers), np.int64)
    np.maximum.at(stratum, case_patient, labels)
    generator = generator_of("patient bootstrap")
    counts = np.zeros((draws, len(numbers)))
    for each in np.unique(stratum):
        members = np.flatnonzero(stratum == each)
        counts[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), size=draws)
    weights = counts.T[case_patient].T  # a case's draws side by side in memory, as metrics pick cases
    weights.flags.writeable = False
    return weights


def percentile_intervals(values: Floats) -> list[tuple[float, float] | None]:
    """The central 95 % of each row's bootstrap values; None where a metric was not defined in any draw.

    Args:
        values: (metrics, draws); NaN where a draw does not define the metric.

    >>> (low, high), undefined = percentile_intervals(np.stack([np.arange(101.0), np.full(101, np.nan)]))
    >>> round(low, 6), round(high, 6), undefined
    (2.5, 97.5, None)
    """
    tail, ordered = (1 - CONFIDENCE) / 2, np.sort(values, axis=1)  # NaN last
    found: list[tuple[float, float] | None] = []
    for row, defined in zip(ordered, np.count_nonzero(~np.isnan(values), axis=1), strict=True):
        places = np.array([tail, 1 - tail]) * (defined - 1)
        low, high = np.interp(places, np.arange(defined), row[:defined]) if defined else (np.nan, np.nan)
        found.append((float(low), float(high)) if defined else None)
    return found
