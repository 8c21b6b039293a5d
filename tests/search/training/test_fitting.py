"""Training against plain NumPy and scripted scores."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from plumbing.seeds import generator_of
from search.training import fitting
from search.training.fitting import Course, Fit, Predictor, TrialFailed, class_weights, fit, make_optimizer, make_step
from spaces.declaration import Value
from spaces.tensorflow_runtime import keras

FEATURES, IMAGES = 5, 7
NAN = float("nan")
PLAIN: dict[str, Value] = {
    "lr": 0.1,
    "optimizer": "sgd",
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "class_weights": "none",
    "batch_size": 4,
    "callbacks_patience": 99,
}
SMOOTHED: dict[str, Value] = {**PLAIN, "label_smoothing": 0.2}


def dense(classes: int) -> Any:
    """A tail of one layer whose bias, too, is not zero."""
    layers = keras().layers
    features = keras().Input((FEATURES,))
    tail = keras().Model(features, layers.Dense(1 if classes == 2 else classes)(features))
    draw = generator_of("dense", classes)
    tail.set_weights([draw.normal(size=array.shape) for array in tail.get_weights()])
    return tail


def images_of(classes: int, count: int = IMAGES) -> tuple[np.ndarray, np.ndarray]:
    """Features (count, FEATURES) float32 and labels (count,) int64, class 0 the most frequent."""
    draw = generator_of("images", classes)
    labels = np.where(np.arange(count) % 3 == 0, draw.integers(1, classes, count), 0)
    return draw.normal(size=(count, FEATURES)).astype(np.float32), labels


def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The matrix product without BLAS, whose kernels now and then warn of padding that they read."""
    return np.einsum("ij,jk->ik", one, other)


