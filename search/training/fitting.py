"""Training: epochs over views, early stopping on the objective, the best epoch's weights restored.

Random draws (batch order, dropout, the head's initial weights) come from the search seed alone, so they are the same
for all trials of a search: trials are comparable in pairs, and what ran before or runs beside changes nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plumbing.seeds import generator_of

LOSS, VALID_LOSS = "loss", "val_loss"


class TrialFailed(Exception):
    """The trial cannot end well; the message is the reason that is stored."""


class Learner(Protocol):
    """What is trained: a head, or a tail."""

    def train_epoch(self, inputs: NDArray[Any], order: NDArray[np.int64], epoch: int) -> float:
        """One pass over the images in that order; the mean loss."""

    def logits(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """(images, 1 or classes) of inputs (images, *features)."""

    def get_weights(self) -> list[np.ndarray]:
        """A copy of all that training changes."""

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Put back what `get_weights` gave."""


@dataclass(frozen=True)
class Fit:
    """How a training went.

    Attributes:
        history: metric -> one value an epoch.
        best_epoch: from 0. early_stop_at_epoch: epochs trained where patience ended it, else None.
    """

    history: dict[str, list[float]]
    best_epoch: int
    early_stop_at_epoch: int | None


@dataclass(frozen=True)
class Course:
    """What a training needs besides the learner.

    Attributes:
        inputs_of_epoch: epoch -> (images, *features) to train on.
        valid: (images, *features) to score after each epoch.
        score: logits of valid to its metrics, the objective and `val_loss` among them.
        after_epoch: called with the epoch's number and its metrics.
    """

    inputs_of_epoch: Callable[[int], NDArray[Any]]
    valid: NDArray[Any]
    score: Callable[[NDArray[np.float64]], Mapping[str, float]]
    objective: str
    epochs: int
    patience: int
    search_seed: int
    after_epoch: Callable[[int, Mapping[str, float]], None]


def fit(learner: Learner, course: Course) -> Fit:
    """Train; the learner ends with its best epoch's weights.

    Best: the highest objective, among equals the lowest `val_loss`, among those the earliest.

    Raises: TrialFailed where the loss or an output is no longer a number.
    """
    history: dict[str, list[float]] = {}
    best: tuple[float, float] | None = None
    best_epoch, best_weights, stopped = 0, learner.get_weights(), None
    for epoch in range(course.epochs):
        inputs = course.inputs_of_epoch(epoch)
        order = generator_of("order", course.search_seed, epoch).permutation(len(inputs))
        loss = learner.train_epoch(inputs, order, epoch)
        if not math.isfinite(loss):
            raise TrialFailed(f"the loss is {loss} (learning rate too high for this network?)")
        metrics = {LOSS: loss, **course.score(finite_logits(learner, course.valid))}
        for name, value in metrics.items():
            history.setdefault(name, []).append(value)
        course.after_epoch(epoch, metrics)
        rank = (_or_least(metrics[course.objective]), -metrics[VALID_LOSS])
        if best is None or rank > best:
            best, best_epoch, best_weights = rank, epoch, learner.get_weights()
        elif epoch - best_epoch >= course.patience:
            stopped = epoch + 1
            break
    learner.set_weights(best_weights)
    return Fit(history, best_epoch, stopped)


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def finite_logits(learner: Learner, inputs: NDArray[Any]) -> NDArray[np.float64]:
    """The learner's logits.

    Raises: TrialFailed where one is not a finite number.
    """
    logits = learner.logits(inputs)
    if not np.isfinite(logits).all():
        raise TrialFailed("the network's output is not a number (learning rate too high for this network?)")
    return logits


def class_weights(kind: str, labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """The loss weight of each class: ones, or inversely proportional to its images, 1 on average.

    Source of `balanced`: scikit-learn's compute_class_weight, images / (classes present * images of the class).

    >>> class_weights("balanced", np.array([0, 0, 0, 1]), 2).round(3)
    array([0.667, 2.   ])
    """
    if kind == "none":
        return np.ones(classes)
    counts = np.bincount(labels, minlength=classes)
    return np.asarray(len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)))
