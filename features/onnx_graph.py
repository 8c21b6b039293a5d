"""A frozen Keras network as an ONNX graph, with two exact rewrites that save work.

- A grey image repeated thrice, scaled and shifted by channel, and convolved, is one convolution of two channels: the
  image and a plane of ones that carries the shifts. The plane, not a bias, because zeros are padded after the shift.
- A 1 x 1 convolution and the average pool after it commute, both being linear: pooled first, it has a quarter of the
  work (DenseNet's transitions).

What is exact on paper differs in the last bits, so whoever runs the graph checks it against Keras.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from features.onnx_layers import (
    NO_PADS,
    TRANSLATIONS,
    Nodes,
    Pads,
    UnknownLayer,
    activate,
    average_pool,
    convolve,
    explicit_pads,
    pads_of,
)
from spaces.network import layer_inputs

OPSET, IR_VERSION = 17, 9
INPUT = "grey"


def to_onnx(network: Any, layers: Sequence[str], batch: int) -> bytes:
    """The network as an ONNX model whose outputs are the named layers'.

    Args:
        network: a Keras functional model of (batch, size, size, 1) grey, each layer of it used once.
        layers: names of layers; the outputs bear these names, maps laid out as in Keras.
        batch: the fixed number of images of the input `grey`, (batch, 1, size, size) float32.
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
    whole = helper.make_graph(graph.nodes.nodes, "frozen", [source], outputs, graph.nodes.constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


class _Graph:
    """The walk over a network's layers; `values` maps the id of a Keras tensor to the name of its value."""

    def __init__(self, network: Any, wanted: Sequence[str], batch: int) -> None:
        self.nodes = Nodes()
        self.values: dict[int, str] = {}
        self.size, self.batch = int(network.input.shape[1]), batch
        self.consumers: dict[int, list[Any]] = defaultdict(list)
        # Tensors that are grey under a scale and a shift by channel, and the zeros padded around since.
        self.affine: dict[int, tuple[np.ndarray, np.ndarray, Pads]] = {}
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
        if output in self.values or self._is_part_of_grey_start(layer):
            return
        sources = layer_inputs(layer)
        if kind == "Conv2D" and id(sources[0]) in self.affine:
            self.values[output] = self._grey_convolution(layer)
        elif kind == "Conv2D" and (pool := self._commuting_pool(layer)) is not None:
            pooled = average_pool(self.nodes, pool, self.values[id(sources[0])])
            self.values[id(pool.output)] = TRANSLATIONS[kind](self.nodes, layer, [pooled])
        elif kind in TRANSLATIONS:
            self.values[output] = TRANSLATIONS[kind](self.nodes, layer, [self.values[id(each)] for each in sources])
        else:
            raise UnknownLayer(f"{kind} ({layer.name})")

    def _is_part_of_grey_start(self, layer: Any) -> bool:
        """Note a layer between grey and the first convolution that the convolution takes over."""
        kind, sources, output = type(layer).__name__, layer_inputs(layer), layer.output
        followers = {type(each).__name__ for each in self.consumers[id(output)]}
        if not followers <= {"Rescaling", "ZeroPadding2D", "Conv2D"}:
            return False
        if kind == "Concatenate" and len(sources) == 3 and all(self.values.get(id(each)) == INPUT for each in sources):
            self.affine[id(output)] = np.ones(3), np.zeros(3), NO_PADS
            return True
        if id(sources[0]) not in self.affine:
            return False
        scale, shift, pads = self.affine[id(sources[0])]
        if kind == "Rescaling" and pads == NO_PADS:
            self.affine[id(output)] = scale * layer.scale, shift * layer.scale + layer.offset, NO_PADS
            return True
        if kind == "ZeroPadding2D":
            above, left, below, right = explicit_pads(layer)
            self.affine[id(output)] = scale, shift, (pads[0] + above, pads[1] + left, pads[2] + below, pads[3] + right)
            return True
        return False

    def _grey_convolution(self, layer: Any) -> str:
        scale, shift, padded = self.affine[id(layer.input)]
        kernel, *bias = [np.asarray(array, np.float64) for array in layer.weights]
        folded = np.stack([np.einsum("hwco,c->hwo", kernel, each) for each in (scale, shift)], axis=2)
        ones = self.nodes.constant(np.ones((self.batch, 1, self.size, self.size)))
        planes = self.nodes.add("Concat", [INPUT, ones], axis=1)
        above, left, below, right = pads_of(layer, layer.kernel_size)
        pads = (padded[0] + above, padded[1] + left, padded[2] + below, padded[3] + right)
        flow = convolve(self.nodes, planes, folded, bias[0] if bias else None, pads, layer.strides)
        return activate(self.nodes, layer, flow)

    def _commuting_pool(self, layer: Any) -> Any | None:
        """The unpadded average pool that alone follows a linear 1 x 1 convolution, None where there is none."""
        following = self.consumers[id(layer.output)]
        if len(following) != 1 or type(following[0]).__name__ != "AveragePooling2D" or following[0].padding != "valid":
            return None
        plain = tuple(layer.kernel_size) == tuple(layer.strides) == (1, 1) and layer.activation.__name__ == "linear"
        return following[0] if plain else None
