"""A backbone cut in two, with a head on it: the frozen trunk, the trained tail, and the whole model that predicts.

grey -> [trunk, frozen] -> features at the cut -> [tail: the rest of the backbone, and the head] -> logits
"""

from typing import Any

import numpy as np

from plumbing.seeds import seed_of
from spaces.architecture import Cut
from spaces.declaration import Configuration

Weights = list[np.ndarray]


def make_trunk(backbone: Any, cut: Cut) -> Any | None:
    """The layers up to the cut as a model, grey to features; None where nothing is frozen."""
    from spaces.tensorflow_runtime import keras

    if cut.after is None:
        return None
    trunk = keras().Model(backbone.input, backbone.get_layer(cut.after).output, name="trunk")
    trunk.trainable = False
    return trunk


def make_tail(backbone: Any, cut: Cut, configuration: Configuration, classes: int, seed: int) -> Any:
    """What is trained: (batch, features at the cut) to (batch, 1) or (batch, 14) logits.

    Its layers are copies that start from the backbone's weights, so a trial never changes another's backbone.

    Args:
        classes: 2 gives one logit, of "abnormal".
        seed: of the head's initial weights and dropout; trials that share it share the draws.
    """
    from spaces.tensorflow_runtime import keras

    start = backbone.input if cut.after is None else backbone.get_layer(cut.after).output
    features = keras().Input(start.shape[1:], name="features")
    flow = features
    if start is not backbone.output:
        rest = keras().Model(start, backbone.output)
        copy = keras().models.clone_model(rest)
        copy.set_weights(rest.get_weights())
        for layer in copy.layers:  # `copy.trainable = True` alone leaves them as frozen as the backbone's
            layer.trainable = True
        flow = copy(features)
    logits = _head(flow, configuration, classes, seed)
    return keras().Model(features, logits, name="tail")


def _head(flow: Any, configuration: Configuration, classes: int, seed: int) -> Any:
    """Dropout, hidden units with dropout where there are any, and the output layer."""
    from spaces.tensorflow_runtime import keras

    layers, initializers = keras().layers, keras().initializers
    dropout, units = float(configuration["conv_dropout"]), int(configuration["units"])
    flow = layers.Dropout(dropout, seed=seed_of(seed, "dropout"), name="head_dropout")(flow)
    if units:
        start = initializers.GlorotUniform(seed_of(seed, "hidden"))
        flow = layers.Dense(units, "relu", kernel_initializer=start, name="head_hidden")(flow)
        flow = layers.Dropout(dropout, seed=seed_of(seed, "hidden dropout"), name="head_hidden_dropout")(flow)
    start = initializers.GlorotUniform(seed_of(seed, "output"))
    return layers.Dense(1 if classes == 2 else classes, kernel_initializer=start, name="logits")(flow)


def whole_model(backbone: Any, cut: Cut, tail: Any, classes: int) -> Any:
    """Grey pixels (batch, size, size, 1) in 0..255 to probabilities: (batch, 1) P(abnormal), or (batch, 14).

    Plain Keras layers only, so that it loads in safe mode without our code.
    """
    from spaces.tensorflow_runtime import keras

    trunk = make_trunk(backbone, cut)
    grey = keras().Input(backbone.input.shape[1:], name="grey")
    logits = tail(grey if trunk is None else trunk(grey, training=False))
    probability = keras().layers.Activation("sigmoid" if classes == 2 else "softmax", name="probability")(logits)
    return keras().Model(grey, probability)
