"""Temperature scaling: one number, fitted on valid, that makes probabilities mean what they say.

It changes no decision: P = 0.5, and the likeliest of several classes, stay what they are. SciPy, which loads slowly, is
loaded where it is used: a leaderboard imports this module and seldom needs it.
Source: Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599, section 4.2.
"""

import numpy as np

from results.metrics import Floats, Integers

# Stored probabilities are float32: 0 and 1 stand for "within a rounding of".
SMALLEST = 1e-7
LEAST, MOST = 0.05, 20.0
NEARLY = 1e-3  # the fit ends within a hundred thousandth of a bound that it runs into


def apply_temperature(probability: Floats, temperature: float) -> Floats:
    """Probabilities with their logits divided by the temperature; (cases, 1) or (cases, classes), as given.

    >>> apply_temperature(np.array([[0.9], [0.5]]), 2.0).round(3)
    array([[0.75],
           [0.5 ]])
    """
    from scipy.special import expit, softmax

    if probability.shape[1] == 1:
        return np.asarray(expit(_logits(probability) / temperature))
    return np.asarray(softmax(_logits(probability) / temperature, axis=1))


def fit_temperature(probability: Floats, labels: Integers) -> float:
    """The temperature in [0.05, 20] with the least cross-entropy.

    Args:
        probability: (cases, 1) P(abnormal) or (cases, classes). labels: (cases,).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_expit, log_softmax

    logits = _logits(probability)

    def cross_entropy(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        if logits.shape[1] == 1:
            return float(-np.mean(log_expit(np.where(labels == 1, scaled[:, 0], -scaled[:, 0]))))
        return float(-np.mean(log_softmax(scaled, axis=1)[np.arange(len(labels)), labels]))

    found = minimize_scalar(cross_entropy, bounds=(np.log(LEAST), np.log(MOST)), method="bounded")
    return float(np.exp(found.x))


def at_bound(temperature: float) -> bool:
    """Whether a fitted temperature would have gone further, had it been let.

    >>> at_bound(0.0500004), at_bound(1.2), at_bound(19.9999)
    (True, False, True)
    """
    return not LEAST * (1 + NEARLY) < temperature < MOST * (1 - NEARLY)


def _logits(probability: Floats) -> Floats:
    from scipy.special import logit

    clipped = np.clip(probability.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return np.asarray(logit(clipped) if probability.shape[1] == 1 else np.log(clipped))
