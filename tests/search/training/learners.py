"""Heads and small tails to train, and what they must come to: plain NumPy for a head, Keras' own step for both."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from scipy.special import expit, log_softmax, softmax

from plumbing.seeds import generator_of, seed_of
from search.training.fitting import class_weights
from search.training.heads import Head
from search.training.tails import Program, Tail
from spaces.architecture import Cut
from spaces.declaration import Value
from spaces.network import initial_head, make_tail
from spaces.tensorflow_runtime import keras

IMAGES, WIDTH, SIDE = 11, 5, 6
OPTIMIZERS = ("adam", "sgd", "rmsprop")
PLAIN: dict[str, Value] = {
    "lr": 0.01,
    "optimizer": "sgd",
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "class_weights": "none",
    "conv_dropout": 0.0,
    "units": 0,
    "batch_size": 4,
}
# Everything at once but dropout: a short last batch, decay, smoothing, unequal classes.
ALL_BUT_DROPOUT: dict[str, Value] = {**PLAIN, "weight_decay": 0.1, "label_smoothing": 0.2, "class_weights": "balanced"}
CUT = Cut("middle", "conv", (SIDE - 2, SIDE - 2, 3))


def labels_of(classes: int, count: int = IMAGES) -> np.ndarray:
    """Class 0 the most frequent."""
    draw = generator_of("labels", classes)
    return np.where(np.arange(count) % 3 == 0, draw.integers(1, classes, count), 0)


def features_of(shape: tuple[int, ...], count: int = IMAGES) -> np.ndarray:
    return generator_of("features", shape).normal(size=(count, *shape)).astype(np.float32)


@cache
def small_backbone() -> Any:
    """A convolution, the cut, then a convolution and a normalisation, pooled."""
    layers = keras().layers
    keras().utils.set_random_seed(3)
    grey = keras().Input((SIDE, SIDE, 1))
    flow = layers.Conv2D(3, 3, name="conv")(grey)
    flow = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, activation="relu", name="next")(flow))
    backbone = keras().Model(grey, layers.GlobalAveragePooling2D(name="pool")(flow))
    backbone.trainable = False
    return backbone


def head_of(configuration: Mapping[str, Value], classes: int = 2, labels: np.ndarray | None = None) -> Head:
    labels = labels_of(classes) if labels is None else labels
    weight = class_weights(str(configuration["class_weights"]), labels, classes)
    return Head(WIDTH, configuration, labels, weight, search_seed=0)


def program_of(configuration: Mapping[str, Value], classes: int = 2) -> Program:
    units, optimizer = int(configuration["units"]), str(configuration["optimizer"])
    return Program(small_backbone(), CUT, units, optimizer, classes)


def tail_of(
    configuration: Mapping[str, Value],
    classes: int = 2,
    labels: np.ndarray | None = None,
    program: Program | None = None,
    search_seed: int = 0,
) -> Tail:
    labels = labels_of(classes) if labels is None else labels
    weight = class_weights(str(configuration["class_weights"]), labels, classes)
    return Tail(program or program_of(configuration, classes), configuration, labels, weight, search_seed)


def learner_of(kind: str, configuration: Mapping[str, Value], classes: int = 2) -> tuple[Head | Tail, np.ndarray]:
    """A head or a tail, and inputs that fit it."""
    if kind == "head":
        return head_of(configuration, classes), features_of((WIDTH,))
    return tail_of(configuration, classes), features_of(CUT.features)


def orders(epochs: int, search_seed: int = 0, count: int = IMAGES) -> list[np.ndarray]:
    """The orders of training of the first epochs."""
    return [generator_of("order", search_seed, epoch).permutation(count) for epoch in range(epochs)]


def train_by_keras(model: Any, configuration: Mapping[str, Value], batches: Any, classes: int) -> list[float]:
    """Compile the model and train it on batches (inputs, labels, weights), each once; the loss of each batch."""
    optimizers, losses = keras().optimizers, keras().losses
    rate = float(configuration["lr"])
    optimizer = {
        "adam": lambda: optimizers.Adam(rate),
        "rmsprop": lambda: optimizers.RMSprop(rate),
        "sgd": lambda: optimizers.SGD(rate, momentum=0.9, nesterov=True),
    }[str(configuration["optimizer"])]()
    if configuration["weight_decay"]:
        optimizer.weight_decay = float(configuration["weight_decay"])
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    smoothing = float(configuration["label_smoothing"])
    loss = losses.BinaryCrossentropy if classes == 2 else losses.CategoricalCrossentropy
    model.compile(optimizer, loss(from_logits=True, label_smoothing=smoothing))
    found = []
    for inputs, labels, weights in batches:
        target = labels[:, None].astype(np.float32) if classes == 2 else np.eye(classes, dtype=np.float32)[labels]
        model.reset_metrics()
        found.append(float(model.train_on_batch(inputs, target, sample_weight=weights)))
    return found


def keras_head(width: int, configuration: Mapping[str, Value], classes: int, search_seed: int = 0) -> Any:
    """The head as Keras' layers, with the initial weights of that seed."""
    layers, units = keras().layers, int(configuration["units"])
    features = keras().Input((width,))
    flow = layers.Dense(units, "relu")(features) if units else features
    model = keras().Model(features, layers.Dense(1 if classes == 2 else classes)(flow))
    model.set_weights([array for array in initial_head(width, units, classes, search_seed) if array.size])
    return model


