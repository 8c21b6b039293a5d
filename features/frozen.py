"""What is known of a backbone's frozen layers without building it, and the backbones of a search.

    backbones/<architecture>-<key>/record.json      digest, cuts, who computes, how far it is from Keras
    backbones/<architecture>-<key>/frozen.onnx      the frozen layers, where ONNX Runtime computes
    backbones/<architecture>-<key>/whole-*          what `.keras` files are assembled from (spaces/saved_model.py)

A record is made once, by building the network and comparing ONNX Runtime with Keras on the first batch of images.
Later runs read it, extract and train heads without TensorFlow.
"""

import hashlib
import json
import shutil
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spaces
from features.forward import (
    ALLOWED_DIFFERENCE,
    BATCH,
    Forward,
    difference,
    keras_forward,
    onnx_forward,
)
from features.onnx_graph import to_onnx
from features.onnx_layers import UnknownLayer
from plumbing.files import atomic_folder, locked, sync_file, write_text_atomically
from plumbing.progress import console
from spaces.architecture import Architecture
from spaces.declaration import Configuration
from spaces.saved_model import save_parts
from spaces.tensorflow_runtime import versions
from spaces.weights import build_backbone, identity_of, network_digest

ONNX = "onnxruntime"
RECORD, MODEL = "record.json", "frozen.onnx"


@dataclass(frozen=True)
class FrozenNetwork:
    """A backbone as the feature cache knows it.

    Attributes:
        digest: of its layers and weights.
        shapes: cut -> shape of one image's features, for each cut that freezes something.
        layers: cut -> name of its last frozen layer.
        engine: who computes, with its version.
        difference: how far it was from Keras, as a share of the largest absolute feature.
        seconds_an_image: that one pass took, measured once on the first batch.
    """

    architecture: str
    digest: str
    shapes: Mapping[str, tuple[int, ...]]
    layers: Mapping[str, str]
    engine: str
    difference: float
    seconds_an_image: float


class Backbones:
    """The backbones of a search: each built at most once, and only where its record does not do.

    An architecture whose shape the configuration changes (base_cnn) is built again where the shape does.

    Args:
        folder: where records are kept.
        weights: architecture -> `imagenet`, `random` or the path of a file.
    """

    def __init__(self, folder: Path, weights: Mapping[str, str]) -> None:
        self.folder_of_all, self.weights = folder, weights
        self._identities = {name: identity_of(each) for name, each in weights.items()}
        self._networks: dict[str, tuple[Path, Any]] = {}
        self._records: dict[Path, FrozenNetwork] = {}
        self._forwards: dict[str, tuple[Path, Forward]] = {}
        self._lock = threading.RLock()

    def folder(self, architecture: Architecture, image_size: int, configuration: Configuration) -> Path:
        """Where what is known of the backbone is kept."""
        weights = self._identities[architecture.name]
        settings = [
            architecture.name,
            image_size,
            weights,
            {name: configuration[name] for name in architecture.shape_parameters if name in configuration},
            _code(),
        ]
        key = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()
        return self.folder_of_all / f"{architecture.name}-{key}"

    def knows(self, architecture: Architecture, image_size: int, configuration: Configuration) -> bool:
        """Whether there is a record of the backbone."""
        return (self.folder(architecture, image_size, configuration) / RECORD).exists()

    def network(self, architecture: Architecture, image_size: int, configuration: Configuration) -> Any:
        """The built Keras network.

        Raises: SpaceError where its weights are absent or do not fit.
        """
        folder = self.folder(architecture, image_size, configuration)
        with self._lock:
            known = self._networks.get(architecture.name)
            if known is None or known[0] != folder:
                network = build_backbone(architecture, image_size, self.weights[architecture.name], configuration)
                self._networks[architecture.name] = known = (folder, network)
            return known[1]

    def frozen(
        self,
        architecture: Architecture,
        image_size: int,
        configuration: Configuration,
        first_batch: Callable[[], NDArray[np.float32]],
    ) -> FrozenNetwork:
        """What is known of the backbone; found out on the first batch of images where nothing is yet.

        One process makes a record while others wait for it; a damaged one is named on stderr and made again.

        Raises: SpaceError where its weights are absent or do not fit. OSError where the folder cannot be written.
        """
        folder = self.folder(architecture, image_size, configuration)
        with self._lock:
            if folder not in self._records:
                with locked(self.folder_of_all / "lock"):
                    known = read_record(folder)
                    if known is None:
                        shutil.rmtree(folder, ignore_errors=True)
                        network = self.network(architecture, image_size, configuration)
                        with atomic_folder(folder) as temporary:
                            known = make_record(architecture, network, first_batch(), temporary)
                    self._records[folder] = known
            return self._records[folder]

    def forward(
        self, architecture: Architecture, image_size: int, configuration: Configuration, frozen: FrozenNetwork
    ) -> Forward:
        """What runs the frozen layers."""
        folder = self.folder(architecture, image_size, configuration)
        with self._lock:
            known = self._forwards.get(architecture.name)
            if known is None or known[0] != folder:
                if frozen.engine.startswith(ONNX):
                    made = onnx_forward(folder / MODEL, frozen.layers)
                else:
                    made = keras_forward(self.network(architecture, image_size, configuration), frozen.layers)
                self._forwards[architecture.name] = known = (folder, made)
            return known[1]


