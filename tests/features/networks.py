"""Networks whose features betray a wrong fold or pad: random statistics and biases, least sizes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.forward import BATCH, PIECE, Forward, onnx_forward
from features.onnx_graph import to_onnx
from features.records import FrozenNetwork
from plumbing.seeds import generator_of
from spaces import architecture_named
from spaces.architecture import Architecture
from spaces.tensorflow_runtime import keras
from spaces.weights import RANDOM, build_backbone, network_digest

SHAPE = {"blocks": 2, "filters_1": 16, "filters_2": 32}


def enliven(network: Any) -> Any:
    """Give every normalization statistics near what it sees, and random scales and biases.

    A fresh network has means of zero and variances of one, under which deep features hardly differ from image to
    image: a wrong fold or pad would not show.
    """
    generator = generator_of("lively")
    normalizations = [layer for layer in network.layers if type(layer).__name__ == "BatchNormalization"]
    network.trainable = True
    for layer in normalizations:
        layer.momentum = 0.0
    network(grey_images(network.input.shape[1], 16), training=True)
    network.trainable = False
    for layer in network.layers:
        arrays = []
        for variable in layer.weights:
            array = np.asarray(variable)
            if variable.name in ("gamma", "moving_variance"):
                array = (array + 1e-3) * generator.uniform(0.7, 1.3, array.shape)
            elif variable.name in ("beta", "moving_mean", "bias"):
                array = array + generator.normal(0, 0.1, array.shape)
            arrays.append(array.astype(np.float32))
        if arrays:
            layer.set_weights(arrays)
    return network


def small(build: Callable[[Any, Any], Any], size: int = 13) -> Any:
    """The network that `build(keras.layers, grey)` puts out."""
    grey = keras().Input((size, size, 1))
    return enliven(keras().Model(grey, build(keras().layers, grey)))


def grey_images(size: int, count: int = BATCH) -> NDArray[np.float32]:
    """(count, size, size, 1) float32 from 1 to 255, no border zero as padding is, each of another pattern."""
    generator = generator_of("grey", size)
    coarse = generator.integers(0, 128, (count, 4, 4, 1)).repeat(-(-size // 4), 1).repeat(-(-size // 4), 2)
    return (coarse[:, :size, :size] + generator.integers(1, 128, (count, size, size, 1))).astype(np.float32)


def plain_keras(network: Any, layer_of: Mapping[str, str], grey: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Keras' own forward pass of any number of images, nothing compiled."""
    outputs = {cut: network.get_layer(layer).output for cut, layer in layer_of.items()}
    found = keras().Model(network.input, outputs)(grey, training=False)
    return {cut: np.asarray(features) for cut, features in found.items()}


def frozen_layers(architecture: Architecture) -> dict[str, str]:
    """Cut -> its last frozen layer, for the cuts that freeze something."""
    return {cut.name: cut.after for cut in architecture.cuts if cut.after is not None}


@cache
def lively(name: str) -> Any:
    """The architecture at its least size."""
    architecture = architecture_named(name)
    return enliven(build_backbone(architecture, architecture.least_size, RANDOM, SHAPE))


@dataclass(frozen=True)
class Lively:
    """A lively network as the cache knows it, run by ONNX Runtime."""

    model: bytes
    forward: Forward
    known: FrozenNetwork


@cache
def lively_onnx(name: str) -> Lively:
    network, layers = lively(name), frozen_layers(architecture_named(name))
    model = to_onnx(network, list(layers.values()), PIECE)
    shapes = {cut: tuple(network.get_layer(layer).output.shape[1:]) for cut, layer in layers.items()}
    known = FrozenNetwork(name, network_digest(network), shapes, layers, "onnxruntime", 0.001)
    return Lively(model, onnx_forward(model, layers), known)
