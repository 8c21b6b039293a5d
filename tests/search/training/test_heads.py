"""Heads against plain NumPy and against Keras' own step; the same bits in any company."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from plumbing.seeds import generator_of, seed_of
from search.training.fitting import class_weights
from search.training.heads import Head
from search.training.kernels import _dropped
from spaces.declaration import Value
from spaces.network import initial_head
from tests.search.training.learners import (
    ALL_BUT_DROPOUT,
    IMAGES,
    OPTIMIZERS,
    PLAIN,
    WIDTH,
    NumpyHead,
    features_of,
    head_of,
    kept,
    keras_head,
    labels_of,
    orders,
    product,
    train_by_keras,
)

classes_units = pytest.mark.parametrize(("classes", "units"), [(2, 0), (2, 8), (14, 0), (14, 8)])


@classes_units
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_three_epochs_with_everything_are_those_of_plain_numpy(classes: int, units: int, optimizer: str) -> None:
    configuration = {**ALL_BUT_DROPOUT, "optimizer": optimizer, "units": units, "conv_dropout": 0.3}
    head, inputs = head_of(configuration, classes), features_of((WIDTH,))
    expected = NumpyHead(WIDTH, configuration, classes, labels_of(classes))
    for epoch, order in enumerate(orders(3)):
        loss = head.train_epoch(inputs, order, epoch)
        assert loss == pytest.approx(expected.train_epoch(inputs, order, epoch), rel=1e-5)
    for mine, numpys in zip(head.get_weights(), expected.weights, strict=True):
        np.testing.assert_allclose(mine, numpys, rtol=1e-4, atol=1e-5)


@classes_units
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_three_epochs_with_decay_smoothing_and_weights_are_those_of_keras_own_step(
    classes: int, units: int, optimizer: str
) -> None:
    configuration = {**ALL_BUT_DROPOUT, "optimizer": optimizer, "units": units}
    head, inputs, labels = head_of(configuration, classes), features_of((WIDTH,)), labels_of(classes)
    theirs, weight = keras_head(WIDTH, configuration, classes), class_weights("balanced", labels, classes)[labels]
    batches = [order[start : start + 4] for order in orders(3) for start in range(0, IMAGES, 4)]
    losses = train_by_keras(theirs, configuration, [(inputs[b], labels[b], weight[b]) for b in batches], classes)
    means = np.average(np.reshape(losses, (3, 3)), axis=1, weights=[4, 4, 3])
    mine = [head.train_epoch(inputs, order, epoch) for epoch, order in enumerate(orders(3))]
    np.testing.assert_allclose(mine, means, rtol=1e-5)
    for array, keras_own in zip([a for a in head.get_weights() if a.size], theirs.get_weights(), strict=True):
        np.testing.assert_allclose(array, keras_own, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("units", [0, 8])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weight_decay_shrinks_kernels_and_leaves_biases_alone(optimizer: str, units: int) -> None:
    configuration = {**PLAIN, "optimizer": optimizer, "weight_decay": 0.5, "units": units, "batch_size": 16}
    head = Head(WIDTH, configuration, labels_of(2), np.zeros(2), 0)  # weights of 0: no gradient, nothing but decay
    before = [array + np.float32(0.5) for array in head.get_weights()]
    head.set_weights(before)
    head.train_epoch(features_of((WIDTH,)), np.arange(IMAGES), 0)
    for array, now, shrink in zip(before, head.get_weights(), (1 - 0.01 * 0.5, 1) * 2, strict=True):
        np.testing.assert_allclose(now, array * np.float32(shrink), rtol=1e-6)


@pytest.mark.parametrize("units", [0, 8])
def test_a_head_starts_from_the_searchs_initial_weights(units: int) -> None:
    found = Head(WIDTH, {**PLAIN, "units": units}, labels_of(2), np.ones(2), 7).get_weights()
    for array, expected in zip(found, initial_head(WIDTH, units, 2, 7), strict=True):
        np.testing.assert_array_equal(array, expected)


@classes_units
def test_logits_are_the_matrix_products_with_nothing_dropped(classes: int, units: int) -> None:
    head = head_of({**PLAIN, "units": units, "conv_dropout": 0.5}, classes)
    head.train_epoch(features_of((WIDTH,)), np.arange(IMAGES), 0)  # biases are no longer zero
    inputs = features_of((WIDTH,), 70)
    hidden_kernel, hidden_bias, kernel, bias = head.get_weights()
    last = np.maximum(product(inputs, hidden_kernel) + hidden_bias, 0) if units else inputs
    found = head.logits(inputs)
    np.testing.assert_allclose(found, product(last, kernel) + bias, rtol=1e-4, atol=1e-5)
    assert (found.dtype, found.shape) == (np.float64, (70, 1 if classes == 2 else 14))


def test_weights_taken_are_a_copy_that_training_leaves_alone() -> None:
    head, inputs = head_of({**PLAIN, "units": 8}), features_of((WIDTH,))
    taken = head.get_weights()
    before = [array.copy() for array in taken]
    head.train_epoch(inputs, np.arange(IMAGES), 0)
    for array, then, now in zip(taken, before, head.get_weights(), strict=True):
        np.testing.assert_array_equal(array, then)
        assert not np.array_equal(array, now)
    head.set_weights(taken)
    head.train_epoch(inputs, np.arange(IMAGES), 1)
    for array, then in zip(taken, before, strict=True):
        np.testing.assert_array_equal(array, then)  # what was put back is not what training changes


def test_training_leaves_the_features_as_they_are() -> None:
    inputs = features_of((WIDTH,))
    inputs.flags.writeable = False  # as the cache's are
    before = inputs.copy()
    head_of({**PLAIN, "conv_dropout": 0.5}).train_epoch(inputs, np.arange(IMAGES), 0)
    np.testing.assert_array_equal(inputs, before)


@pytest.mark.parametrize("units", [0, 8])
@pytest.mark.parametrize("spoiled", ["features", "weights"])
def test_what_is_no_number_stays_none(units: int, spoiled: str) -> None:
    """A rectifier that turned NaN into 0 would hide a training that went astray."""
    head, inputs = head_of({**PLAIN, "units": units}), features_of((WIDTH,))
    if spoiled == "features":
        inputs[0] = np.nan
    else:
        head.set_weights([array * np.float32(np.nan) if array.ndim == 2 else array for array in head.get_weights()])
    assert np.isnan(head.logits(inputs)[0]).all()
    assert np.isnan(head.train_epoch(inputs, np.arange(IMAGES), 0))


# Dropout.


def test_a_rate_of_0_drops_nothing() -> None:
    values = features_of((1000,))[0]
    before = values.copy()
    _dropped(values, np.int64(3), np.uint32(5), 0.0)
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.6])
def test_a_rate_drops_about_so_many_values_and_scales_the_rest(rate: float) -> None:
    images, width = 200, 500
    values = np.ones((images, width), np.float32)
    for row in range(images):
        _dropped(values[row], np.int64(row), np.uint32(seed_of("dropout", 0, 0)), rate)
    scale = np.float32(1 / (1 - rate))
    assert set(np.unique(values)) == {np.float32(0), scale}
    error = np.sqrt(rate * (1 - rate))  # of one draw
    dropped = values == 0
    assert abs(dropped.mean() - rate) < 4 * error / np.sqrt(images * width)
    assert np.abs(dropped.mean(axis=0) - rate).max() < 5 * error / np.sqrt(images)  # no unit is favoured
    assert np.abs(dropped.mean(axis=1) - rate).max() < 5 * error / np.sqrt(width)  # no image either
    np.testing.assert_array_equal(dropped, kept(np.arange(images), width, "dropout", 0, 0, rate) == 0)


def test_draws_of_neighbouring_images_units_epochs_seeds_and_layers_have_nothing_in_common() -> None:
    rows, width = np.arange(200), 500
    known = kept(rows, width, "dropout", 0, 0, 0.5) == 0
    others = {
        "image": kept(rows + 1, width, "dropout", 0, 0, 0.5) == 0,
        "unit": np.roll(known, 1, axis=1),
        "epoch": kept(rows, width, "dropout", 0, 1, 0.5) == 0,
        "seed": kept(rows, width, "dropout", 1, 0, 0.5) == 0,
        "layer": kept(rows, width, "hidden dropout", 0, 0, 0.5) == 0,
    }
    for name, other in others.items():
        assert abs((known == other).mean() - 0.5) < 4 * 0.5 / np.sqrt(known.size), name


def _kept_by_training(order: list[int], batch_size: int, epoch: int = 0, seed: int = 0) -> np.ndarray:
    """(images, features): what an epoch kept of each image, seen in the kernel where this image alone has a loss."""
    configuration, images = {**PLAIN, "conv_dropout": 0.5, "batch_size": batch_size}, len(order)
    found = []
    for image in range(images):
        weight = np.zeros(images)
        weight[image] = 1.0
        head = Head(500, configuration, np.arange(images), weight, seed)  # each image is a class of its own
        head.set_weights([np.zeros_like(array) for array in head.get_weights()])
        head.train_epoch(np.ones((images, 500), np.float32), np.array(order), epoch)
        found.append(np.any(head.get_weights()[2] != 0, axis=1))
    return np.array(found)


def test_draws_hang_on_seed_epoch_and_image_and_not_on_batch_size_or_order() -> None:
    known = _kept_by_training([3, 2, 1, 0, 4], 4)
    assert 0.4 < known.mean() < 0.6
    np.testing.assert_array_equal(known, kept(np.arange(5), 500, "dropout", 0, 0, 0.5) > 0)
    np.testing.assert_array_equal(known, _kept_by_training([3, 2, 1, 0, 4], 2))
    np.testing.assert_array_equal(known, _kept_by_training([4, 0, 1, 2, 3], 4))
    for other in (_kept_by_training([3, 2, 1, 0, 4], 4, epoch=1), _kept_by_training([3, 2, 1, 0, 4], 4, seed=1)):
        assert abs((known == other).mean() - 0.5) < 0.05


# Company.


def _trainings(width: int = 320, images: int = 90) -> list[Callable[[], list[bytes]]]:
    """Heads with and without hidden units, each a function that trains it and gives losses, weights and logits."""
    labels, inputs = labels_of(2, images), features_of((width,), images)
    space: dict[str, list[Value]] = {"units": [0, 64], "batch_size": [16, 64], "optimizer": ["adam", "sgd", "rmsprop"]}
    configurations = [
        {**PLAIN, "conv_dropout": 0.3, "units": units, "batch_size": size, "optimizer": optimizer}
        for units in space["units"]
        for size in space["batch_size"]
        for optimizer in space["optimizer"]
    ]

    def training(configuration: dict[str, Value]) -> list[bytes]:
        head = Head(width, configuration, labels, np.ones(2), 0)
        losses = [head.train_epoch(inputs, order, epoch) for epoch, order in enumerate(orders(6, 0, images))]
        return [np.array(losses).tobytes(), head.logits(inputs).tobytes(), *(a.tobytes() for a in head.get_weights())]

    return [lambda each=each: training(each) for each in configurations]  # type: ignore[misc]


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_a_head_trained_beside_others_ends_with_the_bits_that_it_has_alone(threads: int) -> None:
    trainings = _trainings()
    alone = [training() for training in trainings]
    company = generator_of("company", threads).permutation(np.repeat(np.arange(len(trainings)), 3))
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda number: trainings[number](), company))
    for number, bits in zip(company, found, strict=True):
        assert bits == alone[number]
    assert len({tuple(bits) for bits in alone}) == len(alone)
