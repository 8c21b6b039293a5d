"""How fast frozen layers run: ours against TensorFlow's ways, ONNX Runtime alone, and the machine's matrix speed.

DenseNet121 with random weights at 224 px on the radiographs of XR_HAND; then ONNX Runtime's two ways for each
architecture. Each engine runs in a process of its own, in turns; an engine's figure is its best turn, since other
programs can only slow it.

    python -m benchmarks.extraction [--repeats N]
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RADIOGRAPHS, run, save

PART, ARCHITECTURE, SIZE, IMAGES = "XR_HAND", "densenet121", 224, 192
WHOLE, PIECES = "32 images on all cores", "2 images a thread"
ENGINES: dict[str, dict[str, str]] = {
    "tensorflow, as installed": {},
    "tensorflow, oneDNN off": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "tensorflow, XLA": {},
    "onnxruntime, tf2onnx graph, 32 images on all cores": {},
    "onnxruntime, our graph, 8 images on all cores": {},
    f"onnxruntime, our graph, {WHOLE}": {},
    "onnxruntime, our graph, 1 images a thread": {},
    f"onnxruntime, our graph, {PIECES}": {},
    "onnxruntime, our graph, 8 images a thread": {},
    "ours: plain views, extraction, cache written": {},
    "ours: strong views, extraction, cache written": {},
    "ours: decoding, then plain and strong views, extraction, cache written": {},
    "decoding and resizing": {},
}
OTHERS = ("resnet152", "inception_v3", "xception", "efficientnet_lite0")


def main() -> None:
    """Run all engines in turns and save the figures, or one engine as a child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--architecture", default=ARCHITECTURE, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(json.dumps({"images_per_second": measure(options.engine, options.architecture)}))
        return
    found = {engine: [] for engine in ENGINES}
    for _ in range(options.repeats):
        for engine, rates in found.items():
            rates.append(_child(engine, ARCHITECTURE))
            print(engine, rates, file=sys.stderr)
    best = {engine: max(rates) for engine, rates in found.items()}
    ways = {
        name: {
            way: max(_child(f"onnxruntime, our graph, {way}", name) for _ in range(options.repeats))
            for way in (WHOLE, PIECES)
        }
        for name in OTHERS
    }
    save("extraction", {"images/s, each turn": found, "best": best, "other architectures": ways} | shares(best))


def _child(engine: str, architecture: str) -> float:
    line = ["-m", "benchmarks.extraction", "--engine", engine, "--architecture", architecture]
    return round(float(run(line, **ENGINES[engine]).told["images_per_second"]), 1)


def shares(best: dict[str, float]) -> dict[str, Any]:
    """The figures that are promised."""
    from search.feature_plan import matrix_speed
    from spaces import architecture_named

    peak = max(matrix_speed() for _ in range(5)) / architecture_named(ARCHITECTURE).gigaflops
    ours = best["ours: decoding, then plain and strong views, extraction, cache written"]
    return {
        "images/s at the matrix speed": round(peak, 1),
        "ours / ONNX Runtime alone, 2 images a thread": round(ours / best[f"onnxruntime, our graph, {PIECES}"], 3),
        "ours / ONNX Runtime alone, 32 on all cores": round(ours / best[f"onnxruntime, our graph, {WHOLE}"], 3),
        "ours / TensorFlow as installed": round(ours / best["tensorflow, as installed"], 2),
        "ours / matrix speed": round(ours / peak, 2),
    }


def measure(engine: str, architecture: str) -> float:
    """Images a second of an engine."""
    if engine.startswith("ours") or engine.startswith("decoding"):
        with tempfile.TemporaryDirectory() as folder:
            return _whole(engine, Path(folder))
    from spaces import architecture_named

    size = architecture_named(architecture).native_size
    pass_all = _pass_all(engine, architecture)
    grey = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 1)).astype(np.float32)
    pass_all(grey[:32])
    start = time.perf_counter()
    pass_all(grey)
    return IMAGES / (time.perf_counter() - start)