def keras_tail(backbone: Any, cut: Cut, configuration: Mapping[str, Value], classes: int, search_seed: int = 0) -> Any:
    """The tail as a Keras model, with the backbone's weights and the head's initial ones of that seed."""
    tail = make_tail(backbone, cut, configuration, classes)
    width, units = backbone.output.shape[1], int(configuration["units"])
    head = [array for array in initial_head(width, units, classes, search_seed) if array.size]
    tail.set_weights([*tail.get_weights()[: -len(head)], *head])
    return tail


# A head in plain NumPy, float64.


def stirred(x: np.ndarray) -> np.ndarray:
    """Wellons' lowbias32 of an array of uint32."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def kept(rows: np.ndarray, width: int, layer: str, search_seed: int, epoch: int, rate: float) -> np.ndarray:
    """(rows, width): what dropout multiplies a value with, 0 or 1 / (1 - rate)."""
    key = np.uint32(seed_of(layer, search_seed, epoch))
    with np.errstate(over="ignore"):
        starts = stirred(rows.astype(np.uint32) + key)
        draws = stirred(starts[:, None] + np.arange(width, dtype=np.uint32))
    return np.where(draws >= np.uint32(rate * 2**32), 1 / (1 - rate), 0)


def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The matrix product without BLAS, whose kernels now and then warn of padding that they read."""
    return np.einsum("ij,jk->ik", one, other)


def loss_and_slope(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, classes: int, smoothing: float
) -> tuple[float, np.ndarray]:
    """The mean weighted smoothed cross-entropy, and its gradient by the logits."""
    shares = np.eye(classes)[labels] * (1 - smoothing) + smoothing / classes
    if classes == 2:
        both = np.hstack([np.zeros_like(logits), logits])
        slope = expit(logits) - shares[:, 1:]
    else:
        both, slope = logits, softmax(logits, axis=1) - shares
    loss = np.mean(weights * -(shares * log_softmax(both, axis=1)).sum(axis=1))
    return float(loss), slope * weights[:, None] / len(labels)


class NumpyHead:
    """What a head must come to."""

    def __init__(self, width: int, configuration: Mapping[str, Value], classes: int, labels: np.ndarray) -> None:
        self.units, self.classes, self.labels = int(configuration["units"]), classes, labels
        self.weights = [array.astype(np.float64) for array in initial_head(width, self.units, classes, 0)]
        self.first, self.second = ([np.zeros_like(array) for array in self.weights] for _ in range(2))
        self.weight = class_weights(str(configuration["class_weights"]), labels, classes)[labels]
        self.settings, self.step = configuration, 0

    def train_epoch(self, inputs: np.ndarray, order: np.ndarray, epoch: int) -> float:
        size, total = int(self.settings["batch_size"]), 0.0
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            total += len(rows) * self._batch(inputs[rows].astype(np.float64), rows, epoch)
        return total / len(order)

    def _batch(self, x: np.ndarray, rows: np.ndarray, epoch: int) -> float:
        hidden_kernel, hidden_bias, kernel, bias = self.weights
        rate = float(self.settings["conv_dropout"])
        x = x * kept(rows, x.shape[1], "dropout", 0, epoch, rate)
        last, raw, of_hidden = x, x, kept(rows, self.units, "hidden dropout", 0, epoch, rate)
        if self.units:
            raw = product(x, hidden_kernel) + hidden_bias
            last = np.maximum(raw, 0) * of_hidden
        logits = product(last, kernel) + bias
        smoothing = float(self.settings["label_smoothing"])
        loss, slope = loss_and_slope(logits, self.labels[rows], self.weight[rows], self.classes, smoothing)
        gradients = [np.zeros_like(array) for array in self.weights]
        gradients[2:] = [product(last.T, slope), slope.sum(axis=0)]
        if self.units:
            inner = product(slope, kernel.T) * of_hidden * (raw > 0)
            gradients[:2] = [product(x.T, inner), inner.sum(axis=0)]
        self.step += 1
        for index, gradient in enumerate(gradients):
            self._update(index, gradient)
        return loss

    def _update(self, index: int, g: np.ndarray) -> None:
        """After the papers: decoupled decay of kernels, then the rule."""
        w, lr = self.weights[index], float(self.settings["lr"])
        decay = float(self.settings["weight_decay"]) if index % 2 == 0 else 0.0
        w = w - lr * decay * w
        a, b = self.first[index], self.second[index]
        kind = self.settings["optimizer"]
        if kind == "sgd":
            a = 0.9 * a - lr * g
            w = w + 0.9 * a - lr * g
        elif kind == "rmsprop":
            b = 0.9 * b + 0.1 * g**2
            w = w - lr * g / np.sqrt(b + 1e-7)
        else:
            a, b = 0.9 * a + 0.1 * g, 0.999 * b + 0.001 * g**2
            rate = lr * np.sqrt(1 - 0.999**self.step) / (1 - 0.9**self.step)
            w = w - rate * a / (np.sqrt(b) + 1e-7)
        self.weights[index], self.first[index], self.second[index] = w, a, b
