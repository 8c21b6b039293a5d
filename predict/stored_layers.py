"""The layers of a `.keras` file, read without Keras: what `features.onnx_graph` needs of a network.

A file holds settings (config.json, each layer's inputs with their shapes) and arrays (model.weights.h5, by class and
place: `layers/functional_1/layers/dense/vars/0`). Nested models are laid flat: a layer of a nested model takes what was
given to the model. Only plain Keras layers, each used once, in float32; others are named and refused.
"""

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from features.onnx_layers import UnknownLayer

OUTPUT = "probability"
KERNELS = {"SeparableConv2D": 2}  # other layers with a bias have one


class StoredTensor:
    """What goes from layer to layer; known by its identity, as Keras' own.

    Attributes:
        shape: with None for the batch.
    """

    def __init__(self, shape: Sequence[int | None]) -> None:
        self.shape = tuple(shape)


class StoredLayer:
    """A layer whose settings are its attributes, as they are of Keras' own; its class is named as Keras'."""

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        arrays: Sequence[NDArray[Any]],
        inputs: Sequence[StoredTensor],
        output: StoredTensor,
    ) -> None:
        vars(self).update(settings)
        self.name, self.weights, self.output = name, list(arrays), output
        if "use_bias" in settings and len(arrays) != KERNELS.get(type(self).__name__, 1) + settings["use_bias"]:
            raise ValueError(f"{name} has {len(arrays)} arrays")
        self.input = inputs[0] if len(inputs) == 1 else list(inputs)
        if "activation" in settings:
            if not isinstance(settings["activation"], str):
                raise UnknownLayer(f"activation of {name}")
            self.activation = SimpleNamespace(__name__=settings["activation"])
        if type(self).__name__ == "BatchNormalization":
            kept = [each for each, used in (("gamma", settings["scale"]), ("beta", settings["center"])) if used]
            vars(self).update(zip((*kept, "moving_mean", "moving_variance"), arrays, strict=True))


class StoredNetwork:
    """A flat network of one input and one output, whose last layer is named `OUTPUT`."""

    def __init__(self, layers: Sequence[StoredLayer]) -> None:
        self.layers, self.input = list(layers), layers[0].output
        layers[-1].name = OUTPUT

    def get_layer(self, name: str) -> StoredLayer:
        """The layer of that name; the last of several."""
        return next(layer for layer in reversed(self.layers) if layer.name == name)


def stored_network(path: Path) -> StoredNetwork:
    """The whole model of a `.keras` file.

    Raises: UnknownLayer, naming a layer that is none of Keras' own, is used twice, or is not in float32.
        OSError, zipfile.BadZipFile, ValueError, KeyError where the file is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        settings = json.loads(archive.read("config.json"))
        weights = io.BytesIO(archive.read("model.weights.h5"))
    if settings["class_name"] != "Functional":
        raise UnknownLayer(f"{settings['class_name']} ({settings['config']['name']})")
    _end(settings, "input_layers")
    with h5py.File(weights, "r") as file:
        layers: list[StoredLayer] = []
        _lay_flat(settings, file, "layers", layers, None)
    return StoredNetwork(layers)


def _lay_flat(
    model: Mapping[str, Any], file: h5py.File, place: str, layers: list[StoredLayer], given: StoredTensor | None
) -> StoredTensor:
    """Add a Functional model's layers, which its settings hold in the order of their computation; its output.

    Args:
        place: of its layers' arrays in the file. given: what it is called on; None for the whole model.
    """
    made: dict[str, StoredTensor] = {}
    counted: Counter[str] = Counter()
    for layer in model["config"]["layers"]:
        kind, settings = layer["class_name"], layer["config"]
        name, called = settings["name"], _snake(kind)
        at = f"{place}/{called}_{counted[called]}" if counted[called] else f"{place}/{called}"
        counted[called] += 1
        if kind == "InputLayer":
            if given is None:
                layers.append(_layer(kind, settings, [], [], StoredTensor(settings["batch_shape"])))
            made[name] = given or layers[0].output
            continue
        sources = [_seen(made[source], shape) for source, shape in _taken(layer, name)]
        if kind == "Functional":
            if len(sources) != 1:
                raise UnknownLayer(f"{name}, a model of {len(sources)} inputs")
            _end(layer, "input_layers")
            made[name] = _lay_flat(layer, file, f"{at}/layers", layers, sources[0])
            continue
        plain = str(layer["module"]).startswith("keras.") and _is_float32(settings["dtype"])
        if not plain or settings.get("data_format") == "channels_first":
            raise UnknownLayer(f"{kind} ({name})")
        made[name] = StoredTensor(_shape_of_output(kind, settings, sources[0]))
        layers.append(_layer(kind, settings, _arrays(file, f"{at}/vars"), sources, made[name]))
    return made[_end(model, "output_layers")]


def _layer(
    kind: str,
    settings: Mapping[str, Any],
    arrays: Sequence[NDArray[Any]],
    sources: Sequence[StoredTensor],
    output: StoredTensor,
) -> StoredLayer:
    made: StoredLayer = type(kind, (StoredLayer,), {})(settings["name"], settings, arrays, sources, output)
    return made


def _end(model: Mapping[str, Any], side: str) -> str:
    """The name of the model's only input or output layer."""
    ends = model["config"][side]
    if ends and isinstance(ends[0], list):
        if len(ends) != 1:
            raise UnknownLayer(f"{len(ends)} {side} of {model['config']['name']}")
        ends = ends[0]
    return str(ends[0])


def _taken(layer: Mapping[str, Any], name: str) -> list[tuple[str, Sequence[int | None]]]:
    """Names of the layers that a layer takes from, and the shapes of what it takes."""
    if len(layer["inbound_nodes"]) != 1:
        raise UnknownLayer(f"{layer['class_name']} ({name}), used {len(layer['inbound_nodes'])} times")
    found = layer["inbound_nodes"][0]["args"]
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    if not found or not all(isinstance(each, dict) and each["class_name"] == "__keras_tensor__" for each in found):
        raise UnknownLayer(f"{layer['class_name']} ({name})")
    tensors = [each["config"] for each in found]
    return [(each["keras_history"][0], each["shape"]) for each in tensors]


def _seen(tensor: StoredTensor, shape: Sequence[int | None]) -> StoredTensor:
    """The tensor, its shape now known from who takes it."""
    tensor.shape = tuple(shape)
    return tensor


def _shape_of_output(kind: str, settings: Mapping[str, Any], source: StoredTensor) -> tuple[int | None, ...]:
    """Right for the last layers of a model; of others who takes them tells the shape."""
    return (None, settings["units"]) if kind == "Dense" else source.shape


def _is_float32(policy: Any) -> bool:
    name = policy if isinstance(policy, str) else policy["config"].get("name")
    return bool(name == "float32")


def _snake(kind: str) -> str:
    """The name of a class as Keras writes it in files: GlobalAveragePooling2D, global_average_pooling2d."""
    name = re.sub(r"\W+", "", kind)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _arrays(file: h5py.File, place: str) -> list[NDArray[Any]]:
    """A layer's arrays in their order; none where it has none.

    Raises: ValueError where the file would have them read from another.
    """
    group = file.get(place, {})
    found = [group[str(number)] for number in range(len(group))]
    if any(each.external or each.is_virtual for each in found):  # links between files are not followed in memory
        raise ValueError(f"{place} lies in another file")
    return [np.asarray(each) for each in found]