def _pass_all(engine: str, architecture: str) -> Callable[[np.ndarray], None]:
    """What passes images (images, size, size, 1) through the layers."""
    if engine.startswith("tensorflow"):
        return _tensorflow(engine)
    import onnxruntime

    count, cores = int(engine.split(", ")[2].split()[0]), len(os.sched_getaffinity(0))
    side_by_side = "a thread" in engine
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if side_by_side else cores
    model = _by_tf2onnx(count) if "tf2onnx" in engine else _ours(architecture, count)
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])

    def pass_all(grey: np.ndarray) -> None:
        pieces = [grey[start : start + count].transpose(0, 3, 1, 2) for start in range(0, len(grey), count)]
        with ThreadPoolExecutor(cores if side_by_side else 1) as pool:
            list(pool.map(lambda piece: session.run(None, {"grey": piece}), pieces))

    return pass_all


def _ours(architecture: str, count: int) -> bytes:
    from features.onnx_graph import to_onnx
    from spaces import architecture_named
    from spaces.weights import RANDOM, build_backbone

    named = architecture_named(architecture)
    last = named.cut("all").after
    assert last is not None
    return to_onnx(build_backbone(named, named.native_size, RANDOM, {}), [last], count)


def _by_tf2onnx(count: int) -> bytes:
    import tensorflow as tf
    import tf2onnx

    network = _plain_network()
    signature = [tf.TensorSpec((count, 1, SIZE, SIZE), tf.float32, name="grey")]
    forward = tf.function(lambda grey: network(tf.transpose(grey, (0, 2, 3, 1)), training=False))
    content: bytes = tf2onnx.convert.from_function(forward, signature, opset=17)[0].SerializeToString()
    return content


def _tensorflow(engine: str) -> Callable[[np.ndarray], None]:
    """As a user would run it, without our runtime's settings (deterministic kernels, oneDNN on)."""
    import tensorflow as tf

    network = _plain_network()
    compiled = tf.function(lambda grey: network(grey, training=False), jit_compile="XLA" in engine)

    def pass_all(grey: np.ndarray) -> None:
        for start in range(0, len(grey), 32):
            compiled(tf.constant(grey[start : start + 32])).numpy()

    return pass_all


def _plain_network() -> Any:
    import keras

    grey = keras.Input((SIZE, SIZE, 1))
    colour = keras.layers.Rescaling([1 / 58.4, 1 / 57.1, 1 / 57.4], [-2.1, -2.0, -1.8])(
        keras.layers.Concatenate()([grey, grey, grey])
    )
    return keras.applications.DenseNet121(include_top=False, weights=None, input_tensor=colour, pooling="avg")


def _whole(engine: str, folder: Path) -> float:
    """Our whole way: all images decoded once (counted where the engine says so), views of train, extraction, cache."""
    from features.cache import FeatureCache
    from features.extractor import Images, Views, view_batches
    from features.frozen import Backbones
    from radiographs.dataset import decode_images, list_images, sized_pixels
    from radiographs.pixels import PixelStore
    from spaces import architecture_named

    listed, store = list_images(RADIOGRAPHS, PART), PixelStore(folder / "pixels")
    start = time.perf_counter()
    dataset = decode_images(listed, store, {SIZE})
    if engine == "decoding and resizing":
        return len(dataset.images) / (time.perf_counter() - start)
    decoded = time.perf_counter() - start if "decoding" in engine else 0.0
    pixels, digests = sized_pixels(dataset, store, SIZE), tuple(dataset.split("train")["digest"])
    levels = [level for level, word in (("no", "plain"), ("strong", "strong")) if word in engine]
    every = [Views(Images(pixels, digests), level, 0) for level in levels]
    backbones, backbone = Backbones(folder / "backbones", {ARCHITECTURE: "random"}), architecture_named(ARCHITECTURE)

    def first_batch() -> np.ndarray:
        return next(view_batches(every[0], [0]))[1].astype(np.float32)

    frozen = backbones.frozen(backbone, SIZE, {}, first_batch)
    assert backbones.confirmed(backbone, SIZE, {}, frozen)
    forward = backbones.forward(backbone, SIZE, {}, frozen)
    forward(first_batch(), ["all"])
    cache, start = FeatureCache(folder / "features"), time.perf_counter()
    for views in every:
        cache.features(frozen, lambda: forward, views, "all")
    return len(every) * len(digests) / (decoded + time.perf_counter() - start)


if __name__ == "__main__":
    main()