@cache
def _code() -> str:
    """A digest of the code that builds networks and their ONNX graphs, ours and the libraries'."""
    digest = hashlib.blake2b(f"{versions()}, onnxruntime {version('onnxruntime')}".encode(), digest_size=8)
    folders = (Path(str(spaces.__file__)).parent, Path(__file__).parent)
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def make_record(architecture: Architecture, network: Any, grey: NDArray[np.float32], folder: Path) -> FrozenNetwork:
    """Find out what is to be known of a network, and keep it in the folder with the checksum of each file."""
    layers = {cut.name: cut.after for cut in architecture.cuts if cut.after is not None}
    chosen = choose_engine(architecture.name, network, layers, grey)
    digest = hashlib.blake2b(network_digest(network).encode(), digest_size=16)
    if chosen.model is not None:
        digest.update(chosen.model)
        (folder / MODEL).write_bytes(chosen.model)
    save_parts(network, architecture, folder)
    record = FrozenNetwork(
        architecture=architecture.name,
        digest=digest.hexdigest(),
        shapes={cut: tuple(network.get_layer(layer).output.shape[1:]) for cut, layer in layers.items()},
        layers=layers,
        engine=chosen.engine,
        difference=chosen.difference,
        seconds_an_image=chosen.seconds_an_image,
    )
    sums = {path.name: _sum_of(path) for path in folder.iterdir()}
    for name in sums:
        sync_file(folder / name)
    text = json.dumps({"network": asdict(record), "sums": sums})
    write_text_atomically(folder / RECORD, f"{zlib.crc32(text.encode()):08x}{text}")
    return record


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


def _sum_of(path: Path) -> int:
    return zlib.crc32(path.read_bytes())


@dataclass(frozen=True)
class Chosen:
    """Who computes the frozen layers, with its version, and the ONNX model where it is used."""

    engine: str
    difference: float
    seconds_an_image: float
    model: bytes | None


def choose_engine(name: str, network: Any, layers: Mapping[str, str], grey: NDArray[np.float32]) -> Chosen:
    """ONNX Runtime where there is no GPU, it can express the network and agrees with Keras on the batch; else Keras.

    The choice is not timed: it decides the last bits of all features, so it must come out alike every time.

    Args:
        grey: the first batch of images, (BATCH, size, size, 1) float32.
    """
    from spaces.tensorflow_runtime import has_gpu

    by_keras, cuts = keras_forward(network, layers), list(layers)
    expected = by_keras(grey, cuts)
    model, reason = None, ""
    if not has_gpu():
        try:
            model = to_onnx(network, list(layers.values()), BATCH)
        except UnknownLayer as unknown:
            reason = f"ONNX Runtime cannot run {unknown}"
    apart = 0.0
    if model is not None:
        by_onnx = onnx_forward(model, layers)
        apart = difference(by_onnx(grey, cuts), expected)
        if apart <= ALLOWED_DIFFERENCE:
            return Chosen(f"{ONNX} {version('onnxruntime')}", apart, _seconds(by_onnx, grey, cuts) / BATCH, model)
        reason = f"ONNX Runtime's features are {apart:.1e} from Keras', {ALLOWED_DIFFERENCE:.0e} is allowed"
    if reason:
        console().print(f"{name}: {reason}; Keras computes its features instead", soft_wrap=True)
    return Chosen(versions(), 0.0, _seconds(by_keras, grey, cuts) / BATCH, None)


def _seconds(forward: Forward, grey: NDArray[np.float32], cuts: Sequence[str]) -> float:
    start = time.monotonic()
    forward(grey, cuts)
    return time.monotonic() - start
