"""Training: epochs over views, early stopping on the objective, the best epoch's weights restored.

A training can go on from where another stopped: every draw depends on the epoch, never on what ran before, and the
optimizer's state is part of the learner's, so the end is that of a training that never stopped.

Random draws (batch order, dropout, the head's initial weights) come from the search seed alone, so they are the same
for all trials of a search: trials are comparable in pairs, and what ran before or runs beside changes nothing.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plumbing.seeds import generator_of

LOSS, VALID_LOSS = "loss", "val_loss"
KEEP_SECONDS = 30.0  # between checkpoints of a training under way


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

    def get_state(self) -> list[np.ndarray]:
        """A copy of the weights and of all that the optimizer remembers."""

    def set_state(self, state: Sequence[np.ndarray]) -> None:
        """Put back what `get_state` gave."""


@dataclass(frozen=True)
class Checkpoint:
    """A training after some epochs, whole.

    Attributes:
        history: metric -> one value an epoch.
        best_epoch, early_stop_at_epoch: as in `Fit`.
        best: the best epoch's weights. last: the learner's state after the last epoch.
    """

    history: Mapping[str, Sequence[float]]
    best_epoch: int
    early_stop_at_epoch: int | None
    best: Sequence[np.ndarray]
    last: Sequence[np.ndarray]

    @property
    def epochs(self) -> int:
        """How many were trained."""
        return len(self.history[LOSS])


@dataclass(frozen=True)
class Fit:
    """How a training went.

    Attributes:
        history: metric -> one value an epoch, those before it was continued among them.
        best_epoch: from 0. early_stop_at_epoch: epochs trained where patience ended it, else None.
        pruned: whether it was stopped because others did better.
        checkpoint: where it can go on from, if that was asked for.
    """

    history: dict[str, list[float]]
    best_epoch: int
    early_stop_at_epoch: int | None
    pruned: bool = False
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True)
class Course:
    """What a training needs besides the learner.

    Attributes:
        inputs_of_epoch: epoch -> (images, *features) to train on.
        valid: (images, *features) to score after each epoch.
        score: logits of valid to its metrics, the objective and `val_loss` among them.
        epochs: to be trained in all, those of a checkpoint included.
        after_epoch: called with the epoch's number and its metrics.
        prune: whether to stop, asked with the objective of each epoch so far when another would follow.
        begin: where to go on from. resumable: whether the fit is to hold a checkpoint.
        keep: called now and then with what the training has come to, so that a kill costs little.
    """

    inputs_of_epoch: Callable[[int], NDArray[Any]]
    valid: NDArray[Any]
    score: Callable[[NDArray[np.float64]], Mapping[str, float]]
    objective: str
    epochs: int
    patience: int
    search_seed: int
    after_epoch: Callable[[int, Mapping[str, float]], None]
    prune: Callable[[Sequence[float]], bool] = lambda values: False
    begin: Checkpoint | None = None
    resumable: bool = False
    keep: Callable[[Checkpoint], None] | None = None


def fit(learner: Learner, course: Course) -> Fit:
    """Train; the learner ends with its best epoch's weights.

    Best: the highest objective, among equals the lowest `val_loss`, among those the earliest.

    Raises: TrialFailed where the loss or an output is no longer a number.
    """
    history, best_epoch, best_weights, stopped = _begin(learner, course.begin)
    pruned, kept = False, time.monotonic()
    for epochs in range(1, len(history.get(LOSS, ())) + 1):
        course.prune(history[course.objective][:epochs])  # pruners compare a trial with itself, earlier on
    for epoch in range(len(history.get(LOSS, ())), course.epochs):
        if stopped is not None:
            break
        for name, value in _train_epoch(learner, course, epoch).items():
            history.setdefault(name, []).append(value)
        if epoch == 0 or _rank(history, course.objective, epoch) > _rank(history, course.objective, best_epoch):
            best_epoch, best_weights = epoch, learner.get_weights()
        elif epoch - best_epoch >= course.patience:
            stopped = epoch + 1
        if stopped is None and epoch + 1 < course.epochs and course.prune(history[course.objective]):
            pruned = True
            break
        if course.keep is not None and time.monotonic() - kept >= KEEP_SECONDS:
            course.keep(Checkpoint(history, best_epoch, stopped, best_weights, learner.get_state()))
            kept = time.monotonic()
    last = learner.get_state() if course.resumable else []
    learner.set_weights(best_weights)
    checkpoint = Checkpoint(history, best_epoch, stopped, best_weights, last) if course.resumable else None
    return Fit(history, best_epoch, stopped, pruned, checkpoint)


def _begin(
    learner: Learner, begin: Checkpoint | None
) -> tuple[dict[str, list[float]], int, Sequence[np.ndarray], int | None]:
    """History, best epoch, its weights, and when patience ended it: of the checkpoint, or before the first epoch."""
    if begin is None:
        return {}, 0, learner.get_weights(), None
    learner.set_state(begin.last)
    history = {name: list(values) for name, values in begin.history.items()}
    return history, begin.best_epoch, begin.best, begin.early_stop_at_epoch


def _train_epoch(learner: Learner, course: Course, epoch: int) -> dict[str, float]:
    """Train an epoch; its metrics.

    Raises: TrialFailed.
    """
    inputs = course.inputs_of_epoch(epoch)
    order = generator_of("order", course.search_seed, epoch).permutation(len(inputs))
    loss = learner.train_epoch(inputs, order, epoch)
    if not math.isfinite(loss):
        raise TrialFailed(f"the loss is {loss} (learning rate too high for this network?)")
    metrics = {LOSS: loss, **course.score(finite_logits(learner, course.valid))}
    course.after_epoch(epoch, metrics)
    return metrics


def _rank(history: Mapping[str, Sequence[float]], objective: str, epoch: int) -> tuple[float, float]:
    """What the best epoch has most of."""
    return _or_least(history[objective][epoch]), -history[VALID_LOSS][epoch]


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