def loss_and_gradients(
    arrays: list[np.ndarray],
    inputs: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    classes: int,
    smoothing: float,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Of `dense`: the weighted smoothed cross-entropy, and its gradients by kernel and bias."""
    logits = product(inputs, arrays[0]) + arrays[1]
    shares = np.eye(classes)[labels] * (1 - smoothing) + smoothing / classes
    if classes == 2:
        abnormal = expit(logits)
        found = np.hstack([1 - abnormal, abnormal])
        slope = abnormal - shares[:, 1:]
    else:
        found = softmax(logits, axis=1)
        slope = found - shares
    loss = np.mean(weights * -(shares * np.log(found)).sum(axis=1))
    slope = slope * weights[:, None] / len(labels)
    return float(loss), product(inputs.T, slope), slope.sum(axis=0)


@pytest.mark.parametrize("classes", [2, 14])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_steps_loss_and_update_are_those_of_plain_numpy(classes: int, smoothing: float) -> None:
    tail, (inputs, labels) = dense(classes), images_of(classes)
    kernel, bias = before = tail.get_weights()
    weights = np.linspace(0.5, 2, IMAGES).astype(np.float32)
    loss, of_kernel, of_bias = loss_and_gradients(before, inputs, labels, weights, classes, smoothing)
    found = make_step(tail, {**PLAIN, "label_smoothing": smoothing}, classes)(inputs, labels, weights)
    assert float(found) == pytest.approx(loss, rel=1e-5)
    # Nesterov's first step: velocity v = -lr g, update 0.9 v - lr g.
    np.testing.assert_allclose(tail.get_weights()[0], kernel - 1.9 * 0.1 * of_kernel, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(tail.get_weights()[1], bias - 1.9 * 0.1 * of_bias, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_weight_decay_shrinks_kernels_and_leaves_biases_and_normalisations_alone(optimizer: str) -> None:
    layers = keras().layers
    features = keras().Input((FEATURES,))
    tail = keras().Model(features, layers.Dense(1)(layers.BatchNormalization()(layers.Dense(3)(features))))
    tail.set_weights([array + 0.5 for array in tail.get_weights()])
    before = [(each.name, each.numpy()) for each in tail.trainable_variables]
    step = make_step(tail, {**PLAIN, "optimizer": optimizer, "weight_decay": 0.01}, 2)
    step(*images_of(2), np.zeros(IMAGES, np.float32))  # weights of 0: no gradient, nothing but decay
    shrink = {"kernel": 1 - 0.1 * 0.01}
    for (name, array), now in zip(before, tail.trainable_variables, strict=True):
        np.testing.assert_allclose(now.numpy(), array * shrink.get(name, 1), rtol=1e-6, err_msg=name)
    assert {name for name, _ in before} == {"kernel", "bias", "gamma", "beta"}


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("sgd", "SGD"), ("rmsprop", "RMSprop")])
def test_the_optimizer_is_the_one_named(name: str, kind: str) -> None:
    optimizer = make_optimizer({"optimizer": name, "lr": 3e-4, "weight_decay": 0.0})
    assert type(optimizer) is getattr(keras().optimizers, kind)
    assert float(optimizer.learning_rate) == pytest.approx(3e-4)
    if name == "sgd":
        assert (optimizer.momentum, optimizer.nesterov) == (0.9, True)


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop"])
def test_three_steps_with_weight_decay_are_those_of_keras_own_fit(name: str) -> None:
    """The step does not go through Keras' `apply`; what that decays and counts must not be lost."""
    ours, theirs, (inputs, labels) = dense(2), dense(2), images_of(2)
    configuration = {**PLAIN, "optimizer": name, "lr": 0.01, "weight_decay": 0.1}
    optimizer = make_optimizer({**configuration, "weight_decay": 0.0})
    optimizer.weight_decay = 0.1
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    theirs.compile(optimizer, keras().losses.BinaryCrossentropy(from_logits=True))
    step = make_step(ours, configuration, 2)
    for _ in range(3):
        step(inputs, labels, np.ones(IMAGES, np.float32))
        theirs.train_on_batch(inputs, labels[:, None])
    for mine, keras_own in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, keras_own, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("present", [[0, 1], [0, 3, 13], range(14)])
def test_balanced_class_weights_are_those_of_scikit_learn(present: Iterable[int]) -> None:
    classes = 2 if max(present) == 1 else 14
    labels = np.repeat(list(present), [1 + 2 * each for each in present])
    weights = class_weights("balanced", labels, classes)
    expected = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    np.testing.assert_allclose(weights[np.unique(labels)], expected, rtol=1e-6)
    assert weights[labels].mean() == pytest.approx(1)
    assert weights.shape == (classes,)


def test_class_weights_of_none_are_ones() -> None:
    np.testing.assert_array_equal(class_weights("none", np.array([0, 0, 1]), 2), [1, 1])


@dataclass
class Script:
    """A course whose scores are written beforehand; keeps what it saw.

    Attributes:
        weights: the tail's after each epoch.
    """

    objectives: list[float]
    losses: list[float] | None = None
    classes: int = 2
    search_seed: int = 0
    views: list[int] = field(default_factory=list)
    weights: list[list[np.ndarray]] = field(default_factory=list)
    inputs: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.tail = dense(self.classes)
        self.losses = self.losses or [1.0] * len(self.objectives)
        images, self.labels = images_of(self.classes)
        self.images = images if self.inputs is None else self.inputs

    def fit(self, configuration: Mapping[str, Value]) -> Fit:
        assert self.losses is not None
        scores = iter(zip(self.objectives, self.losses, strict=True))
        course = Course(
            inputs_of_epoch=self._inputs_of_epoch,
            labels=self.labels,
            classes=self.classes,
            score=lambda: dict(zip(("val_auc", "val_loss"), next(scores), strict=True)),
            objective="val_auc",
            epochs=len(self.objectives),
            search_seed=self.search_seed,
            after_epoch=lambda epoch, metrics: self.weights.append(self.tail.get_weights()),
        )
        return fit(self.tail, configuration, course)

    def _inputs_of_epoch(self, epoch: int) -> np.ndarray:
        self.views.append(epoch)
        return self.images


@pytest.mark.parametrize("classes", [2, 14])
def test_an_epochs_loss_has_smoothing_and_balanced_weights(classes: int) -> None:
    script = Script([0.5], classes=classes)
    arrays, weights = script.tail.get_weights(), compute_sample_weight("balanced", script.labels)
    expected = loss_and_gradients(arrays, script.images, script.labels, weights, classes, 0.2)[0]
    fitted = script.fit({**SMOOTHED, "class_weights": "balanced", "batch_size": 16})
    assert fitted.history["loss"] == [pytest.approx(expected, rel=1e-5)]


def test_history_holds_the_scores_of_every_epoch() -> None:
    script = Script([0.5, 0.7, 0.6], [3.0, 2.0, 1.0])
    fitted = script.fit(PLAIN)
    assert (fitted.history["val_auc"], fitted.history["val_loss"]) == ([0.5, 0.7, 0.6], [3.0, 2.0, 1.0])
    assert set(fitted.history) == {"loss", "val_auc", "val_loss"}
    assert len(fitted.history["loss"]) == len(script.weights) == 3
    assert script.views == [0, 1, 2]


@pytest.mark.parametrize(
    ("objectives", "losses", "best"),
    [
        ([0.5, 0.9, 0.7], [3, 2, 1], 1),
        ([0.5, 0.6, 0.9], [1, 2, 3], 2),
        ([0.8, 0.8, 0.8], [2, 1, 3], 1),
        ([0.8, 0.8, 0.8], [1, 1, 1], 0),
        ([0.8, 0.9, 0.8], [2, 3, 1], 1),
        ([NAN, 0.2, 0.1], [1, 2, 3], 1),
        ([0.1, NAN, NAN], [2, 1, 1], 0),
        ([NAN, NAN, NAN], [2, 1, 3], 1),
    ],
)
def test_best_epoch_has_the_highest_objective_then_the_lowest_loss_then_comes_first(
    objectives: list[float], losses: list[float], best: int
) -> None:
    assert Script(objectives, losses).fit(PLAIN).best_epoch == best


@pytest.mark.parametrize(
    ("objectives", "patience", "trained", "stopped"),
    [
        ([0.9, 0.1, 0.1, 0.1, 0.1], 3, 4, 4),
        ([0.5, 0.9, 0.1, 0.1, 0.95], 2, 4, 4),
        ([0.5, 0.4, 0.6, 0.4, 0.7, 0.4], 2, 6, None),
        ([0.9, 0.1, 0.1], 3, 3, None),
        ([0.1, 0.2, 0.3], 1, 3, None),
        ([NAN, NAN, NAN, NAN], 2, 3, 3),
    ],
)
def test_training_stops_after_as_many_epochs_without_a_better_one_as_patience_says(
    objectives: list[float], patience: int, trained: int, stopped: int | None
) -> None:
    script = Script(objectives)
    fitted = script.fit({**PLAIN, "callbacks_patience": patience})
    assert {len(values) for values in fitted.history.values()} == {len(script.weights)} == {trained}
    assert fitted.early_stop_at_epoch == stopped


@pytest.mark.parametrize("patience", [2, 99])
def test_the_best_epochs_weights_are_restored(patience: int) -> None:
    script = Script([0.5, 0.9, 0.1, 0.1])
    script.fit({**PLAIN, "callbacks_patience": patience})
    for restored, best, last in zip(script.tail.get_weights(), script.weights[1], script.weights[-1], strict=True):
        np.testing.assert_array_equal(restored, best)
        assert not np.array_equal(best, last)  # else this would prove nothing


def test_a_loss_that_is_nan_fails_the_trial_before_its_epoch_counts() -> None:
    script = Script([0.5], inputs=np.full((IMAGES, FEATURES), np.nan, np.float32))
    with pytest.raises(TrialFailed, match="the loss is nan"):
        script.fit(PLAIN)
    assert script.weights == []


Batches = list[list[int]]


def batches_seen(monkeypatch: pytest.MonkeyPatch, search_seed: int) -> tuple[Batches, Fit]:
    """The images of every batch of two epochs, where a batch's loss is its least image's number."""
    seen: Batches = []
    script = Script([0.5, 0.6], search_seed=search_seed, inputs=np.arange(IMAGES, dtype=np.uint8)[:, None])

    def step(inputs: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
        seen.append(inputs[:, 0].astype(int).tolist())
        assert inputs.dtype == np.float32
        np.testing.assert_array_equal(labels, script.labels[seen[-1]])
        return float(min(seen[-1]))

    monkeypatch.setattr(fitting, "make_step", lambda *arguments: step)
    return seen, script.fit({**PLAIN, "batch_size": 3})


def test_every_epoch_passes_each_image_once_in_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, fitted = batches_seen(monkeypatch, 0)
    assert [len(batch) for batch in seen] == [3, 3, 1] * 2
    first, second = (list(chain.from_iterable(epoch)) for epoch in (seen[:3], seen[3:]))
    assert sorted(first) == sorted(second) == list(range(IMAGES))
    assert first != second
    means = [sum(len(batch) * min(batch) for batch in epoch) / IMAGES for epoch in (seen[:3], seen[3:])]
    assert fitted.history["loss"] == pytest.approx(means)


def test_the_order_of_batches_hangs_on_the_search_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again, other = (batches_seen(monkeypatch, seed)[0] for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("count", [1, 64, 65])
def test_predicted_logits_are_the_tails_own_without_dropout(count: int) -> None:
    features = keras().Input((FEATURES,))
    tail = keras().Model(features, keras().layers.Dense(14)(keras().layers.Dropout(0.5)(features)))
    inputs = images_of(14, count)[0]
    found = Predictor(tail).logits(inputs)
    kernel, bias = tail.get_weights()
    np.testing.assert_allclose(found, product(inputs, kernel) + bias, rtol=1e-5, atol=1e-5)
    assert found.shape == (count, 14)
