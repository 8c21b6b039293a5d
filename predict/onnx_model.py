"""A stored model as ONNX, and run by ONNX Runtime: TensorFlow is not imported."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from features.onnx_graph import INPUT, to_onnx
from features.onnx_layers import UnknownLayer
from plumbing.errors import ModelError
from predict.stored_layers import OUTPUT, stored_network

PIXELS = "pixels"
CARD_KEY = "card"


def to_whole_onnx(path: Path, card: Mapping[str, Any]) -> bytes:
    """The model of a `.keras` file: `pixels` (images, size, size, 1) float32 in 0..255 to `probability`.

    Args:
        card: kept as JSON in the metadata, under `card`; empty for none.
    Raises: UnknownLayer where a layer is not translated. ModelError where the file is damaged.
    """
    try:
        network = stored_network(path)
    except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"{path} cannot be read: {str(error) or type(error).__name__}; search again") from None
    model = ModelProto.FromString(to_onnx(network, [OUTPUT], None))
    graph, size = model.graph, network.input.shape[1]
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(PIXELS, TensorProto.FLOAT, ("images", size, size, 1)))
    graph.output[0].type.tensor_type.shape.dim[0].dim_param = "images"
    graph.node.insert(0, helper.make_node("Transpose", [PIXELS], [INPUT], perm=[0, 3, 1, 2]))
    if card:
        helper.set_model_props(model, {CARD_KEY: json.dumps(card, allow_nan=False)})
    content: bytes = model.SerializeToString()
    return content


class OnnxModel:
    """An ONNX model, asked as a Keras model is.

    Attributes:
        input: with its `shape`, (images, size, size, 1).
    """

    def __init__(self, model: Path | bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; its warnings are about graphs, which are ours
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self.input = self._session.get_inputs()[0]

    def predict_on_batch(self, grey: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (images, 1) or (images, 14) of (images, size, size, 1) in 0..255."""
        found: NDArray[np.float32] = self._session.run([OUTPUT], {PIXELS: grey})[0]
        return found


def load_onnx(path: Path, name: str) -> OnnxModel:
    """The model of a `.keras` file, run by ONNX Runtime.

    Args:
        name: of the model, for the error.
    Raises: ModelError where a layer is not translated, or the file is damaged.
    """
    try:
        return OnnxModel(to_whole_onnx(path, {}))
    except UnknownLayer as unknown:
        raise ModelError(f"model {name}: ONNX has no translation here of {unknown}; leave --engine onnx out") from None
