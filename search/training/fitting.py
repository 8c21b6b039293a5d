"""Training a tail: epochs over views, early stopping on the objective, the best epoch's weights restored.

Random draws (batch order, dropout, the head's initial weights) come from the search seed alone, so they are the same
for all trials of a search: trials are comparable in pairs, and what ran before changes nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbing.seeds import generator_of
from spaces.declaration import Configuration

PREDICTION_BATCH = 64
LOSS, VALID_LOSS = "loss", "val_loss"
WITHOUT_DECAY = frozenset({"bias", "gamma", "beta"})


class TrialFailed(Exception):
    """The trial cannot end well; the message is the reason that is stored."""


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
    """What a training needs besides the network.

    Attributes:
        inputs_of_epoch: epoch -> (images, *features) to train on.
        labels: (images,) int64.
        score: called after each epoch; the metrics of the valid split, the objective and `val_loss` among them.
        after_epoch: called with the epoch's number and its metrics.
    """

    inputs_of_epoch: Callable[[int], NDArray[Any]]
    labels: NDArray[np.int64]
    classes: int
    score: Callable[[], Mapping[str, float]]
    objective: str
    epochs: int
    search_seed: int
    after_epoch: Callable[[int, Mapping[str, float]], None]


def fit(tail: Any, configuration: Configuration, course: Course) -> Fit:
    """Train the tail; it ends with its best epoch's weights.

    Best: the highest objective, among equals the lowest `val_loss`, among those the earliest.

    Raises: TrialFailed where the loss is no longer a number.
    """
    step = make_step(tail, configuration, course.classes)
    weight_of_class = class_weights(str(configuration["class_weights"]), course.labels, course.classes)
    patience = int(configuration["callbacks_patience"])
    history: dict[str, list[float]] = {}
    best: tuple[float, float] | None = None
    best_epoch, best_weights, stopped = 0, tail.get_weights(), None
    for epoch in range(course.epochs):
        order = generator_of("order", course.search_seed, epoch).permutation(len(course.labels))
        loss = _epoch(step, course, order, int(configuration["batch_size"]), epoch, weight_of_class)
        if not math.isfinite(loss):
            raise TrialFailed(f"the loss is {loss} (learning rate too high for this network?)")
        metrics = {LOSS: loss, **course.score()}
        for name, value in metrics.items():
            history.setdefault(name, []).append(value)
        course.after_epoch(epoch, metrics)
        rank = (_or_least(metrics[course.objective]), -metrics[VALID_LOSS])
        if best is None or rank > best:
            best, best_epoch, best_weights = rank, epoch, tail.get_weights()
        elif epoch - best_epoch >= patience:
            stopped = epoch + 1
            break
    tail.set_weights(best_weights)
    return Fit(history, best_epoch, stopped)


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _epoch(
    step: Any,
    course: Course,
    order: NDArray[np.int64],
    batch_size: int,
    epoch: int,
    weight_of_class: NDArray[np.float32],
) -> float:
    """One pass over the images; the mean of the batches' losses, weighted by their size."""
    inputs = course.inputs_of_epoch(epoch)
    losses, sizes = [], []
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        labels = course.labels[rows]
        losses.append(step(inputs[rows].astype(np.float32, copy=False), labels, weight_of_class[labels]))
        sizes.append(len(rows))
    return float(np.average([float(loss) for loss in losses], weights=sizes))


def make_step(tail: Any, configuration: Configuration, classes: int) -> Any:
    """A compiled training step: (inputs, labels, weights) of a batch to its loss.

    The loss is cross-entropy on logits with label smoothing s: a label's share is 1 - s + s / classes, each other's
    s / classes (Szegedy et al. 2015, arXiv:1512.00567, section 7). Weight decay is decoupled (Loshchilov and Hutter
    2019, arXiv:1711.05101) and leaves biases and normalisations alone. The optimizer's own `apply` is not used: it
    registers a gradient function with TensorFlow for ever, and with it each trial's whole graph.
    """
    from spaces.tensorflow_runtime import tensorflow

    tf = tensorflow()
    optimizer = make_optimizer(configuration)
    smoothing, decay = float(configuration["label_smoothing"]), float(configuration["weight_decay"])
    variables = tail.trainable_variables
    optimizer.build(variables)

    def loss_of(inputs: Any, labels: Any, weights: Any) -> Any:
        logits = tail(inputs, training=True)
        if classes == 2:
            target = tf.cast(labels, tf.float32) * (1 - smoothing) + smoothing / 2
            losses = tf.nn.sigmoid_cross_entropy_with_logits(target, logits[:, 0])
        else:
            target = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
            losses = tf.nn.softmax_cross_entropy_with_logits(target, logits)
        return tf.reduce_mean(losses * weights)

    features = tf.TensorSpec((None, *tail.input.shape[1:]), tf.float32)
    signature = [features, tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None,), tf.float32)]

    def step(inputs: Any, labels: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(inputs, labels, weights)
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            if decay and variable.name not in WITHOUT_DECAY:
                variable.assign_sub(variable * (optimizer.learning_rate * decay))
            optimizer.update_step(gradient, variable, optimizer.learning_rate)
        optimizer.iterations.assign_add(1)
        return loss

    return tf.function(step, input_signature=signature)


def make_optimizer(configuration: Configuration) -> Any:
    """Adam, RMSprop, or SGD with Nesterov momentum 0.9, without weight decay."""
    from spaces.tensorflow_runtime import keras

    optimizers = keras().optimizers
    rate = float(configuration["lr"])
    kinds = {
        "adam": lambda: optimizers.Adam(rate),
        "rmsprop": lambda: optimizers.RMSprop(rate),
        "sgd": lambda: optimizers.SGD(rate, momentum=0.9, nesterov=True),
    }
    return kinds[str(configuration["optimizer"])]()


def class_weights(kind: str, labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """The loss weight of each class: ones, or inversely proportional to its images, 1 on average.

    Source of `balanced`: scikit-learn's compute_class_weight, images / (classes present * images of the class).

    >>> class_weights("balanced", np.array([0, 0, 0, 1]), 2).round(3)
    array([0.667, 2.   ], dtype=float32)
    """
    if kind == "none":
        return np.ones(classes, np.float32)
    counts = np.bincount(labels, minlength=classes)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return weights.astype(np.float32)


class Predictor:
    """A tail's logits, computed in fixed padded batches by one compiled function."""

    def __init__(self, tail: Any) -> None:
        from spaces.tensorflow_runtime import tensorflow

        tf = tensorflow()
        signature = [tf.TensorSpec((PREDICTION_BATCH, *tail.input.shape[1:]), tf.float32)]
        self._forward = tf.function(lambda inputs: tail(inputs, training=False), input_signature=signature)

    def logits(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """(images, 1 or classes) of inputs (images, *features).

        Raises: TrialFailed where one is not a finite number.
        """
        found = []
        for start in range(0, len(inputs), PREDICTION_BATCH):
            batch = inputs[start : start + PREDICTION_BATCH]
            padded = np.zeros((PREDICTION_BATCH, *inputs.shape[1:]), np.float32)
            padded[: len(batch)] = batch
            found.append(np.asarray(self._forward(padded)[: len(batch)], np.float64))
        logits = np.concatenate(found)
        if not np.isfinite(logits).all():
            raise TrialFailed("the network's output is not a number (learning rate too high for this network?)")
        return logits
