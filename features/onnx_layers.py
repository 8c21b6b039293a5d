"""Keras layers as ONNX nodes: one small function a kind of layer, on maps laid out (batch, channels, height, width)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Pads = tuple[int, int, int, int]  # above, left, below, right
NO_PADS: Pads = (0, 0, 0, 0)


class UnknownLayer(Exception):
    """A layer that is not translated; the message names it."""


class Nodes:
    """Nodes and constants as they are written, one after another."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """A node; the name of its output."""
        output = output or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def needed(self, outputs: Sequence[str]) -> tuple[list[NodeProto], list[TensorProto]]:
        """The nodes and constants that the outputs need, in order; a rewrite leaves others behind."""
        wanted, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if wanted & set(node.output):
                nodes.append(node)
                wanted |= set(node.input)
        return nodes[::-1], [each for each in self.constants if each.name in wanted]

    def constant(self, array: Any, dtype: type[np.generic] = np.float32) -> str:
        """A constant; its name."""
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype), name))
        return name


ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid"}
Translate = Callable[[Nodes, Any, list[str]], str]


def same_pads(shape: Sequence[int], window: Sequence[int], strides: Sequence[int]) -> Pads:
    """TensorFlow's `same` padding of a map (batch, height, width, channels): the odd pixel goes below and right."""
    whole = [
        max((-(-size // stride) - 1) * stride + extent - size, 0)
        for size, extent, stride in zip(shape[1:3], window, strides, strict=True)
    ]
    above, left = whole[0] // 2, whole[1] // 2
    return above, left, whole[0] - above, whole[1] - left


def pads_of(layer: Any, window: Sequence[int]) -> Pads:
    """What a convolution or pool adds around its input."""
    return NO_PADS if layer.padding == "valid" else same_pads(layer.input.shape, window, layer.strides)


def added(one: Pads, other: Pads) -> Pads:
    """Both pads together."""
    above, left, below, right = (a + b for a, b in zip(one, other, strict=True))
    return above, left, below, right


def explicit_pads(layer: Any) -> Pads:
    """The pads of a ZeroPadding2D."""
    (above, below), (left, right) = layer.padding
    return above, left, below, right


def convolve(
    nodes: Nodes,
    source: str,
    kernel: NDArray[Any],
    bias: NDArray[Any] | None,
    pads: Pads,
    strides: Sequence[int],
    groups: int = 1,
) -> str:
    """A convolution with a kernel laid out as Keras does: (height, width, inputs, outputs)."""
    inputs = [source, nodes.constant(kernel.transpose(3, 2, 0, 1))]
    if bias is not None:
        inputs.append(nodes.constant(bias))
    return nodes.add(
        "Conv", inputs, kernel_shape=kernel.shape[:2], pads=pads, strides=list(strides), group=groups
    )  # fmt: skip


def activate(nodes: Nodes, layer: Any, source: str) -> str:
    """The layer's activation: linear, ReLU, sigmoid, or of (batch, features) softmax."""
    kind = layer.activation.__name__
    if kind == "linear":
        return source
    if kind == "softmax" and len(_first_input(layer).shape) == 2:
        return nodes.add("Softmax", [source], axis=1)
    if kind not in ACTIVATIONS:
        raise UnknownLayer(f"activation {kind} of {layer.name}")
    return nodes.add(ACTIVATIONS[kind], [source])


def convolution(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """A plain convolution with its activation."""
    check_plain(layer)
    kernel, *bias = [np.asarray(array) for array in layer.weights]
    pads = pads_of(layer, layer.kernel_size)
    return activate(
        nodes, layer, convolve(nodes, sources[0], kernel, bias[0] if bias else None, pads, layer.strides)
    )  # fmt: skip


def depthwise(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """One filter set a channel."""
    check_plain(layer)
    kernel, *bias = [np.asarray(array) for array in layer.weights]
    flow = _by_channel(nodes, layer, sources[0], kernel, bias[0] if bias else None)
    return activate(nodes, layer, flow)


def separable(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """A depthwise convolution, then one of 1 x 1."""
    check_plain(layer)
    by_channel, pointwise, *bias = [np.asarray(array) for array in layer.weights]
    flow = _by_channel(nodes, layer, sources[0], by_channel, None)
    flow = convolve(nodes, flow, pointwise, bias[0] if bias else None, NO_PADS, (1, 1))
    return activate(nodes, layer, flow)


def _by_channel(nodes: Nodes, layer: Any, source: str, kernel: NDArray[Any], bias: NDArray[Any] | None) -> str:
    channels = kernel.shape[2]
    pads = pads_of(layer, layer.kernel_size)
    grouped = kernel.reshape(*kernel.shape[:2], 1, -1)
    return convolve(nodes, source, grouped, bias, pads, layer.strides, channels)


def check_plain(layer: Any) -> None:
    """Raises: UnknownLayer where a convolution is dilated, in groups or laid out otherwise."""
    if tuple(layer.dilation_rate) != (1, 1) or getattr(layer, "groups", 1) != 1 or layer.data_format != "channels_last":
        raise UnknownLayer(f"dilation, groups or layout of {layer.name}")


def normalization(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """Batch normalization with its moving statistics."""
    _check_axis(layer)
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    gamma = np.asarray(layer.gamma) if layer.scale else np.ones_like(mean)
    beta = np.asarray(layer.beta) if layer.center else np.zeros_like(mean)
    constants = [nodes.constant(each) for each in (gamma, beta, mean, variance)]
    return nodes.add("BatchNormalization", [sources[0], *constants], epsilon=layer.epsilon)


def concatenation(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """Maps side by side, by channel."""
    _check_axis(layer)
    return nodes.add("Concat", sources, axis=1)


def addition(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """The sum of two maps or more."""
    return nodes.add("Add" if len(sources) == 2 else "Sum", sources)


def global_average(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """The mean of each channel: (batch, channels)."""
    if layer.keepdims:
        raise UnknownLayer(f"keepdims of {layer.name}")
    return nodes.add("Flatten", [nodes.add("GlobalAveragePool", sources)])


def _check_axis(layer: Any) -> None:
    if layer.axis not in (-1, 3) or len(_first_input(layer).shape) != 4:
        raise UnknownLayer(f"axis of {layer.name}")


def _first_input(layer: Any) -> Any:
    return layer.input[0] if isinstance(layer.input, list | tuple) else layer.input


def rescaling(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """x times scale plus offset, by channel."""
    scaled = nodes.add("Mul", [sources[0], nodes.constant(np.reshape(layer.scale, (1, -1, 1, 1)))])
    return nodes.add("Add", [scaled, nodes.constant(np.reshape(layer.offset, (1, -1, 1, 1)))])


def relu(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """ReLU, with or without a greatest value."""
    if layer.negative_slope or layer.threshold:
        raise UnknownLayer(f"slope or threshold of {layer.name}")
    if layer.max_value is None:
        return nodes.add("Relu", sources)
    return nodes.add("Clip", [sources[0], nodes.constant(0.0), nodes.constant(layer.max_value)])


def zero_padding(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """Zeros around the map."""
    above, left, below, right = explicit_pads(layer)
    return nodes.add("Pad", [sources[0], nodes.constant([0, 0, above, left, 0, 0, below, right], np.int64)])


def max_pool(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """Max pooling."""
    return _pool(nodes, "MaxPool", layer, sources[0])


def average_pool(nodes: Nodes, layer: Any, source: str) -> str:
    """Average pooling, padding not counted."""
    return _pool(nodes, "AveragePool", layer, source)


def _pool(nodes: Nodes, kind: str, layer: Any, source: str) -> str:
    pads = pads_of(layer, layer.pool_size)
    return nodes.add(kind, [source], kernel_shape=list(layer.pool_size), pads=pads, strides=list(layer.strides))


def flatten(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """(batch, height x width x channels), in Keras' order."""
    if len(layer.input.shape) != 4:
        raise UnknownLayer(f"input of {layer.name}")
    return nodes.add("Flatten", [nodes.add("Transpose", sources, perm=[0, 2, 3, 1])])


def dense(nodes: Nodes, layer: Any, sources: list[str]) -> str:
    """A matrix product of (batch, features), with its activation."""
    if len(layer.input.shape) != 2:
        raise UnknownLayer(f"input of {layer.name}")
    kernel, *bias = [nodes.constant(np.asarray(array)) for array in layer.weights]
    return activate(nodes, layer, nodes.add("Gemm", [sources[0], kernel, *bias]))


TRANSLATIONS: dict[str, Translate] = {
    "Activation": lambda nodes, layer, sources: activate(nodes, layer, sources[0]),
    "Add": addition,
    "AveragePooling2D": lambda nodes, layer, sources: average_pool(nodes, layer, sources[0]),
    "BatchNormalization": normalization,
    "Concatenate": concatenation,
    "Conv2D": convolution,
    "Dense": dense,
    "DepthwiseConv2D": depthwise,
    "Dropout": lambda nodes, layer, sources: sources[0],  # it drops nothing outside of training
    "Flatten": flatten,
    "GlobalAveragePooling2D": global_average,
    "MaxPooling2D": max_pool,
    "ReLU": relu,
    "Rescaling": rescaling,
    "SeparableConv2D": separable,
    "ZeroPadding2D": zero_padding,
}
