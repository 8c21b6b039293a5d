"""A whole Keras model cut in two at its last map: grey to the map, and the map to the logits.

The last map is the last tensor (batch, height, width, channels) that all of the image's information passes through,
lies behind a convolution, and has more than one pixel: what comes before pooling or flattening. Networks are nested
(a trunk and a tail, a user's model in a whole one), so the cut is looked for in the innermost model that holds it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from plumbing.errors import ModelError

CONVOLUTIONS = ("Conv2D", "SeparableConv2D", "DepthwiseConv2D", "Conv2DTranspose")


@dataclass(frozen=True)
class Halves:
    """Models and layers to be called one after the other.

    Attributes:
        front: (batch, size, size, 1) grey in 0..255 to the map (batch, height, width, channels).
        back: the map to (batch, outputs): logits where the model ends in a sigmoid or softmax, else what it puts out.
    """

    front: tuple[Any, ...]
    back: tuple[Any, ...]


def halves(network: Any, name: str) -> Halves:
    """The network cut at its last map; it is left as it is, the halves share its weights.

    Args:
        name: of the model, for the error.
    Raises: ModelError where it has no such map.
    """
    found = _halves(network)
    if found is None or not any(_has_convolution(each) for each in found.front):
        raise ModelError(
            f"model {name} has no convolutional map that all of the image passes through, so no Grad-CAM; "
            "leave --gradcam out, or take another model"
        )
    return Halves(found.front, (*found.back[:-1], *_to_logits(found.back[-1])))


def _halves(model: Any) -> Halves | None:
    """The model cut at its last map, its own input being none."""
    for tensor in reversed(_bottlenecks(model)[1:]):
        layer, before = _producer(tensor)
        after = _between(tensor, model.outputs[0])
        if _is_model(layer) and len(before) == 1 and (inner := _halves(layer)) is not None:
            return Halves((*_between(model.inputs[0], before[0]), *inner.front), (*inner.back, *after))
        if _is_map(tensor):
            return Halves(_between(model.inputs[0], tensor), after)
    return None


def _bottlenecks(model: Any) -> list[Any]:
    """The tensors that every way from the model's input to its output passes through, in their order.

    A tensor is one where nothing that comes after it takes anything that comes before it.
    """
    order = _in_order(model)
    place = {id(tensor): number for number, tensor in enumerate(order)}
    found, earliest = [], len(order)
    for number in range(len(order) - 1, -1, -1):
        if earliest >= number:
            found.append(order[number])
        earliest = min([earliest, *(place[id(each)] for each in _taken(model, order[number]))])
    return found[::-1]


def _in_order(model: Any) -> list[Any]:
    """The tensors that the model's output depends on, each after those that it is made of."""
    order: list[Any] = []
    known: set[int] = set()
    waiting = [(model.outputs[0], False)]
    while waiting:  # no recursion: networks are deeper than Python's stack
        tensor, is_ready = waiting.pop()
        if is_ready:
            order.append(tensor)
        elif id(tensor) not in known:
            known.add(id(tensor))
            waiting.append((tensor, True))
            waiting += [(each, False) for each in _taken(model, tensor)]
    return order


def _taken(model: Any, tensor: Any) -> Sequence[Any]:
    """The tensors of the model that one is made of; none for its input."""
    return () if tensor is model.inputs[0] else _producer(tensor)[1]


def _producer(tensor: Any) -> tuple[Any, Sequence[Any]]:
    """The layer that makes a tensor, and what it is made of.

    Keras tells it in private attributes only: a layer's `input` is a nested model's own, and fails for shared layers.
    """
    history = tensor._keras_history
    return history.operation, history.operation._inbound_nodes[history.node_index].input_tensors


def _between(first: Any, last: Any) -> tuple[Any, ...]:
    """The model from one tensor to another; none where they are the same."""
    from spaces.tensorflow_runtime import keras

    return () if first is last else (keras().Model(first, last),)


def _is_model(layer: Any) -> bool:
    """Whether it is a nested model whose layers can be seen, with one input and one output."""
    from spaces.tensorflow_runtime import keras

    seen = isinstance(layer, keras().Sequential) or type(layer).__name__ == "Functional"
    return seen and len(layer.inputs) == len(layer.outputs) == 1


def _is_map(tensor: Any) -> bool:
    return len(tensor.shape) == 4 and any(side != 1 for side in tensor.shape[1:3])


def _has_convolution(layer: Any) -> bool:
    from spaces.tensorflow_runtime import keras

    kinds = tuple(getattr(keras().layers, kind) for kind in CONVOLUTIONS)
    return isinstance(layer, kinds) or any(_has_convolution(each) for each in getattr(layer, "layers", ()))


def _to_logits(model: Any) -> Iterator[Any]:
    """The model without the sigmoid or softmax at its end, which would hide what a sure model sees."""
    layer, before = _producer(model.outputs[0])
    activation = getattr(getattr(layer, "activation", None), "__name__", type(layer).__name__.lower())
    if _is_model(layer):
        yield from _between(model.inputs[0], before[0])
        yield from _to_logits(layer)
    elif activation not in ("sigmoid", "softmax"):
        yield model
    else:
        yield from _between(model.inputs[0], before[0])
        if hasattr(layer, "kernel"):
            yield _linear(layer, before[0].shape)


def _linear(layer: Any, shape: Sequence[int | None]) -> Any:
    """A copy of a layer with weights, without its activation."""
    copy = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    copy.build(shape)
    copy.set_weights(layer.get_weights())
    return copy
