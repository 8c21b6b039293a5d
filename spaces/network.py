"""A backbone cut in two, with a head on it: the frozen trunk, the trained tail, and the whole model that predicts.

grey -> [trunk, frozen] -> features at the cut -> [tail: the rest of the backbone, and the head] -> logits
"""

from typing import Any

import numpy as np

from plumbing.seeds import generator_of
from spaces.architecture import Architecture, Cut
from spaces.declaration import Configuration

Weights = list[np.ndarray]


def layer_inputs(layer: Any) -> list[Any]:
    """The tensors that a layer, used once, takes; none for an input layer."""
    if type(layer).__name__ == "InputLayer":
        return []
    return list(layer.input) if isinstance(layer.input, list | tuple) else [layer.input]


def make_trunk(backbone: Any, cut: Cut) -> Any | None:
    """The layers up to the cut as a model, grey to features; None where nothing is frozen."""
    from spaces.tensorflow_runtime import keras

    if cut.after is None:
        return None
    trunk = keras().Model(backbone.input, backbone.get_layer(cut.after).output, name="trunk")
    trunk.trainable = False
    return trunk


def make_rest(backbone: Any, cut: Cut) -> Any:
    """The backbone's layers after the cut, as a copy that is trained: features at the cut to pooled features.

    It starts from the backbone's weights, which training it leaves alone. None where nothing lies after the cut.
    """
    from spaces.tensorflow_runtime import keras

    start = backbone.input if cut.after is None else backbone.get_layer(cut.after).output
    if start is backbone.output:
        return None
    rest = keras().Model(start, backbone.output)
    copy = keras().models.clone_model(rest)
    copy.set_weights(rest.get_weights())
    for layer in copy.layers:  # `copy.trainable = True` alone leaves them as frozen as the backbone's
        layer.trainable = True
    return copy


def make_tail(backbone: Any, cut: Cut, configuration: Configuration, classes: int) -> Any:
    """What is trained, as a Keras model: (batch, features at the cut) to (batch, 1) or (batch, 14) logits.

    The rest of the backbone where there is one, dropout, hidden units with dropout where there are any, and the output
    layer. Its weights are the rest's, then the head's as `initial_head` orders them, without empty arrays.

    Args:
        classes: 2 gives one logit, of "abnormal".
    """
    from spaces.tensorflow_runtime import keras

    layers = keras().layers
    rest = make_rest(backbone, cut)
    start = backbone.input if cut.after is None else backbone.get_layer(cut.after).output
    features = keras().Input(start.shape[1:], name="features")
    flow = features if rest is None else rest(features)
    dropout, units = float(configuration["conv_dropout"]), int(configuration["units"])
    flow = layers.Dropout(dropout, name="head_dropout")(flow)
    if units:
        flow = layers.Dense(units, "relu", name="head_hidden")(flow)
        flow = layers.Dropout(dropout, name="head_hidden_dropout")(flow)
    logits = layers.Dense(outputs_of(classes), name="logits")(flow)
    return keras().Model(features, logits, name="tail")


def outputs_of(classes: int) -> int:
    """How many logits tell so many classes apart: one for two."""
    return 1 if classes == 2 else classes


def numbers_in(architecture: Architecture, image_size: int, configuration: Configuration, classes: int) -> int:
    """How many numbers the arrays of the whole model hold, head included, as Keras' `count_params` counts them."""
    numbers, features = architecture.size(image_size, configuration)
    units, outputs = int(configuration["units"]), outputs_of(classes)
    hidden = (features + 1) * units
    return numbers + hidden + ((units or features) + 1) * outputs


def probability_of(classes: int) -> str:
    """The activation that makes probabilities of logits."""
    return "sigmoid" if classes == 2 else "softmax"


def initial_head(features: int, units: int, classes: int, seed: int) -> Weights:
    """A head's weights before training: hidden kernel (features, units), hidden bias, kernel, bias, all float32.

    Kernels are uniform within sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010), biases zero, as Keras' Dense
    starts. Without units the first two are empty.
    """
    generator = generator_of("head", seed)
    width, outputs = units or features, outputs_of(classes)

    def kernel(rows: int, columns: int) -> np.ndarray:
        limit = np.sqrt(6 / (rows + columns))
        return generator.uniform(-limit, limit, (rows, columns)).astype(np.float32)

    hidden = kernel(features, units)
    return [hidden, np.zeros(units, np.float32), kernel(width, outputs), np.zeros(outputs, np.float32)]


def whole_model(backbone: Any, cut: Cut, tail: Any, classes: int) -> Any:
    """Grey pixels (batch, size, size, 1) in 0..255 to probabilities: (batch, 1) P(abnormal), or (batch, 14).

    Plain Keras layers only, so that it loads in safe mode without our code.
    """
    from spaces.tensorflow_runtime import keras

    trunk = make_trunk(backbone, cut)
    grey = keras().Input(backbone.input.shape[1:], name="grey")
    logits = tail(grey if trunk is None else trunk(grey, training=False))
    probability = keras().layers.Activation(probability_of(classes), name="probability")(logits)
    return keras().Model(grey, probability)
