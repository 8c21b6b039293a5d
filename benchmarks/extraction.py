"""How fast frozen layers run: ours against TensorFlow's ways, ONNX Runtime alone, and the machine's matrix speed.

DenseNet121 with random weights at 224 px on the radiographs of XR_HAND. Each engine runs in a process of its own, in
turns; an engine's figure is its best turn, since other programs can only slow it.

    python -m benchmarks.extraction [--repeats N]
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RADIOGRAPHS, run, save

PART, ARCHITECTURE, SIZE, BATCHES = "XR_HAND", "densenet121", 224, 6
ENGINES: dict[str, dict[str, str]] = {
    "tensorflow, as installed": {},
    "tensorflow, oneDNN off": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "tensorflow, XLA": {},
    "onnxruntime, tf2onnx graph": {},
    "onnxruntime, our graph": {},
    "onnxruntime, our graph, batch 8": {},
    "onnxruntime, our graph, batch 64": {},
    "onnxruntime, our graph, 1 thread": {},
    "ours: views, extraction, cache written": {},
    "ours: strong views, extraction, cache written": {},
    "decoding and resizing": {},
}


def main() -> None:
    """Run all engines in turns and save the figures, or one engine as a child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(json.dumps({"images_per_second": measure(options.engine)}))
        return
    found: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    for _ in range(options.repeats):
        for engine, environment in ENGINES.items():
            told = run(["-m", "benchmarks.extraction", "--engine", engine], **environment).told
            found[engine].append(round(told["images_per_second"], 1))
            print(engine, found[engine], file=sys.stderr)
    best = {engine: max(rates) for engine, rates in found.items()}
    save("extraction", {"images/s, each turn": found, "best": best} | shares(best))


def shares(best: dict[str, float]) -> dict[str, Any]:
    """The figures that the issue asks for."""
    from search.feature_plan import matrix_speed
    from spaces import architecture_named

    peak = max(matrix_speed() for _ in range(5)) / architecture_named(ARCHITECTURE).gigaflops
    ours = best["ours: strong views, extraction, cache written"]
    return {
        "images/s at the matrix speed": round(peak, 1),
        "ours / ONNX Runtime alone on the same graph": round(ours / best["onnxruntime, our graph"], 3),
        "ours / TensorFlow as installed": round(ours / best["tensorflow, as installed"], 2),
        "ours / matrix speed": round(ours / peak, 2),
    }


def measure(engine: str) -> float:
    """Images a second of an engine."""
    with tempfile.TemporaryDirectory() as folder:
        if engine.startswith("ours") or engine.startswith("decoding"):
            return _whole(engine, Path(folder))
    batch = int(engine.split("batch ")[1]) if "batch" in engine else 32
    grey = np.random.default_rng(0).integers(0, 256, (batch, SIZE, SIZE, 1)).astype(np.float32)
    forward = _forward(engine, batch)
    forward(grey)
    times = []
    for _ in range(BATCHES):
        start = time.perf_counter()
        forward(grey)
        times.append(time.perf_counter() - start)
    return batch / float(np.median(times))


def _network() -> Any:
    from spaces import architecture_named
    from spaces.weights import RANDOM, build_backbone

    return build_backbone(architecture_named(ARCHITECTURE), SIZE, RANDOM, {})


def _forward(engine: str, batch: int) -> Callable[[np.ndarray], Any]:
    if engine.startswith("tensorflow"):
        return _tensorflow(engine)
    import onnxruntime

    from features.forward import processors
    from features.onnx_graph import to_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if "1 thread" in engine else processors()
    if "tf2onnx" in engine:
        import tensorflow as tf
        import tf2onnx

        network = _network()
        signature = [tf.TensorSpec((batch, SIZE, SIZE, 1), tf.float32, name="grey")]
        model = tf2onnx.convert.from_function(tf.function(lambda grey: network(grey)), signature, opset=17)[0]
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return lambda grey: session.run(None, {"grey": grey})
    session = onnxruntime.InferenceSession(to_onnx(_network(), ["avg_pool"], batch), options, ["CPUExecutionProvider"])
    return lambda grey: session.run(None, {"grey": grey.transpose(0, 3, 1, 2)})


def _tensorflow(engine: str) -> Callable[[np.ndarray], Any]:
    """As a user would run it: without our runtime's settings (deterministic kernels, oneDNN on)."""
    import tensorflow as tf

    network = _network_without_our_runtime()
    compiled = tf.function(lambda grey: network(grey, training=False), jit_compile="XLA" in engine)
    return lambda grey: compiled(tf.constant(grey)).numpy()


def _network_without_our_runtime() -> Any:
    import keras

    grey = keras.Input((SIZE, SIZE, 1))
    colour = keras.layers.Rescaling([1 / 58.4, 1 / 57.1, 1 / 57.4], [-2.1, -2.0, -1.8])(
        keras.layers.Concatenate()([grey, grey, grey])
    )
    return keras.applications.DenseNet121(include_top=False, weights=None, input_tensor=colour, pooling="avg")


def _whole(engine: str, folder: Path) -> float:
    """Our whole way on the train images: decoded once before (or only that), then views, extraction and cache."""
    from features.cache import FeatureCache
    from features.extractor import Images, Views, padded, view_batches
    from features.frozen import Backbones
    from radiographs.dataset import decode_images, list_images, sized_pixels
    from radiographs.pixels import PixelStore
    from spaces import architecture_named

    listed, store = list_images(RADIOGRAPHS, PART), PixelStore(folder / "pixels")
    start = time.perf_counter()
    dataset = decode_images(listed, store, {SIZE})
    if engine == "decoding and resizing":
        return len(dataset.images) / (time.perf_counter() - start)
    level = "strong" if "strong" in engine else "no"
    digests = tuple(dataset.split("train")["digest"])[: 32 * BATCHES * 2]
    views = Views(Images(sized_pixels(dataset, store, SIZE), digests), level, 0)
    backbones, architecture = (
        Backbones(folder / "backbones", {ARCHITECTURE: "random"}),
        architecture_named(ARCHITECTURE),
    )

    def first_batch() -> np.ndarray:
        return padded(next(view_batches(views, [0]))[1])

    frozen = backbones.frozen(architecture, SIZE, {}, first_batch)
    forward = backbones.forward(architecture, SIZE, {}, frozen)
    forward(first_batch(), ["all"])
    start = time.perf_counter()
    FeatureCache(folder / "features").features(frozen, lambda: forward, views, "all")
    return len(digests) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
