"""Several tests at once: the more of them, the likelier is a small p by chance alone."""

import numpy as np
from numpy.typing import ArrayLike

from results.metrics import Floats


def holm(p_values: ArrayLike) -> Floats:
    """The p values adjusted for their number: where nothing differs, any is below 0.05 once in twenty times at most.

    Holds however the tests depend on one another.

    Args:
        p_values: (tests,), each in 0..1.
    Returns: (tests,), in the order given, none smaller than its own p, none above 1.
    Source: Holm 1979, Scandinavian Journal of Statistics 6(2):65-70.

    >>> holm([0.04, 0.01, 0.5]).tolist()
    [0.08, 0.03, 0.5]
    """
    given = np.asarray(p_values, np.float64)
    order = np.argsort(given, kind="stable")
    steps = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
