"""A user's own Keras model as a learner: what it is given, what its outputs mean, how it goes on and is saved."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plumbing.seeds import generator_of
from search.own_model import OwnModel, own_model
from search.training.checkpoints import Checkpoints
from search.training.fitting import Checkpoint, Course, Fit, TrialFailed, fit
from search.training.own_learner import OwnLearner
from search.training.scoring import probabilities
from spaces.tensorflow_runtime import keras

SIDE, IMAGES = 8, 24
MODELS = '''
"""Small classifiers of every kind of output."""
import keras
import keras_tuner
from keras import layers
from keras.losses import BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy


def classifier(hp, outputs, activation, loss, optimizer=None):
    rate = hp.Float("rate", 0.01, 0.1, sampling="log", default=0.05)
    flow = [layers.Flatten(), layers.Dense(hp.Int("width", 4, 8, default=6), activation="relu")]
    flow += [layers.Dropout(0.25), layers.Dense(outputs, activation=activation)]
    model = keras.Sequential(flow)
    model.compile(optimizer or keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


def sigmoid(hp):
    return classifier(hp, 1, "sigmoid", "binary_crossentropy")


def logit(hp):
    return classifier(hp, 1, None, BinaryCrossentropy(from_logits=True))


def softmax(hp):
    return classifier(hp, 2, "softmax", "categorical_crossentropy")


def logits(hp):
    return classifier(hp, 2, None, CategoricalCrossentropy(from_logits=True))


def sparse_softmax(hp):
    return classifier(hp, 2, "softmax", "sparse_categorical_crossentropy")


def sparse_logits(hp):
    return classifier(hp, 2, None, SparseCategoricalCrossentropy(from_logits=True))


def softmax_of_14(hp):
    return classifier(hp, 14, "softmax", "categorical_crossentropy")


def sparse_logits_of_14(hp):
    return classifier(hp, 14, None, SparseCategoricalCrossentropy(from_logits=True))


def own_loss(hp):
    def squared(labels, outputs):
        return keras.ops.mean((labels - outputs) ** 2)

    return classifier(hp, 1, "sigmoid", squared)


def unlimited(hp):
    return classifier(hp, 1, None, "mse")


class Failing(keras_tuner.HyperModel):
    """Fails as it is told to."""

    errors = {}

    def build(self, hp):
        if "build" in self.errors:
            raise self.errors["build"]
        return sigmoid(hp)

    def fit(self, hp, model, *args, **kwargs):
        raise self.errors["fit"]


class Shuffled(keras_tuner.HyperModel):
    """A convolution that sees flipped images, with a training of its own."""

    optimizer = "adam"

    def build(self, hp):
        model = keras.Sequential()
        model.add(layers.RandomFlip("horizontal"))
        model.add(layers.Conv2D(hp.Int("filters", 2, 4), 3, activation="relu"))
        model.add(layers.BatchNormalization())
        model.add(layers.GlobalAveragePooling2D())
        model.add(layers.Dropout(0.3))
        model.add(layers.Dense(1, activation="sigmoid"))
        model.compile(optimizer=self.optimizer, loss="binary_crossentropy", metrics=["AUC"])
        return model

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, shuffle=hp.Boolean("shuffle", default=True), batch_size=5, **kwargs)


class ShuffledByMomentum(Shuffled):
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)

    def build(self, hp):
        self.optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        return super().build(hp)


class Recorded(keras_tuner.HyperModel):
    """Keeps what its training is given; tells its loss as asked for."""

    seen = []
    told = {}

    def build(self, hp):
        return sigmoid(hp)

    def fit(self, hp, model, *args, **kwargs):
        self.seen.append((args, kwargs))
        return self.told["loss"]
'''
OF_TWO = ("sigmoid", "own_loss", "logit", "softmax", "logits", "sparse_softmax", "sparse_logits")
OF_14 = ("softmax_of_14", "sparse_logits_of_14")
Named = Callable[[str], OwnModel]


@pytest.fixture
def named(tmp_path: Path) -> Named:
    """The model of that name."""
    path = tmp_path / "models.py"
    path.write_text(MODELS)
    return lambda name: own_model(f"{path}:{name}")


def drawn(classes: int = 2, images: int = IMAGES) -> tuple[np.ndarray, np.ndarray]:
    """Noisy grey images, bright in rows of their class, and labels."""
    draw = generator_of("own images", classes)
    labels = np.arange(images) % classes
    bright = np.arange(SIDE**2) * classes // SIDE**2 == labels[:, None]
    grey = draw.integers(0, 60, (images, SIDE**2)) + 195 * bright
    return grey.astype(np.uint8).reshape(images, SIDE, SIDE, 1), labels


def orders(images: int) -> list[np.ndarray]:
    return [generator_of("order", epoch).permutation(images) for epoch in range(5)]


def learner_of(
    own: OwnModel, classes: int = 2, search_seed: int = 0, images: int = IMAGES, **values: Any
) -> OwnLearner:
    grey, labels = drawn(classes, images)
    first = own.hyperparameters({}, [])
    own.hypermodel.build(first)
    hyperparameters = own.hyperparameters({**first.values, **values}, own.space)
    return OwnLearner(own, hyperparameters, labels, (grey[:6], labels[:6]), classes, search_seed)


def trained(learner: OwnLearner, epochs: int, begin: Checkpoint | None = None, classes: int = 2, **more: Any) -> Fit:
    grey, labels = drawn(classes)

    def score(logits: np.ndarray) -> Mapping[str, float]:
        right = probabilities(logits)[:, -1] if classes == 2 else np.zeros(len(logits))
        return {"val_auc": float(np.mean((right > 0.5) == labels[:6])), "val_loss": float(np.abs(logits).sum())}

    course = Course(
        inputs_of_epoch=lambda epoch: grey,
        valid=grey[:6],
        score=score,
        objective="val_auc",
        epochs=epochs,
        patience=epochs,
        search_seed=0,
        after_epoch=lambda epoch, metrics: None,
        begin=begin,
        **more,
    )
    return fit(learner, course)


def as_bytes(arrays: Any) -> list[bytes]:
    return [np.asarray(array).tobytes() for array in arrays]


# Outputs


@pytest.mark.parametrize(("name", "classes"), [*((name, 2) for name in OF_TWO), *((name, 14) for name in OF_14)])
def test_probabilities_are_those_of_the_saved_model_on_grey_pixels(
    named: Named, tmp_path: Path, name: str, classes: int
) -> None:
    learner = learner_of(named(name), classes)
    trained(learner, 2, classes=classes)
    learner.save(tmp_path / "model.keras")
    grey, _ = drawn(classes, 70)  # more than a batch of predictions

    found = probabilities(learner.logits(grey))
    saved = keras().saving.load_model(tmp_path / "model.keras", safe_mode=True)

    expected = saved.predict_on_batch(grey.astype(np.float32))
    assert found.shape == expected.shape == (70, 1 if classes == 2 else 14)
    assert expected.std() > 0.01  # else this would prove nothing
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


MANY = 640  # of twenty batches


@pytest.mark.parametrize("name", OF_TWO)
def test_every_kind_of_output_learns_what_is_abnormal(named: Named, name: str) -> None:
    learner = learner_of(named(name), images=MANY)
    grey, labels = drawn(images=MANY)
    for epoch in range(3):
        learner.train_epoch(grey, orders(MANY)[epoch], epoch)
    abnormal = probabilities(learner.logits(grey))[:, 0]
    assert abnormal[labels == 1].min() > 0.5 > abnormal[labels == 0].max()


@pytest.mark.parametrize("name", OF_14)
def test_a_model_of_14_classes_learns_each(named: Named, name: str) -> None:
    learner = learner_of(named(name), 14, images=MANY)
    grey, labels = drawn(14, MANY)
    for epoch in range(5):
        learner.train_epoch(grey, orders(MANY)[epoch], epoch)
    right = learner.logits(grey).argmax(axis=1) == labels
    assert right.mean() > 0.5  # by chance a fourteenth


def test_a_probability_of_exactly_0_or_1_is_a_finite_logit(named: Named) -> None:
    for name in ("sigmoid", "softmax"):
        learner = learner_of(named(name))
        *weights, bias = learner.model.get_weights()
        far = np.array([1000.0] if len(bias) == 1 else [-1000.0, 1000.0], np.float32)
        learner.model.set_weights([*weights, far])
        logits = learner.logits(drawn()[0])
        assert np.isfinite(logits).all()
        assert (probabilities(logits) > 0.999999).all()


def test_outputs_that_are_neither_probabilities_nor_said_to_be_logits_fail_the_trial(named: Named) -> None:
    learner = learner_of(named("unlimited"))
    *weights, bias = learner.model.get_weights()
    learner.model.set_weights([*weights, bias + 5])
    with pytest.raises(TrialFailed, match=r"unlimited: outputs outside 0\.\.1: end in sigmoid or softmax"):
        learner.logits(drawn()[0])


def failing(named: Named, **errors: Exception) -> OwnLearner:
    own = named("Failing")
    hyperparameters = own.hyperparameters({"rate": 0.05, "width": 6}, own.space)
    own.hypermodel.errors.update(errors)
    grey, labels = drawn()
    return OwnLearner(own, hyperparameters, labels, (grey[:6], labels[:6]), 2, 0)


def test_what_fails_in_a_users_code_fails_the_trial_in_one_line(named: Named) -> None:
    with pytest.raises(TrialFailed, match=r"models\.py:Failing: ValueError: too wide; mend it$"):
        failing(named, build=ValueError("too wide\nby far"))
    learner = failing(named, fit=KeyError("epochs"))
    with pytest.raises(TrialFailed, match=r"models\.py:Failing: KeyError: 'epochs'; mend it$"):
        learner.train_epoch(drawn()[0], np.arange(IMAGES), 0)


@pytest.mark.parametrize("error", [MemoryError("all of it"), KeyboardInterrupt()])
def test_no_memory_and_an_interrupt_are_not_a_users_error(named: Named, error: BaseException) -> None:
    learner = failing(named, fit=error)  # type: ignore[arg-type]
    with pytest.raises(type(error)):
        learner.train_epoch(drawn()[0], np.arange(IMAGES), 0)


# What a training is given


def recorded(named: Named, loss: object) -> tuple[float, tuple[Any, ...], dict[str, Any]]:
    own = named("Recorded")
    learner = learner_of(own)
    own.hypermodel.told["loss"] = loss
    grey, _ = drawn()
    found = learner.train_epoch(grey, np.arange(IMAGES)[::-1], 0)
    (arguments, more) = own.hypermodel.seen[-1]
    return found, arguments, more


def test_a_training_gets_images_in_the_order_given_between_0_and_1_with_their_labels(named: Named) -> None:
    grey, labels = drawn()
    _, (images, targets), more = recorded(named, 0.5)
    assert (images.dtype, images.shape) == (np.float32, (IMAGES, SIDE, SIDE, 1))
    np.testing.assert_array_equal(images, grey[::-1] / np.float32(255))
    np.testing.assert_array_equal(targets, labels[::-1, None])
    valid_images, valid_labels = more["validation_data"]
    np.testing.assert_array_equal(valid_images, grey[:6] / np.float32(255))
    np.testing.assert_array_equal(valid_labels, labels[:6, None])


class OfKeras:
    history = {"loss": [0.9, 0.25]}  # noqa: RUF012


@pytest.mark.parametrize(
    ("told", "loss"),
    [(0.25, 0.25), ({"loss": 0.25, "accuracy": 0.9}, 0.25), (OfKeras(), 0.25), (np.float32(0.25), 0.25)],
)
def test_a_training_may_tell_its_loss_as_keras_tuner_lets_it(named: Named, told: object, loss: float) -> None:
    assert recorded(named, told)[0] == loss


def test_what_fitting_asks_for_is_known_afterwards(named: Named) -> None:
    own = named("Shuffled")
    learner = learner_of(own)
    assert {each["config"]["name"] for each in own.space} == {"filters"}
    trained(learner, 1)
    assert learner.hyperparameters.values == {"filters": 2, "shuffle": True}


# Draws and checkpoints


def test_the_same_seed_is_the_same_training_and_another_is_another(named: Named) -> None:
    first, again, other = (learner_of(named("Shuffled"), search_seed=seed) for seed in (0, 0, 1))
    assert as_bytes(first.get_weights()) == as_bytes(again.get_weights()) != as_bytes(other.get_weights())
    histories = [trained(each, 2).history for each in (first, again, other)]
    assert histories[0] == histories[1] != histories[2]


def test_what_was_trained_before_changes_nothing(named: Named) -> None:
    alone = trained(learner_of(named("Shuffled")), 2)
    trained(learner_of(named("sigmoid")), 1)
    keras().utils.set_random_seed(99)
    assert trained(learner_of(named("Shuffled")), 2).history == alone.history


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Shuffled", {"shuffle": True}),
        ("Shuffled", {"shuffle": False}),
        ("ShuffledByMomentum", {"shuffle": True}),
        ("sparse_logits", {}),
    ],
)
def test_four_epochs_are_two_and_from_a_file_two_more(
    named: Named, tmp_path: Path, name: str, values: dict[str, bool]
) -> None:
    """With dropout, flips, shuffling, normalisation and an optimizer that remembers."""
    undisturbed = learner_of(named(name), **values)
    whole = trained(undisturbed, 4, resumable=True)
    first = trained(learner_of(named(name), **values), 2, resumable=True)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert first.checkpoint is not None
    checkpoints.save(0, first.checkpoint)

    fresh = learner_of(named(name), **values)
    continued = trained(fresh, 4, checkpoints.load(0, pytest.fail), resumable=True)

    assert continued.history == whole.history
    assert continued.best_epoch == whole.best_epoch
    assert as_bytes(fresh.get_weights()) == as_bytes(undisturbed.get_weights())
    assert whole.checkpoint is not None
    assert continued.checkpoint is not None
    assert as_bytes(continued.checkpoint.last) == as_bytes(whole.checkpoint.last)


@pytest.mark.parametrize("name", ["Shuffled", "ShuffledByMomentum"])
def test_without_what_the_optimizer_remembers_the_end_would_be_another(named: Named, name: str) -> None:
    """So the test above can fail."""
    whole = trained(learner_of(named(name)), 2).history
    first = trained(learner_of(named(name)), 1, resumable=True).checkpoint
    assert first is not None
    fresh = learner_of(named(name))
    count = len(fresh.get_weights())
    forgotten = [*first.last[:count], *fresh.get_state()[count:]]
    continued = trained(fresh, 2, Checkpoint(first.history, 0, None, first.best, forgotten)).history
    assert continued["loss"][0] == whole["loss"][0]
    assert continued["val_loss"][1] != whole["val_loss"][1]


def test_shuffling_within_the_model_changes_a_training(named: Named) -> None:
    histories = [trained(learner_of(named("Shuffled"), shuffle=each), 1).history for each in (True, False)]
    assert histories[0] != histories[1]


def test_weights_that_are_put_back_give_the_same_outputs(named: Named) -> None:
    learner = learner_of(named("Shuffled"))
    grey, _ = drawn()
    trained(learner, 1)
    weights, logits = learner.get_weights(), learner.logits(grey)
    trained(learner, 1)
    assert not np.array_equal(learner.logits(grey), logits)  # else this would prove nothing
    learner.set_weights(weights)
    np.testing.assert_array_equal(learner.logits(grey), logits)
