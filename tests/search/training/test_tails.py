"""Tails against Keras' own step; a program that served other trials gives the bits of a fresh one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from search.training.fitting import class_weights
from search.training.tails import PREDICTION_BATCH, Program, Programs, Tail, make_optimizer
from spaces.declaration import Value
from spaces.network import initial_head
from spaces.tensorflow_runtime import keras
from tests.search.training.learners import (
    ALL_BUT_DROPOUT,
    CUT,
    IMAGES,
    OPTIMIZERS,
    PLAIN,
    SIDE,
    features_of,
    keras_tail,
    labels_of,
    orders,
    program_of,
    small_backbone,
    tail_of,
    train_by_keras,
)

NAMES = ("kernel", "bias", "gamma", "beta", "hidden_kernel", "hidden_bias")


@pytest.mark.parametrize(("classes", "units"), [(2, 0), (14, 8)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_three_epochs_with_decay_smoothing_and_weights_are_those_of_keras_own_step(
    classes: int, units: int, optimizer: str
) -> None:
    """The step does not go through Keras' `apply`; what that decays and counts must not be lost."""
    configuration = {**ALL_BUT_DROPOUT, "optimizer": optimizer, "units": units}
    tail, inputs, labels = tail_of(configuration, classes), features_of(CUT.features), labels_of(classes)
    theirs = keras_tail(small_backbone(), CUT, configuration, classes)
    weight = class_weights("balanced", labels, classes)[labels]
    batches = [order[start : start + 4] for order in orders(3) for start in range(0, IMAGES, 4)]
    losses = train_by_keras(theirs, configuration, [(inputs[b], labels[b], weight[b]) for b in batches], classes)
    means = np.average(np.reshape(losses, (3, 3)), axis=1, weights=[4, 4, 3])
    mine = [tail.train_epoch(inputs, order, epoch) for epoch, order in enumerate(orders(3))]
    np.testing.assert_allclose(mine, means, rtol=1e-4)
    for array, keras_own in zip([a for a in tail.get_weights() if a.size], theirs.get_weights(), strict=True):
        np.testing.assert_allclose(array, keras_own, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weight_decay_shrinks_kernels_and_leaves_biases_and_normalisations_alone(optimizer: str) -> None:
    configuration = {**PLAIN, "optimizer": optimizer, "weight_decay": 0.5, "units": 8, "batch_size": 16}
    program = program_of(configuration)
    # Weights of 0: no gradient, nothing but decay.
    tail = Tail(program, configuration, labels_of(2), np.zeros(2), 0)
    for variable in program.trained:
        variable.assign(variable + 0.5)
    before = [(each.name.split(":")[0], np.array(each)) for each in program.trained]
    tail.train_epoch(features_of(CUT.features), np.arange(IMAGES), 0)
    for (name, array), now in zip(before, program.trained, strict=True):
        shrink = 1 - 0.01 * 0.5 if name.endswith("kernel") else 1
        np.testing.assert_allclose(np.array(now), array * shrink, rtol=1e-6, err_msg=name)
    assert {name for name, _ in before} == set(NAMES)


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("sgd", "SGD"), ("rmsprop", "RMSprop")])
def test_the_optimizer_is_the_one_named(name: str, kind: str) -> None:
    optimizer = make_optimizer(name)
    assert type(optimizer) is getattr(keras().optimizers, kind)
    assert optimizer.weight_decay is None  # the step decays itself
    if name == "sgd":
        assert (optimizer.momentum, optimizer.nesterov) == (0.9, True)


@pytest.mark.parametrize("units", [0, 8])
def test_a_tail_starts_from_the_backbones_weights_and_the_searchs_initial_head(units: int) -> None:
    configuration = {**PLAIN, "units": units}
    found = tail_of(configuration, search_seed=7).get_weights()
    rest = keras_tail(small_backbone(), CUT, configuration, 2).get_weights()[: len(found) - 4]
    expected = [*rest, *initial_head(small_backbone().output.shape[1], units, 2, 7)]
    for array, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, theirs)


@pytest.mark.parametrize("count", [1, PREDICTION_BATCH, PREDICTION_BATCH + 1])
def test_logits_are_the_tails_own_in_inference_with_nothing_dropped(count: int) -> None:
    configuration = {**PLAIN, "units": 8, "conv_dropout": 0.5}
    tail, inputs = tail_of(configuration, 14), features_of(CUT.features, count)
    tail.train_epoch(features_of(CUT.features), np.arange(IMAGES), 0)
    theirs = keras_tail(small_backbone(), CUT, configuration, 14)
    theirs.set_weights([array for array in tail.get_weights() if array.size])
    found = tail.logits(inputs)
    np.testing.assert_allclose(found, theirs(inputs, training=False).numpy(), rtol=1e-4, atol=1e-5)
    assert (found.dtype, found.shape) == (np.float64, (count, 14))


def test_logits_of_an_image_hang_on_no_other_image() -> None:
    tail, inputs = tail_of({**PLAIN, "units": 8}), features_of(CUT.features, PREDICTION_BATCH + 6)
    alone = np.concatenate([tail.logits(inputs[row : row + 1]) for row in range(len(inputs))])
    np.testing.assert_array_equal(tail.logits(inputs), alone)


