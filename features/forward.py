"""Two ways to run frozen layers, ONNX Runtime and Keras, and the check that they agree."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.onnx_graph import INPUT

BATCH = 32
# Largest difference from Keras' own features, as a share of the largest absolute feature.
ALLOWED_DIFFERENCE = 1e-4

# Grey (BATCH, size, size, 1) float32 and the names of cuts, to their features (BATCH, *shape) float32.
Forward = Callable[[NDArray[np.float32], Sequence[str]], list[NDArray[np.float32]]]


def processors() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def onnx_forward(model: Path | bytes, layer_of: Mapping[str, str]) -> Forward:
    """Run an ONNX model on all cores.

    Args:
        layer_of: cut -> the output that holds its features.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = processors()
    options.log_severity_level = 3  # errors; its warnings are about graphs, which are ours
    source = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def forward(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = session.run(
            [layer_of[cut] for cut in cuts], {INPUT: grey.transpose(0, 3, 1, 2)}
        )
        return found

    return forward


def keras_forward(network: Any, layer_of: Mapping[str, str]) -> Forward:
    """Run the layers by Keras in inference mode: what everything else is compared with.

    Compiled, because Keras' plain call keeps every layer's output until its end: 8 GB for a batch of DenseNet121.
    """
    from spaces.tensorflow_runtime import tensorflow

    tf = tensorflow()
    every = _all_cuts(network, layer_of)
    signature = [tf.TensorSpec((BATCH, *network.input.shape[1:]), tf.float32)]
    compiled = tf.function(lambda grey: every(grey, training=False), input_signature=signature)

    def forward(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
        found = compiled(grey)
        return [np.asarray(found[cut]) for cut in cuts]

    return forward


def _all_cuts(network: Any, layer_of: Mapping[str, str]) -> Any:
    from spaces.tensorflow_runtime import keras

    outputs = {cut: network.get_layer(layer).output for cut, layer in layer_of.items()}
    return keras().Model(network.input, outputs)


def difference(found: Sequence[NDArray[np.float32]], expected: Sequence[NDArray[np.float32]]) -> float:
    """The largest difference of any cut, as a share of that cut's largest absolute feature; NaN counts as infinite."""
    shares = []
    for one, other in zip(found, expected, strict=True):
        largest = float(np.abs(other).max()) or 1.0
        shares.append(float(np.abs(one - other).max()) / largest)
    return max((share if share == share else float("inf") for share in shares), default=0.0)
