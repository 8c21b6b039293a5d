"""A stored model's network, by Keras or by ONNX Runtime: grey pixels to probabilities and what they were found by."""

import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plumbing.errors import ModelError
from predict.chosen import ChosenModel
from results.trained_kind import TrainedKind, distances, read_trained_kind

KERAS, ONNX = "keras", "onnx"  # engines
FEATURES_LAYER = "head_dropout"  # of `spaces.network.make_tail`: what it takes are the features


@dataclass(frozen=True)
class Answer:
    """What a network says of images.

    Attributes:
        probability: (images, 1) or (images, 14). is_strange: (images,) whether each lies beyond what the model was
            trained on; None where the model's file does not tell.
    """

    probability: NDArray[np.float64]
    is_strange: NDArray[np.bool_] | None


class Network(Protocol):
    """A loaded network.

    Attributes:
        size: the side of the images that it takes, in pixels.
    """

    size: int

    def __call__(self, grey: NDArray[np.float32], rows: int) -> Answer:
        """Its answer on the first rows of (images, size, size, 1) in 0..255; the others fill a batch up."""


class KerasNetwork:
    """By Keras; `model` is the model as it was saved."""

    def __init__(self, model: Any, kind: TrainedKind | None) -> None:
        self.model, self.size, self._kind = model, int(model.input.shape[1]), kind
        self._asked = model if kind is None else _with_features(model)

    def __call__(self, grey: NDArray[np.float32], rows: int) -> Answer:
        """As `Network` has it."""
        found = self._asked.predict_on_batch(grey)
        outputs = [found] if self._kind is None else found
        return answer_of([np.asarray(each)[:rows] for each in outputs], self._kind)


def answer_of(outputs: list[NDArray[Any]], kind: TrainedKind | None) -> Answer:
    """Of probabilities and, where a kind is given, features."""
    strange = None if kind is None else distances(kind, outputs[1]) > kind.threshold
    return Answer(np.asarray(outputs[0], np.float64), strange)


def load_network(model: ChosenModel, engine: str) -> Network:
    """The network of a stored model.

    Raises: ModelError where the file is damaged, not to be loaded safely, or cannot be run by the engine.
    """
    try:
        kind = read_trained_kind(model.path)
        if engine == KERAS:
            return KerasNetwork(_keras_model(model), kind)
    except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0]  # Keras' advice is to trust it
        if not zipfile.is_zipfile(model.path):
            first = "it is no whole .keras file"
        raise ModelError(f"model {model.name} at {model.path} cannot be loaded: {first}; search again") from None
    from predict.onnx_model import load_onnx

    return load_onnx(model.path, model.name, kind)


def _keras_model(model: ChosenModel) -> Any:
    from spaces.tensorflow_runtime import keras

    return keras().models.load_model(model.path, compile=False, safe_mode=True)


def _with_features(model: Any) -> Any:
    """The whole model of `spaces.network.whole_model`, giving the features that its head takes besides."""
    from spaces.tensorflow_runtime import keras

    tail, before = model.get_layer("tail"), [layer for layer in model.layers if layer.name == "trunk"]
    inner = keras().Model(tail.input, [tail.output, tail.get_layer(FEATURES_LAYER).input])
    flow = model.input
    for trunk in before:
        flow = trunk(flow, training=False)
    logits, features = inner(flow)
    return keras().Model(model.input, [model.get_layer("probability")(logits), features])
