"""An ensemble of stored trials: how often each counts in the mean of probabilities, and how good such a choice is.

Nothing is trained: a greedy search over stored valid probabilities chooses, among the trials whose models are kept.
These were chosen on the same patients before, so the estimate makes both choices anew in each draw.
Source: Caruana, Niculescu-Mizil, Crew and Ksikes 2004, Ensemble Selection from Libraries of Models, ICML: forward
selection with replacement, and sorted initialization. Their bagging of models is left out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from results import metrics
from results.intervals import patient_weights, percentile_intervals
from results.metrics import Floats, Integers
from results.selection import Corrected

MOST = 20  # picks
DRAWS = 200  # of the estimate: each is a greedy search
DRAWS_AT_ONCE = 50  # 14 classes of 1,500 studies then take 8 MB an array


@dataclass(frozen=True)
class Library:
    """The trials that an ensemble is chosen from, all measured on the same studies of valid.

    Attributes:
        labels, patients: (studies,); patients numbered. probability: (trials, studies, classes).
        search: (trials,) the number of the search that made it. kept: (trials,) whether its model is kept: each search
            keeps those of its best trials.
    """

    labels: Integers
    patients: Integers
    probability: Floats
    search: Integers
    kept: NDArray[np.bool_]


def greedy_selection(library: Library, most: int = MOST) -> Integers:
    """How often each trial was picked for the best AUC on all patients; only kept ones are.

    Args:
        most: picks, the same trial's counted each time.
    Returns: (trials,); the ensemble is the mean of the probabilities with these weights.
    Raises: ValueError where no model is kept, or `most` is below 1.
    """
    if not library.kept.any() or most < 1:
        raise ValueError(f"{most} picks of {int(library.kept.sum())} kept models; give one at least of each")
    weight = metrics.ones(len(library.labels))
    alone = np.where(library.kept, _alone(library, weight), -np.inf)
    candidates = np.argsort(-alone, axis=1, kind="stable")[:, : int(library.kept.sum())]
    (picks,) = _picks(library, weight, candidates, most)
    return np.asarray(picks, np.int64)


def expected_of_selection(library: Library, most: int = MOST, draws: int = DRAWS) -> Corrected | None:
    """The AUC that an ensemble chosen in this way reaches on patients that did not choose it.

    In each draw of patients each search keeps as many models as it did, those of the best AUC on the patients drawn;
    on the same patients the ensemble is chosen among them, and it is measured on the patients left out.

    Returns: with the chosen ensemble's own AUC as `plain`; None where no draw defines the AUC of the patients left out.
    Raises: ValueError as `greedy_selection`.
    Source: `results.selection.bias_corrected`, with the choice of an ensemble in place of that of a trial.
    """
    chosen = greedy_selection(library, most)
    found = []
    weights = patient_weights(library.patients, library.labels, draws)
    for first in range(0, draws, DRAWS_AT_ONCE):
        weight = weights[first : first + DRAWS_AT_ONCE]
        picks = _picks(library, weight, _kept_if_drawn(library, _alone(library, weight)), most)
        found.append(auc_of_draws(library.labels, _mixed(picks, library), (weight == 0).astype(np.float64)))
    left_out = np.concatenate(found)
    (interval,) = percentile_intervals(left_out[None])
    if interval is None:
        return None
    plain = auc_of_draws(library.labels, _mixed(chosen[None], library), metrics.ones(len(library.labels)))
    return Corrected(float(np.nanmean(left_out)), *interval, plain=float(plain[0]))


def mean_probability(picks: Integers, probability: Floats) -> Floats:
    """The ensemble's probabilities.

    Args:
        picks: (trials,). probability: (trials, cases, classes).

    >>> mean_probability(np.array([3, 1]), np.array([[[0.2]], [[0.6]]])).round(3)
    array([[0.3]])
    """
    return np.asarray(np.tensordot(picks / picks.sum(), probability, axes=1))


def auc_of_draws(labels: Integers, score: Floats, weight: Floats) -> Floats:
    """`metrics.auc`, or `metrics.macro_auc` of several classes, of scores that each draw has for itself.

    Args:
        labels: (cases,). score: (draws, cases, classes), classes 1 or more. weight: (draws, cases).
    Returns: (draws,); NaN as the two have it.
    """
    if score.shape[2] == 1:
        return _auc(labels == 1, score[:, :, 0], weight)
    of_class = np.stack([_auc(labels == each, score[:, :, each], weight) for each in np.unique(labels)])
    defined = ~np.isnan(of_class)
    return _ratio(np.where(defined, of_class, 0.0).sum(axis=0), defined.sum(axis=0))


def _auc(positive: NDArray[np.bool_], score: Floats, weight: Floats) -> Floats:
    """Of (draws, cases) scores: the negatives' weight below each positive, and half of that beside it."""
    order = np.argsort(score, axis=1)
    score, wins, losses = (
        np.take_along_axis(each, order, axis=1)
        for each in (score, np.where(positive, weight, 0.0), np.where(positive, 0.0, weight))
    )
    up_to, place = np.cumsum(losses, axis=1), np.arange(score.shape[1])
    rises = np.ones((len(score), score.shape[1] + 1), np.bool_)
    np.not_equal(score[:, 1:], score[:, :-1], out=rises[:, 1:-1])
    first = np.maximum.accumulate(np.where(rises[:, :-1], place, 0), axis=1)  # of the cases with the same score
    last = np.minimum.accumulate(np.where(rises[:, 1:], place, place[-1])[:, ::-1], axis=1)[:, ::-1]
    below = np.take_along_axis(up_to - losses, first, axis=1)
    not_above = np.take_along_axis(up_to, last, axis=1)
    return _ratio(np.sum(wins * (below + not_above), axis=1) / 2, wins.sum(axis=1) * losses.sum(axis=1))


