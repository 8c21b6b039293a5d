"""What is known of a backbone's frozen layers without building it: found out, checked, kept and read.

<folder>/record.json      digest, cuts, who computes, how far it is from Keras; a checksum of each file
<folder>/frozen.onnx      the frozen layers, where ONNX Runtime computes
<folder>/whole.*          what `.keras` files are assembled from (spaces/saved_model.py)
"""

import hashlib
import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.forward import (
    ALLOWED_DIFFERENCE,
    COMPARED,
    PIECE,
    Forward,
    difference,
    keras_forward,
    onnx_forward,
    processors,
)
from features.onnx_graph import to_onnx
from features.onnx_layers import UnknownLayer
from plumbing.files import sync_file, write_text_atomically
from plumbing.progress import console
from spaces.architecture import Architecture
from spaces.saved_model import save_parts
from spaces.tensorflow_runtime import has_gpu, versions
from spaces.weights import network_digest

ONNX = "onnxruntime"
RECORD, MODEL = "record.json", "frozen.onnx"


@dataclass(frozen=True)
class FrozenNetwork:
    """A backbone as the feature cache knows it.

    Attributes:
        digest: of its layers and weights, and of the ONNX model where one is run.
        shapes: cut -> shape of one image's features, for each cut that freezes something.
        layers: cut -> name of its last frozen layer.
        engine: who computes, with its version.
        seconds_an_image: that one pass takes where all cores are at work; measured once, on one core where each has
            images of its own.
    """

    architecture: str
    digest: str
    shapes: Mapping[str, tuple[int, ...]]
    layers: Mapping[str, str]
    engine: str
    seconds_an_image: float


@dataclass(frozen=True)
class Draft:
    """A record before it is checked and kept.

    Attributes:
        model: the ONNX model where ONNX Runtime computes.
    """

    architecture: Architecture
    network: Any
    known: FrozenNetwork
    forward: Forward
    model: bytes | None


def make_draft(architecture: Architecture, network: Any) -> Draft:
    """ONNX Runtime computes where there is no GPU and it can express the network, else Keras.

    The choice is not timed: it decides the last bits of all features, so it must come out alike every time.
    """
    if has_gpu():
        return _by_keras(architecture, network)
    layers = _layers_of(architecture)
    try:
        model = to_onnx(network, list(layers.values()), PIECE)
    except UnknownLayer as unknown:
        _say_keras(architecture, f"ONNX Runtime cannot run {unknown}")
        return _by_keras(architecture, network)
    engine, forward = f"{ONNX} {version('onnxruntime')}", onnx_forward(model, layers)
    known = _known(architecture, network, engine, _seconds_an_image(forward, network, layers) / processors(), model)
    return Draft(architecture, network, known, forward, model)


def _by_keras(architecture: Architecture, network: Any) -> Draft:
    layers = _layers_of(architecture)
    forward, device = keras_forward(network, layers), "GPU" if has_gpu() else "CPU"
    engine, seconds = f"{versions()} on {device}", _seconds_an_image(forward, network, layers)
    known = _known(architecture, network, engine, seconds, b"")
    return Draft(architecture, network, known, forward, None)


def checked(draft: Draft, grey: NDArray[np.float32]) -> tuple[Draft, float]:
    """The draft and how far it is from Keras, as a share of the largest absolute feature; too far, Keras' own instead.

    Args:
        grey: the first batch of images, (images, size, size, 1) float32; `COMPARED` of them are enough.
    """
    if draft.model is None:
        return draft, 0.0
    layers, some = draft.known.layers, grey[:COMPARED]
    expected = keras_forward(draft.network, layers, COMPARED)(some, list(layers))
    apart = difference(draft.forward(some, list(layers)), expected)
    if apart <= ALLOWED_DIFFERENCE:
        return draft, apart
    reason = f"ONNX Runtime's features are {apart:.1e} from Keras', {ALLOWED_DIFFERENCE:.0e} is allowed"
    _say_keras(draft.architecture, reason)
    return _by_keras(draft.architecture, draft.network), 0.0


def keep(draft: Draft, apart: float, folder: Path) -> None:
    """Write a record and its files into an empty folder, with the checksum of each file.

    Raises: OSError where the folder cannot be written.
    """
    if draft.model is not None:
        (folder / MODEL).write_bytes(draft.model)
    save_parts(draft.network, draft.architecture, folder)
    sums = {path.name: _sum_of(path) for path in folder.iterdir()}
    for name in sums:
        sync_file(folder / name)
    text = json.dumps({"network": asdict(draft.known), "difference": apart, "sums": sums})
    write_text_atomically(folder / RECORD, f"{zlib.crc32(text.encode()):08x}{text}")


def read_record(folder: Path) -> FrozenNetwork | None:
    """The record in the folder; None where there is none, or a file is damaged, which a line on stderr says."""
    if not folder.exists():
        return None
    try:
        content = (folder / RECORD).read_text(encoding="utf-8")
        told, text = content[:8], content[8:]
        if told != f"{zlib.crc32(text.encode()):08x}":
            raise ValueError(RECORD)
        record = json.loads(text)
        for name, told in record["sums"].items():
            if _sum_of(folder / name) != told:
                raise ValueError(name)
    except (FileNotFoundError, UnicodeDecodeError, ValueError) as error:
        console().print(f"{folder}: damaged ({error}), made again", soft_wrap=True)
        return None
    network = record["network"]
    return FrozenNetwork(**network | {"shapes": {cut: tuple(shape) for cut, shape in network["shapes"].items()}})


def _known(architecture: Architecture, network: Any, engine: str, seconds: float, model: bytes) -> FrozenNetwork:
    layers = _layers_of(architecture)
    shapes = {cut: tuple(network.get_layer(layer).output.shape[1:]) for cut, layer in layers.items()}
    digest = hashlib.blake2b(network_digest(network).encode() + model, digest_size=16).hexdigest()
    return FrozenNetwork(architecture.name, digest, shapes, layers, engine, seconds)


def _layers_of(architecture: Architecture) -> dict[str, str]:
    return {cut.name: cut.after for cut in architecture.cuts if cut.after is not None}


def _seconds_an_image(forward: Forward, network: Any, layers: Mapping[str, str]) -> float:
    """Of a run's seconds, the share of each of its images: the best of three runs, after one to warm up."""
    grey = np.zeros((forward.piece, *network.input.shape[1:]), np.float32)
    seconds = []
    for _ in range(4):
        start = time.monotonic()
        forward(grey, list(layers))
        seconds.append(time.monotonic() - start)
    return min(seconds[1:]) / forward.piece


def _say_keras(architecture: Architecture, reason: str) -> None:
    console().print(f"{architecture.name}: {reason}; Keras computes its features instead", soft_wrap=True)


def _sum_of(path: Path) -> int:
    return zlib.crc32(path.read_bytes())
