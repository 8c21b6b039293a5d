"""A stored model's network, by Keras or by ONNX Runtime: grey pixels to probabilities and what they were found by."""

import threading
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from plumbing.errors import ModelError
from predict.chosen import ChosenModel
from radiographs.parts import class_names
from results.card import CARD, check_size, read_card
from results.trained_kind import TrainedKind, distances, read_trained_kind
from spaces.network import outputs_of

KERAS, ONNX = "keras", "onnx"  # engines
# What Keras, h5py and zipfile raise on files that are damaged or made to break them.
BREAKS_READERS = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RuntimeError,
    OSError,
    EOFError,
    UserWarning,
    zipfile.BadZipFile,
    zlib.error,
)
FEATURES_LAYER = "head_dropout"  # of `spaces.network.make_tail`: what it takes are the features

# Held while a network runs: each takes all cores, TensorFlow's calls must not run side by side, and how many threads
# BLAS has is a setting of the process.
ONE_AT_A_TIME = threading.RLock()


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
        self._asked = model
        if kind is not None:
            self._asked = _with_features(model)
            check_width(kind, int(self._asked.outputs[1].shape[1]))

    def __call__(self, grey: NDArray[np.float32], rows: int) -> Answer:
        """As `Network` has it."""
        with ONE_AT_A_TIME:
            found = self._asked.predict_on_batch(grey)
            outputs = [found] if self._kind is None else found
            return answer_of([np.asarray(each)[:rows] for each in outputs], self._kind)


def check_width(kind: TrainedKind, features: int) -> None:
    """Raises: ValueError where what is kept of train is not of so many features."""
    if kind.features.shape[1] != features:
        raise ValueError(f"it keeps {kind.features.shape[1]} features of its training images, and has {features}")


def answer_of(outputs: list[NDArray[Any]], kind: TrainedKind | None) -> Answer:
    """Of probabilities and, where a kind is given, features; for who holds `ONE_AT_A_TIME`.

    Raises: ModelError where a probability is none.
    """
    if not ((outputs[0] >= 0) & (outputs[0] <= 1)).all():
        raise ModelError("the model's output is no probability: its file is damaged; search again")
    probability = np.asarray(outputs[0], np.float64)
    if kind is None:
        return Answer(probability, None)
    with _libraries().limit(limits=1, user_api="blas"):
        return Answer(probability, distances(kind, outputs[1]) > kind.threshold)


@cache
def _libraries() -> ThreadpoolController:
    """More threads of BLAS wait for work for a while after a product, on the cores that the network's would use."""
    return ThreadpoolController()


def load_network(model: ChosenModel, engine: str) -> Network:
    """The network of a stored model.

    Raises: ModelError where the file is damaged, not to be loaded safely, another task's, or cannot be run by the
        engine.
    """
    try:
        kind = _kind(model)
        if engine == KERAS:
            return KerasNetwork(_keras_model(model), kind)
    except BREAKS_READERS as error:
        first = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0]  # Keras' advice is to trust it
        if not zipfile.is_zipfile(model.path):
            first = "it is no whole .keras file"
        raise ModelError(f"model {model.name} at {model.path} cannot be loaded: {first}; search again") from None
    from predict.onnx_model import load_onnx

    return load_onnx(model.path, model.name, outputs_of_task(model.task), kind)


def outputs_of_task(task: str) -> int:
    """How many numbers a model of the task puts out."""
    return outputs_of(len(class_names(task)))


def _kind(model: ChosenModel) -> TrainedKind | None:
    """What the model was trained on, its file having been looked over.

    Raises: ModelError where its card is another task's.
    """
    with zipfile.ZipFile(model.path) as file:
        names = file.namelist()
        for name in names:
            check_size(file, name)
    if CARD in names and (task := read_card(model.path)["task"]) != model.task:
        raise ModelError(
            f"model {model.name}: the file {model.path} is of {task}, not of {model.task}; put the right one back"
        )
    return read_trained_kind(model.path)


def _keras_model(model: ChosenModel) -> Any:
    """Raises: ValueError where it does not take grey pixels of one size, or does not give the task's classes."""
    from spaces.tensorflow_runtime import keras

    with warnings.catch_warnings():
        # Keras would go on with initial weights where the file lacks a layer's.
        warnings.filterwarnings("error", r"(Skipping|A total of)", UserWarning)
        loaded = keras().models.load_model(model.path, compile=False, safe_mode=True)
    shapes = [tuple(each.shape) for each in (*loaded.inputs, *loaded.outputs)]
    size = shapes[0][1] if len(shapes[0]) == 4 else None
    if size is None or shapes != [(None, size, size, 1), (None, outputs_of_task(model.task))]:
        raise ValueError(f"its input and output are {shapes}, not grey pixels and {model.task}'s classes")
    return loaded


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
