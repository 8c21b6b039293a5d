"""Bootstrap over patients: how a metric would vary with other patients of the same kind."""

import numpy as np

from plumbing.seeds import generator_of
from results.metrics import Floats, Integers

DRAWS = 2000
CONFIDENCE = 0.95


def patient_weights(patients: Integers, labels: Integers, draws: int = DRAWS) -> Floats:
    """How often each case is in each bootstrap draw; a patient's cases come and go together.

    Patients are drawn with replacement within strata, a patient's stratum being its highest label, so that no draw
    lacks a class that enough patients have.

    Args:
        patients: (cases,) the case's patient, numbered from 0. labels: (cases,).
    Returns: (draws, cases) counts; the same for the same patients and labels (a fixed, named seed).
    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 (clusters) and 13 (percentiles).
    """
    numbers, case_patient = np.unique(patients, return_inverse=True)
    stratum = np.zeros(len(numbers), np.int64)
    np.maximum.at(stratum, case_patient, labels)
    generator = generator_of("patient bootstrap")
    counts = np.zeros((draws, len(numbers)))
    for each in np.unique(stratum):
        members = np.flatnonzero(stratum == each)
        counts[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), size=draws)
    return counts[:, case_patient]


def percentile_interval(values: Floats) -> tuple[float, float] | None:
    """The central 95 % of bootstrap values; None where the metric was not defined in any draw.

    >>> tuple(round(bound, 6) for bound in percentile_interval(np.arange(101.0)))
    (2.5, 97.5)
    """
    defined = values[~np.isnan(values)]
    if defined.size == 0:
        return None
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)
