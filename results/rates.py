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
    Source: McNemar 1947, Psychometrika 12(2):153-157, by the binomial distribution of the cases that differ. It never
        calls too much significant, and less than it could: Fagerland, Lydersen and Laake 2013, BMC Medical Research
        Methodology 13:91, advise its mid-p version instead, which finds more and is not bound to keep the level.

    >>> mcnemar_test(np.array([True] * 6 + [False] * 4), np.array([True] * 9 + [False]))
    0.25
    """
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def paired_difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[float, float, float]:
    """How much oftener the first of two models is right on the same cases, with its 95 % interval.

    The interval is Wald's with one case added to each kind of disagreement, so that it has a width where they never
    disagree; its middle is not quite the difference.

    Args:
        first, second: (cases,), whether each was right; one case at least.
    Source: Bonett and Price 2012, Journal of Educational and Behavioral Statistics 37(4):479-488; recommended by
        Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33(16):2850-2875.

    >>> first, second = np.array([True] * 2 + [False] * 19), np.array([True, False] + [True] * 7 + [False] * 12)
    >>> [round(each, 3) for each in paired_difference(first, second)]
    [-0.286, -0.508, -0.013]
    """
    cases = len(first)
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    of_first, of_second = (only_first + 1) / (cases + 2), (only_second + 1) / (cases + 2)
    middle = of_first - of_second
    margin = DEVIATIONS * float(np.sqrt((of_first + of_second - middle**2) / (cases + 2)))
    return (only_first - only_second) / cases, max(-1.0, middle - margin), min(1.0, middle + margin)
