"""Whole models as `.keras` files; those of heads on a frozen backbone are put together without TensorFlow.

A `.keras` file is a zip of the layers' settings (config.json), the arrays (model.weights.h5) and the Keras version
(metadata.json). Models that differ in the head alone differ in a few settings and small arrays, so the large rest is
saved by Keras once, beside what else is known of the backbone, and each winner's file is a copy with its head put in.

    whole.weights.h5                  the arrays of a whole model, the head's missing
    whole-<classes>-<units>.json      the settings for a task of so many classes and a head of so many hidden units
"""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from plumbing.files import write_text_atomically
from spaces.architecture import Architecture, Cut
from spaces.declaration import Choice, Configuration
from spaces.network import make_tail, whole_model

WEIGHTS, METADATA = "whole.weights.h5", "metadata.json"
TASK_CLASSES = (2, 14)
# Where Keras keeps the arrays of the tail's layers: the tail is the whole model's second inner model.
_TAIL = "layers/functional_1/layers"


def save_parts(network: Any, architecture: Architecture, folder: Path) -> None:
    """Save what every whole model on the fully frozen network shares.

    Args:
        folder: where; it must exist.
    """
    whole = _whole(network, architecture, 2, 0)
    whole.save_weights(folder / WEIGHTS)
    with h5py.File(folder / WEIGHTS, "a") as file:
        for name in [name for name in file[_TAIL] if name.startswith("dense")]:
            del file[_TAIL][name]
    write_text_atomically(folder / METADATA, json.dumps({"keras_version": _keras_version()}))
    units = next(each for each in architecture.parameters if each.name == "units")
    if isinstance(units, Choice):
        for classes in TASK_CLASSES:
            for count in units.choices:
                _save_settings(network, architecture, classes, int(count), folder)


def assemble(
    network: Callable[[], Any],
    architecture: Architecture,
    parts: Path,
    classes: int,
    dropout: float,
    head: Sequence[np.ndarray],
    path: Path,
) -> None:
    """Write the whole model of a head as a `.keras` file, as `spaces.network.whole_model` would be saved.

    Args:
        network: gives the backbone; called only where a head of so many units was not prepared.
        parts: the folder of `save_parts`.
        head: hidden kernel (features, units), hidden bias, kernel, bias; no units, no hidden layer.
    Raises: OSError where the file cannot be written.
    """
    units = int(head[0].shape[1])
    settings_file = parts / _settings_name(classes, units)
    if not settings_file.exists():
        _save_settings(network(), architecture, classes, units, parts)
    settings = json.loads(settings_file.read_text())
    for layer in _tail_of(settings):
        if layer["name"] in ("head_dropout", "head_hidden_dropout"):
            layer["config"]["rate"] = dropout
    weights = io.BytesIO((parts / WEIGHTS).read_bytes())
    with h5py.File(weights, "a") as file:
        dense = [head[:2], head[2:]] if units else [head[2:]]
        for number, arrays in enumerate(dense):
            group = file.create_group(f"{_TAIL}/dense{f'_{number}' if number else ''}/vars")
            for index, array in enumerate(arrays):
                group.create_dataset(str(index), data=np.asarray(array, np.float32))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(METADATA, (parts / METADATA).read_bytes())
        archive.writestr("config.json", json.dumps(settings))
        archive.writestr("model.weights.h5", weights.getbuffer())


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


def _whole(network: Any, architecture: Architecture, classes: int, units: int) -> Any:
    cut = architecture.cut("all")
    tail = make_tail(network, cut, {"conv_dropout": 0.0, "units": units}, classes)
    return whole_model(network, cut, tail, classes)


def _save_settings(network: Any, architecture: Architecture, classes: int, units: int, folder: Path) -> None:
    from spaces.tensorflow_runtime import keras

    settings = keras().saving.serialize_keras_object(_whole(network, architecture, classes, units))
    write_text_atomically(folder / _settings_name(classes, units), json.dumps(settings))


def _settings_name(classes: int, units: int) -> str:
    return f"whole-{classes}-{units}.json"


def _tail_of(settings: dict[str, Any]) -> list[dict[str, Any]]:
    tail = next(layer for layer in settings["config"]["layers"] if layer["name"] == "tail")
    layers: list[dict[str, Any]] = tail["config"]["layers"]
    return layers


def _keras_version() -> str:
    from spaces.tensorflow_runtime import keras

    return str(keras().__version__)
