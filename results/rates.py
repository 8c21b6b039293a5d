"""Shares of cases: an interval for one, and a test for two measured on the same cases."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from results.intervals import DEVIATIONS


def wilson_interval(successes: int, cases: int) -> tuple[float, float]:
    """The 95 % interval of a share of independent cases.

    Raises: ValueError where there are no cases, or more successes than cases.
    Source: Wilson 1927, Journal of the American Statistical Association 22(158):209-212.

    >>> low, high = wilson_interval(8, 10)
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)
    """
    if not 0 <= successes <= cases or cases == 0:
        raise ValueError(f"{successes} of {cases}: a share needs cases, and at most as many successes")
    share, squared = successes / cases, DEVIATIONS**2
    middle = share + squared / (2 * cases)
    margin = float(np.sqrt(squared * (share * (1 - share) + squared / (4 * cases)) / cases))
    scale = 1 + squared / cases
    return max(0.0, (middle - margin) / scale), min(1.0, (middle + margin) / scale)


def mcnemar_test(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """The two-sided exact p of the hypothesis that two models are right equally often on the same cases.

    Args:
        first, second: (cases,), whether each was right.
    Returns: 1 where they never differ.
    Source: McNemar 1947, Psychometrika 12(2):153-157; exact as in Fagerland, Lydersen and Laake 2013, BMC Medical
        Research Methodology 13:91.

    >>> mcnemar_test(np.array([True] * 6 + [False] * 4), np.array([True] * 9 + [False]))
    0.25
    """
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)
