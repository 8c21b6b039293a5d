"""A stored model as ONNX, and run by ONNX Runtime: TensorFlow is not imported."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, RuntimeException

from features.forward import PIECE, processors
from features.onnx_graph import INPUT, to_onnx
from features.onnx_layers import UnknownLayer
from plumbing.errors import ModelError
from predict.networks import BREAKS_READERS, FEATURES_LAYER, ONE_AT_A_TIME, Answer, answer_of, check_width
from predict.stored_layers import OUTPUT, stored_network
from results.trained_kind import TrainedKind

PIXELS = "pixels"
CARD_KEY = "card"


def to_whole_onnx(path: Path, card: Mapping[str, Any], outputs: Sequence[str] = (OUTPUT,)) -> bytes:
    """The model of a `.keras` file: `pixels` (images, size, size, 1) float32 in 0..255 to `probability`.

    Args:
        card: kept as JSON in the metadata, under `card`; empty for none. outputs: names of layers, of vectors all.
    Raises: UnknownLayer where a layer is not translated. ModelError where the file is damaged.
    """
    try:
        network = stored_network(path)
        model = ModelProto.FromString(to_onnx(network, outputs, None))
    except BREAKS_READERS as error:
        raise ModelError(f"{path} cannot be read: {str(error) or type(error).__name__}; search again") from None
    graph, size = model.graph, network.input.shape[1]
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(PIXELS, TensorProto.FLOAT, ("images", size, size, 1)))
    for output in graph.output:
        output.type.tensor_type.shape.dim[0].dim_param = "images"
    graph.node.insert(0, helper.make_node("Transpose", [PIXELS], [INPUT], perm=[0, 3, 1, 2]))
    if card:
        helper.set_model_props(model, {CARD_KEY: json.dumps(card, allow_nan=False)})
    content: bytes = model.SerializeToString()
    return content


class OnnxModel:
    """An ONNX model, run in pieces of two images, each on one core: see `features.forward`.

    Attributes:
        size: the side of the images that it takes, in pixels.
    """

    def __init__(self, model: Path | bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # nothing: what is wrong with a graph is raised
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self.size = int(self._session.get_inputs()[0].shape[1])
        self._pool = ThreadPoolExecutor(processors())

    def run(self, grey: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Each output (images, ...) of (images, size, size, 1) in 0..255."""
        pieces = [grey[start : start + PIECE] for start in range(0, len(grey), PIECE)]
        found = self._pool.map(lambda piece: self._session.run(None, {PIXELS: piece}), pieces)
        return [np.concatenate(of_output) for of_output in zip(*found, strict=True)]


class OnnxNetwork:
    """By ONNX Runtime; as `predict.networks.Network`."""

    def __init__(self, model: OnnxModel, kind: TrainedKind | None) -> None:
        self._model, self._kind, self.size = model, kind, model.size

    def __call__(self, grey: NDArray[np.float32], rows: int) -> Answer:
        """As `Network` has it."""
        with ONE_AT_A_TIME:
            return answer_of(self._model.run(grey[:rows]), self._kind)


def load_onnx(path: Path, name: str, classes: int, kind: TrainedKind | None) -> OnnxNetwork:
    """The model of a `.keras` file, run by ONNX Runtime; it was run once.

    Args:
        name: of the model, for the error. classes: numbers that it is to put out. kind: what it was trained on, where
            the file tells.
    Raises: ModelError where a layer is not translated, or the file is damaged or another task's.
    """
    outputs = (OUTPUT,) if kind is None else (OUTPUT, FEATURES_LAYER)
    try:
        content = to_whole_onnx(path, {}, outputs)
    except UnknownLayer as unknown:
        raise ModelError(f"model {name}: ONNX has no translation here of {unknown}; leave --engine onnx out") from None
    try:
        model = OnnxModel(content)
        found, *features = model.run(np.zeros((1, model.size, model.size, 1), np.float32))
        if kind is not None:
            check_width(kind, features[0].shape[1])
    except ValueError as error:
        raise ModelError(f"model {name} at {path} cannot be loaded: {error}; search again") from None
    except (Fail, InvalidArgument, InvalidGraph, RuntimeException) as error:
        raise ModelError(f"model {name} at {path} cannot be run: {str(error).splitlines()[0]}; search again") from None
    if found.shape != (1, classes):
        raise ModelError(f"model {name} at {path} puts out {found.shape[1:]}, not {classes} classes; search again")
    return OnnxNetwork(model, kind)
