"""A frozen Keras network as an ONNX graph, with two exact rewrites that save work.

- A grey image repeated thrice, scaled and shifted by channel, and convolved, is one convolution of two channels: the
  image and a plane of ones that carries the shifts. The plane, not a bias, because zeros are padded after the shift.
- A 1 x 1 convolution and the average pool after it commute, both being linear: pooled first, it has a quarter of the
  work (DenseNet's transitions).

What is exact on paper differs in the last bits, so whoever runs the graph checks it against Keras.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from features.onnx_layers import (
    NO_PADS,
    TRANSLATIONS,
    Nodes,
    Pads,
    UnknownLayer,
    activate,
    added,
    average_pool,
    check_plain,
    convolve,
    explicit_pads,
    pads_of,
)
from spaces.network import layer_inputs

OPSET, IR_VERSION = 17, 9
INPUT = "grey"


@dataclass(frozen=True)
class GreyStart:
    """Grey times three scales plus three shifts, with zeros padded around since."""

    scale: NDArray[Any]
    shift: NDArray[Any]
    pads: Pads


def to_onnx(network: Any, layers: Sequence[str], batch: int | None) -> bytes:
    """The network as an ONNX model whose outputs are the named layers'.

    Args:
        network: a Keras functional model of (batch, size, size, 1) grey, each layer of it used once.
        layers: names of layers; the outputs bear these names, maps laid out as in Keras.
        batch: the fixed number of images of the input `grey`, (batch, 1, size, size) float32; None for any number.
    Raises: UnknownLayer where a layer is none of those that are translated.
    """
    size = network.input.shape[1]
    graph = _Graph(network, layers, batch)
    outputs = []
    for name in layers:
        tensor = network.get_layer(name).output
        value, shape = graph.values[id(tensor)], (batch, *tensor.shape[1:])
        if len(shape) == 4:
            graph.nodes.add("Transpose", [value], name, perm=[0, 2, 3, 1])
        else:
            graph.nodes.add("Identity", [value], name)
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    source = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, (batch, 1, size, size))
    nodes, constants = graph.nodes.needed(layers)
    whole = helper.make_graph(nodes, "frozen", [source], outputs, constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


class _Graph:
    """The walk over a network's layers; `values` maps the id of a Keras tensor to the name of its value."""

    def __init__(self, network: Any, wanted: Sequence[str], batch: int | None) -> None:
        self.nodes = Nodes()
        self.values: dict[int, str] = {}
        self.size, self.batch = int(network.input.shape[1]), batch
        self.makers = {id(layer.output): layer for layer in network.layers}
        self.consumers: dict[int, list[Any]] = defaultdict(list)
        for layer in network.layers:
            for tensor in layer_inputs(layer):
                self.consumers[id(tensor)].append(layer)
        for name in wanted:  # whoever runs the graph consumes it too, so no rewrite swallows it
            self.consumers[id(network.get_layer(name).output)].append(None)
        for layer in network.layers:
            self._translate(layer)

    def _translate(self, layer: Any) -> None:
        kind, output = type(layer).__name__, id(layer.output)
        if kind == "InputLayer":
            self.values[output] = INPUT
            return
        if output in self.values:  # a pool that was taken before its convolution
            return
        sources = [self.values[id(tensor)] for tensor in layer_inputs(layer)]
        if kind == "Conv2D" and (start := self._grey_start(layer.input)) is not None:
            self.values[output] = self._grey_convolution(layer, start)
        elif kind == "Conv2D" and (pool := self._commuting_pool(layer)) is not None:
            pooled = average_pool(self.nodes, pool, sources[0])
            self.values[id(pool.output)] = TRANSLATIONS[kind](self.nodes, layer, [pooled])
        elif kind in TRANSLATIONS:
            self.values[output] = TRANSLATIONS[kind](self.nodes, layer, sources)
        else:
            raise UnknownLayer(f"{kind} ({layer.name})")

    def _grey_start(self, tensor: Any) -> GreyStart | None:
        """How a tensor is made of grey: thrice, under a scale and a shift, perhaps padded; None where it is not."""
        layer = self.makers[id(tensor)]
        kind, sources = type(layer).__name__, layer_inputs(layer)
        if kind == "Concatenate" and len(sources) == 3 and all(self.values[id(each)] == INPUT for each in sources):
            return GreyStart(np.ones(3), np.zeros(3), NO_PADS)
        if kind not in ("Rescaling", "ZeroPadding2D") or (start := self._grey_start(sources[0])) is None:
            return None
        if kind == "ZeroPadding2D":
            return replace(start, pads=added(start.pads, explicit_pads(layer)))
        if start.pads != NO_PADS:  # zeros that were padded before a shift are no zeros after it
            return None
        return GreyStart(start.scale * layer.scale, start.shift * layer.scale + layer.offset, NO_PADS)

    def _grey_convolution(self, layer: Any, start: GreyStart) -> str:
        check_plain(layer)
        kernel, *bias = [np.asarray(array, np.float64) for array in layer.weights]
        folded = np.stack([np.einsum("hwco,c->hwo", kernel, each) for each in (start.scale, start.shift)], axis=2)
        planes = self.nodes.add("Concat", [INPUT, self._ones()], axis=1)
        pads = added(start.pads, pads_of(layer, layer.kernel_size))
        flow = convolve(self.nodes, planes, folded, bias[0] if bias else None, pads, layer.strides)
        return activate(self.nodes, layer, flow)

    def _ones(self) -> str:
        if self.batch is not None:
            return self.nodes.constant(np.ones((self.batch, 1, self.size, self.size)))
        shape = self.nodes.add("Shape", [INPUT])
        return self.nodes.add(
            "ConstantOfShape", [shape], value=helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
        )

    def _commuting_pool(self, layer: Any) -> Any | None:
        """The unpadded average pool that alone follows a linear 1 x 1 convolution, None where there is none."""
        following = self.consumers[id(layer.output)]
        if len(following) != 1 or type(following[0]).__name__ != "AveragePooling2D" or following[0].padding != "valid":
            return None
        plain = tuple(layer.kernel_size) == tuple(layer.strides) == (1, 1) and layer.activation.__name__ == "linear"
        return following[0] if plain else None