def test_a_view_of_bytes_is_trained_as_the_numbers_that_it_holds() -> None:
    shape = (SIDE, SIDE, 1)
    none = type(CUT)("none", None, shape)
    grey = (features_of(shape) * 40 + 128).astype(np.uint8)

    def trained(inputs: np.ndarray) -> list[np.ndarray]:
        tail = Tail(Program(small_backbone(), none, 0, "sgd", 2), PLAIN, labels_of(2), np.ones(2), 0)
        tail.train_epoch(inputs, np.arange(IMAGES), 0)
        return [*tail.get_weights(), tail.logits(inputs)]

    for one, other in zip(trained(grey), trained(grey.astype(np.float32)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_a_tail_never_changes_the_backbone() -> None:
    before = small_backbone().get_weights()
    tail = tail_of(PLAIN)
    start = tail.get_weights()
    tail.train_epoch(features_of(CUT.features), np.arange(IMAGES), 0)
    for array, now in zip(before, small_backbone().get_weights(), strict=True):
        np.testing.assert_array_equal(array, now)
    # All of the rest was trained: kernel, bias, gamma, beta and the moving statistics, then the head.
    assert all(not np.array_equal(a, b) for a, b in zip(start, tail.get_weights(), strict=True) if a.size)


def test_dropout_drops_about_its_share_and_a_rate_of_0_nothing() -> None:
    """Seen in the loss: with a kernel of ones and equal features a logit is the mean of what dropout leaves."""
    width = small_backbone().output.shape[1]
    tail = tail_of({**PLAIN, "lr": 0.0, "conv_dropout": 0.5, "batch_size": 16})
    inputs, order = features_of(CUT.features), np.arange(IMAGES)
    weights = tail.get_weights()
    weights[-2] = np.full((width, 1), 100.0, np.float32)
    tail.set_weights(weights)
    whole = tail_of({**PLAIN, "lr": 0.0, "batch_size": 16}, program=None)
    whole.set_weights(weights)
    assert whole.train_epoch(inputs, order, 0) == whole.train_epoch(inputs, order, 1)
    losses = [tail.train_epoch(inputs, order, epoch) for epoch in range(3)]
    assert len(set(losses)) == 3  # each epoch draws anew
    assert losses == [tail.train_epoch(inputs, order, epoch) for epoch in range(3)]  # and the same again
    other = tail_of({**PLAIN, "lr": 0.0, "conv_dropout": 0.5, "batch_size": 16}, search_seed=1)
    other.set_weights(weights)
    assert other.train_epoch(inputs, order, 0) != losses[0]


def _bits(tail: Tail) -> list[bytes]:
    """Three epochs' losses, logits and optimizer state, and the last weights."""
    inputs, found = features_of(CUT.features), []
    for epoch, order in enumerate(orders(3)):
        found += [np.float64(tail.train_epoch(inputs, order, epoch)).tobytes(), tail.logits(inputs).tobytes()]
        found += [np.array(variable).tobytes() for variable in tail.program.optimizer.variables]
    return found + [array.tobytes() for array in tail.get_weights()]


@pytest.mark.parametrize("units", [0, 8])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_trial_on_a_program_that_served_others_has_the_bits_of_one_on_a_fresh_program(
    optimizer: str, units: int
) -> None:
    configuration: dict[str, Value] = {**ALL_BUT_DROPOUT, "optimizer": optimizer, "units": units, "conv_dropout": 0.4}
    used = program_of(configuration)
    others: tuple[Mapping[str, Any], ...] = ({"lr": 0.1, "conv_dropout": 0.0, "batch_size": 11}, {"weight_decay": 0.0})
    for other in others:
        _bits(tail_of({**configuration, **other}, program=used))
    assert _bits(tail_of(configuration, program=used)) == _bits(tail_of(configuration))


def test_programs_are_shared_by_trials_of_one_shape_and_the_oldest_are_dropped() -> None:
    programs, backbone = Programs(), small_backbone()

    def get(units: int, **more: Value) -> Program:
        return programs.get(backbone, CUT, {**PLAIN, "units": units, **more}, 2)

    first = get(0)
    assert get(0, lr=0.5, conv_dropout=0.4, weight_decay=0.1, label_smoothing=0.1, batch_size=64) is first
    assert get(0, optimizer="adam") is not first
    assert get(0) is first
    assert programs.get(backbone, CUT, {**PLAIN, "units": 0}, 14) is not first
    assert get(0) is first  # used again: not the oldest any more
    for units in range(1, Programs.MOST):
        get(units)
    assert get(0) is first
    for units in range(1, Programs.MOST + 1):
        get(units)
    assert get(0) is not first


def test_a_step_traces_once_whatever_the_settings_and_batch_sizes() -> None:
    program = program_of(PLAIN)
    for size in (4, 16, 3):
        tail = tail_of({**PLAIN, "lr": 0.1 / size, "conv_dropout": 0.5 / size, "batch_size": size}, program=program)
        tail.train_epoch(features_of(CUT.features), np.arange(IMAGES), 0)
    assert program.step.experimental_get_tracing_count() == 1
