"""Whole models as `.keras` files; those of heads on a frozen backbone are put together without TensorFlow.

A `.keras` file is a zip of the layers' settings (config.json), the arrays (model.weights.h5) and the Keras version
(metadata.json). Models that differ in the head alone differ in a few settings and small arrays, so the large rest is
saved by Keras once, beside what else is known of the backbone, and each winner's file is a copy with its head put in.

    whole.weights.h5    the arrays of a whole model, the head's missing
    whole.json          the settings of a whole model, and of its tail with and without hidden units; numbers that no
                        layer has stand for the units and the outputs
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from plumbing.files import write_text_atomically
from spaces.architecture import Architecture, Cut
from spaces.declaration import Configuration
from spaces.network import make_tail, outputs_of, probability_of, whole_model

WEIGHTS, SETTINGS, METADATA = "whole.weights.h5", "whole.json", "metadata.json"
# They stand for units and outputs in the settings of tails; primes, so no backbone has so many features.
_UNITS, _OUTPUTS = 1009, 1013
# Where Keras keeps the arrays of the tail's layers: the tail is the whole model's second inner model.
_TAIL = "layers/functional_1/layers"


def save_parts(network: Any, architecture: Architecture, folder: Path) -> None:
    """Save what every whole model on the fully frozen network shares.

    Args:
        folder: where; it must exist.
    """
    from spaces.tensorflow_runtime import drawing_weights, keras

    cut, serialized = architecture.cut("all"), keras().saving.serialize_keras_object
    with drawing_weights:
        plain, hidden = (
            make_tail(network, cut, {"conv_dropout": 0.0, "units": units}, _OUTPUTS) for units in (0, _UNITS)
        )
    whole = whole_model(network, cut, plain, _OUTPUTS)
    whole.save_weights(folder / WEIGHTS)
    with h5py.File(folder / WEIGHTS, "a") as file:
        for name in [name for name in file[_TAIL] if name.startswith("dense")]:
            del file[_TAIL][name]
    settings = serialized(whole)
    tails = {"plain": _layer(settings, "tail")["config"], "hidden": serialized(hidden)["config"]}
    write_text_atomically(folder / SETTINGS, json.dumps({"whole": settings, "tails": tails}))
    write_text_atomically(folder / METADATA, json.dumps({"keras_version": keras().__version__}))


def assemble(parts: Path, classes: int, dropout: float, head: Sequence[np.ndarray], path: Path) -> None:
    """Write the whole model of a head as a `.keras` file, as `spaces.network.whole_model` would be saved.

    Args:
        parts: the folder of `save_parts`.
        head: hidden kernel (features, units), hidden bias, kernel, bias; no units, no hidden layer.
    Raises: OSError where the file cannot be written.
    """
    units = int(head[0].shape[1])
    weights = io.BytesIO((parts / WEIGHTS).read_bytes())
    with h5py.File(weights, "a") as file:
        dense = [head[:2], head[2:]] if units else [head[2:]]
        for number, arrays in enumerate(dense):
            group = file.create_group(f"{_TAIL}/dense{f'_{number}' if number else ''}/vars")
            for index, array in enumerate(arrays):
                group.create_dataset(str(index), data=np.asarray(array, np.float32))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(METADATA, (parts / METADATA).read_bytes())
        archive.writestr("config.json", json.dumps(_settings(parts, classes, units, dropout)))
        archive.writestr("model.weights.h5", weights.getbuffer())


def _settings(parts: Path, classes: int, units: int, dropout: float) -> dict[str, Any]:
    """The settings of a whole model with such a head."""
    kept = json.loads((parts / SETTINGS).read_text())
    whole: dict[str, Any] = kept["whole"]
    numbers = {_UNITS: units, _OUTPUTS: outputs_of(classes)}
    tail, probability = _layer(whole, "tail"), _layer(whole, "probability")
    tail["config"] = _with_numbers(kept["tails"]["hidden" if units else "plain"], numbers)
    for layer in tail["config"]["layers"]:
        if layer["name"] in ("head_dropout", "head_hidden_dropout"):
            layer["config"]["rate"] = dropout
    probability.update(_with_numbers(probability, numbers))
    probability["config"]["activation"] = probability_of(classes)
    return whole


def _layer(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(layer for layer in settings["config"]["layers"] if layer["name"] == name)
    return found


def _with_numbers(settings: Any, numbers: Mapping[int, int]) -> Any:
    """The settings with some numbers replaced, wherever they stand."""
    if isinstance(settings, dict):
        return {name: _with_numbers(each, numbers) for name, each in settings.items()}
    if isinstance(settings, list):
        return [_with_numbers(each, numbers) for each in settings]
    return numbers.get(settings, settings) if type(settings) is int else settings


def save_with_tail(
    network: Any, cut: Cut, configuration: Configuration, classes: int, weights: Sequence[np.ndarray], path: Path
) -> None:
    """Save the whole model of a trained tail as a `.keras` file, by Keras.

    Args:
        weights: the rest's arrays, then the head's four; those without elements belong to no layer.
    """
    tail = make_tail(network, cut, configuration, classes)
    tail.set_weights([array for array in weights if array.size])
    whole_model(network, cut, tail, classes).save(path)