def _alone(library: Library, weight: Floats) -> Floats:
    """(draws, trials): the AUC of each trial by itself, -1 where it is not defined."""
    labels, probability = library.labels, library.probability
    if probability.shape[2] == 1:
        found = [metrics.auc(labels == 1, each[:, 0], weight) for each in probability]
    else:
        found = [metrics.macro_auc(labels, each, weight) for each in probability]
    return np.nan_to_num(np.stack(found, axis=1), nan=-1.0)


def _kept_if_drawn(library: Library, alone: Floats) -> Integers:
    """(draws, kept): the trials whose models the searches would have kept, had they seen these patients; best first."""
    kept = np.full(alone.shape, -np.inf)
    for search in np.unique(library.search):
        own = np.flatnonzero(library.search == search)
        count = int(library.kept[own].sum())
        best = own[np.argsort(-alone[:, own], axis=1, kind="stable")[:, :count]]
        np.put_along_axis(kept, best, np.take_along_axis(alone, best, axis=1), axis=1)
    return np.argsort(-kept, axis=1, kind="stable")[:, : int(library.kept.sum())]


def _picks(library: Library, weight: Floats, candidates: Integers, most: int) -> Integers:
    """How often the greedy search picks each trial in each draw: (draws, trials).

    It begins with so many of the best trials as are best together, adds the one that helps most (of equals the one that
    is better alone) up to `most` picks, and goes back to where it was best, first of equals.

    Args:
        candidates: (draws, some) numbers of trials, best first.
    """
    draws = np.arange(len(weight))
    picks = np.zeros((len(weight), len(library.probability)), np.int64)
    best_picks, best = picks.copy(), np.full(len(weight), -np.inf)

    def keep_better(value: Floats) -> None:
        better = value > best
        best[better], best_picks[better] = value[better], picks[better]

    for trial in candidates.T[:most]:
        picks[draws, trial] = 1
        keep_better(_value(library, _mixed(picks, library), weight))
    picks = best_picks.copy()
    while (open_ := picks.sum(axis=1) < most).any():
        mixed = _mixed(picks, library)
        values = np.stack([_value(library, mixed + library.probability[trial], weight) for trial in candidates.T])
        picks[draws, candidates[draws, values.argmax(axis=0)]] += open_
        keep_better(np.where(open_, values.max(axis=0), -np.inf))
    return best_picks


def _value(library: Library, score: Floats, weight: Floats) -> Floats:
    return np.nan_to_num(auc_of_draws(library.labels, score, weight), nan=-1.0)


def _mixed(picks: Integers, library: Library) -> Floats:
    """(draws, studies, classes): sums, whose order is that of the means."""
    return np.asarray(np.tensordot(picks.astype(np.float64), library.probability, axes=1))


def _ratio(numerator: Floats, denominator: Floats | Integers) -> Floats:
    return np.asarray(np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0))
