"""What caching must not change: the trial itself, computed anew each epoch, and plain Keras' training from pixels."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from features.cache import FeatureCache
from plumbing.seeds import generator_of
from search.feature_plan import view_of_epoch
from search.training.fitting import Course, Learner, class_weights, fit
from search.training.heads import Head
from search.training.inputs import Inputs
from search.training.scoring import epoch_metrics
from search.training.tails import Tail
from search.training.trial import Setting, Task, is_head, run_trial
from spaces import ARCHITECTURES, architecture_named
from spaces.architecture import Architecture
from spaces.declaration import Value
from spaces.network import make_trunk
from spaces.tensorflow_runtime import keras
from tests.search.training.learners import keras_tail

PLAIN: dict[str, Value] = {
    "lr": 1e-3,
    "conv_dropout": 0.0,
    "callbacks_patience": 99,
    "augmentation": "no",
    "optimizer": "adam",
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "class_weights": "none",
    "batch_size": 16,
    "units": 64,
}
ALL_LEVELS = ("no", "light", "deep", "strong")


def configuration_of(architecture: Architecture, cut: str, **changed: Value) -> dict[str, Value]:
    shape: dict[str, Value] = {"blocks": 2, "filters_1": 16, "filters_2": 16}
    own = shape if architecture.name == "base_cnn" else {}
    return {"architecture": architecture.name, "frozen": cut, **PLAIN, **own, **changed}


@pytest.fixture(scope="module")
def cached(least_setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    cache = FeatureCache(tmp_path_factory.mktemp("cache") / "features")
    return replace(least_setting, source=replace(least_setting.source, cache=cache))


def check_cached_equals_recomputed(cached: Setting, plain: Setting, configuration: dict[str, Value]) -> None:
    one, other = (
        run_trial(each, Task(configuration, each.epochs), lambda epoch, metrics: None).result
        for each in (cached, plain)
    )
    assert one.history == other.history
    assert (one.value, one.best_epoch, one.measures) == (other.value, other.best_epoch, other.measures)
    for split in ("valid", "test"):
        np.testing.assert_array_equal(one.probabilities[split], other.probabilities[split])
    ledger = plain.source.cache.ledger
    assert ledger.extracted == ledger.served > 0  # each time anew
    assert cached.source.cache.ledger.extracted < cached.source.cache.ledger.served


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=[each.name for each in ARCHITECTURES])
def test_invariant_3_a_trial_on_cached_features_is_the_one_that_computes_them_each_epoch(
    cached: Setting, least_setting: Setting, architecture: Architecture
) -> None:
    """At every cut that freezes something."""
    for cut in (cut for cut in architecture.cuts if cut.after is not None):
        more: dict[str, Value] = {"augmentation": "light", "conv_dropout": 0.3}
        check_cached_equals_recomputed(cached, least_setting, configuration_of(architecture, cut.name, **more))


@pytest.mark.parametrize("level", [each for each in ALL_LEVELS if each != "light"])
def test_invariant_3_holds_at_every_level_of_augmentation(cached: Setting, least_setting: Setting, level: str) -> None:
    for cut in ("all", "below_last_block"):
        configuration = configuration_of(architecture_named("efficientnet_lite0"), cut, augmentation=level)
        check_cached_equals_recomputed(cached, least_setting, configuration)


def learner_of(setting: Setting, inputs: Inputs) -> Learner:
    """A trial's learner, its weights within reach."""
    configuration, labels = inputs.configuration, setting.lists["train"].labels
    weight = class_weights("none", labels, setting.classes)
    if is_head(configuration):
        width = inputs.frozen().shapes[inputs.cut.name][0]
        return Head(width, configuration, labels, weight, setting.search_seed)
    program = setting.programs.get(inputs.network(), inputs.cut, configuration, setting.classes)
    return Tail(program, configuration, labels, weight, setting.search_seed)


def ours(setting: Setting, inputs: Inputs) -> tuple[list[float], list[np.ndarray]]:
    """Each epoch's loss and the last epoch's weights of a solo trial."""
    learner, last = learner_of(setting, inputs), []
    course = Course(
        inputs_of_epoch=lambda epoch: inputs.get("train", "no", view_of_epoch("no", epoch, setting.views)),
        valid=inputs.get("valid"),
        score=partial(epoch_metrics, setting.lists["valid"]),
        objective="val_auc",
        epochs=setting.epochs,
        patience=99,
        search_seed=setting.search_seed,
        after_epoch=lambda epoch, metrics: last.append(learner.get_weights()),
    )
    history = fit(learner, course).history
    return history["loss"], [array for array in last[-1] if array.size]


def by_keras(setting: Setting, inputs: Inputs) -> tuple[list[float], list[np.ndarray]]:
    """The same by Keras' own `fit` of the whole network from pixels, its frozen layers in inference mode."""
    network, configuration = inputs.network(), inputs.configuration
    trunk = make_trunk(network, inputs.cut)
    tail = keras_tail(network, inputs.cut, configuration, 2, setting.search_seed)
    grey = keras().Input(network.input.shape[1:])
    model = keras().Model(grey, tail(trunk(grey, training=False)))
    loss = keras().losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras().optimizers.Adam(float(configuration["lr"])), loss)
    pixels = setting.source.pixels[inputs.image_size]
    images = np.stack([pixels.of(digest) for digest in setting.source.digests["train"]])[..., None].astype(np.float32)
    labels, found = setting.lists["train"].labels[:, None].astype(np.float32), []
    for epoch in range(setting.epochs):
        order = generator_of("order", setting.search_seed, epoch).permutation(len(images))
        fitted = model.fit(images[order], labels[order], int(configuration["batch_size"]), shuffle=False, verbose=0)
        found += fitted.history["loss"]
    return found, tail.get_weights()


SOLO = [(each.name, "all") for each in ARCHITECTURES]
SOLO += [("efficientnet_lite0", "below_last_block"), ("densenet121", "below_last_block")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cut"), SOLO)
def test_a_solo_trial_on_cached_features_is_keras_own_fit_of_the_whole_network_from_pixels(
    cached: Setting, name: str, cut: str
) -> None:
    setting = replace(cached, epochs=5)
    architecture = architecture_named(name)
    images = len(setting.lists["train"].labels)
    assert images % int(PLAIN["batch_size"])  # the last batch is a short one
    # Adam steps by the learning rate however small a gradient: that of a tail's many weights is the smaller.
    rate = 1e-3 if cut == "all" else 2e-4
    inputs = setting.source.inputs(architecture, configuration_of(architecture, cut, lr=rate))
    (losses, weights), (keras_losses, keras_weights) = ours(setting, inputs), by_keras(setting, inputs)
    if cut == "all":
        assert (
            run_trial(setting, Task(inputs.configuration, setting.epochs), lambda epoch, metrics: None).result.history[
                "loss"
            ]
            == losses
        )
    np.testing.assert_allclose(losses, keras_losses, rtol=1e-3, atol=1e-3)
    for array, theirs in zip(weights, keras_weights, strict=True):
        np.testing.assert_allclose(array, theirs, rtol=0, atol=1e-3)
