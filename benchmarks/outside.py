"""Probabilities of image files by a stored or exported model, without any of our code.

    echo '["hand.png"]' | python -I benchmarks/outside.py keras|onnx|tflite|saved_model MODEL

Prints a JSON list of the models' outputs, as `docs/export.md` says how they are asked. `-I` keeps our folders from
being imported.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Model = Callable[[NDArray[np.float32]], Any]  # grey (1, size, size, 1) in 0..255 to (1, classes)
OURS = {"plumbing", "radiographs", "spaces", "features", "search", "results", "reports", "predict"}


def main() -> None:
    """Read paths, print probabilities."""
    form, path = sys.argv[1:]
    size, model = LOADED[form](path)
    rows = [np.asarray(model(pixels(each, size))[0], np.float64).tolist() for each in json.load(sys.stdin)]
    if loaded := OURS & set(sys.modules):
        sys.exit(f"{sorted(loaded)} were imported: give Python -I")
    print(json.dumps(rows))


def pixels(path: str, size: int) -> NDArray[np.float32]:
    """Grey (1, size, size, 1), resized by the call that a model's card names."""
    with Image.open(path) as image:
        grey = image.convert("L").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(grey, np.float32)[None, :, :, None]


def by_keras(path: str) -> tuple[int, Model]:
    """A `.keras` file, in safe mode, which is the default."""
    import keras

    model = keras.models.load_model(path)
    return int(model.input_shape[1]), model.predict_on_batch


def by_onnx(path: str) -> tuple[int, Model]:
    """ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return int(session.get_inputs()[0].shape[1]), lambda grey: session.run(["probability"], {"pixels": grey})[0]


def by_saved_model(path: str) -> tuple[int, Model]:
    """TensorFlow, without Keras."""
    import tensorflow

    model = tensorflow.saved_model.load(path)
    (asked,) = model.signatures["serving_default"].structured_input_signature[1].values()
    return int(asked.shape[1]), lambda grey: model.serve(grey)  # keeps the model, without which it has no variables


def by_tflite(path: str) -> tuple[int, Model]:
    """TensorFlow Lite's interpreter."""
    import tensorflow

    interpreter = tensorflow.lite.Interpreter(path)
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()

    def model(grey: NDArray[np.float32]) -> Any:
        interpreter.set_tensor(given["index"], grey)
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])

    return int(given["shape"][1]), model


LOADED = {"keras": by_keras, "onnx": by_onnx, "tflite": by_tflite, "saved_model": by_saved_model}

if __name__ == "__main__":
    main()
