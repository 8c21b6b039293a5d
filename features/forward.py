"""Two ways to run frozen layers, ONNX Runtime and Keras, and the check that they agree."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.onnx_graph import INPUT

BATCH = 32
# Images that one thread passes through ONNX Runtime at once. So few stay in a core's cache, and threads that each have
# images of their own need not wait for one another after every layer: see docs/benchmarks.md, "Extraction".
PIECE = 2
# Images on which ONNX Runtime is compared with Keras: the first of the first batch.
COMPARED = 8
# Largest difference from Keras' own features, as a share of the largest absolute feature.
ALLOWED_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class Forward:
    """Frozen layers as a function; several threads may call it.

    Attributes:
        piece: the images of one run; their number is fixed, because a network's last bits can depend on it.
        run: grey (piece, size, size, 1) float32 and names of cuts, to their features (piece, *shape) float32.
    """

    piece: int
    run: Callable[[NDArray[np.float32], Sequence[str]], list[NDArray[np.float32]]]

    def __call__(self, grey: NDArray[Any], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Features (images, *shape) at each cut, run piece by piece, the last piece filled up with zeros.

        Args:
            grey: (images, size, size, 1), any number of images.
        """
        runs = []
        for start in range(0, len(grey), self.piece):
            images = grey[start : start + self.piece]
            whole = np.zeros((self.piece, *grey.shape[1:]), np.float32)
            whole[: len(images)] = images
            runs.append([features[: len(images)] for features in self.run(whole, cuts)])
        return runs[0] if len(runs) == 1 else [np.concatenate(of_cut) for of_cut in zip(*runs, strict=True)]


def processors() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def onnx_forward(model: Path | bytes, layer_of: Mapping[str, str]) -> Forward:
    """Run an ONNX model of `PIECE` images, each call on the core of its thread alone.

    Args:
        layer_of: cut -> the output that holds its features.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors; its warnings are about graphs, which are ours
    source = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def run(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = session.run(
            [layer_of[cut] for cut in cuts], {INPUT: grey.transpose(0, 3, 1, 2)}
        )
        return found

    return Forward(PIECE, run)


def keras_forward(network: Any, layer_of: Mapping[str, str], piece: int = BATCH) -> Forward:
    """Run the layers by Keras in inference mode, one call at a time on all cores: what all else is compared with.

    Compiled, because Keras' plain call keeps every layer's output until its end: 8 GB for 32 images of DenseNet121.

    Args:
        piece: the images of one run.
    """
    from spaces.tensorflow_runtime import tensorflow

    tf = tensorflow()
    every = _all_cuts(network, layer_of)
    signature = [tf.TensorSpec((piece, *network.input.shape[1:]), tf.float32)]
    compiled = tf.function(lambda grey: every(grey, training=False), input_signature=signature)
    one_at_a_time = threading.Lock()

    def run(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
        with one_at_a_time:
            found = compiled(grey)
        return [np.asarray(found[cut]) for cut in cuts]

    return Forward(piece, run)


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
