"""The backbones of a search: built only where what is known of them does not do.

What is known is found out once and kept in `backbones/<architecture>-<key>/` (features/records.py). ONNX Runtime's
features are compared with Keras' own in a thread of its own, while ONNX Runtime extracts already; what it extracts is
believed only after. Later runs read the record, extract and train heads without TensorFlow.
"""

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spaces
from features.forward import Forward, keras_forward, onnx_forward
from features.records import MODEL, ONNX, RECORD, Draft, FrozenNetwork, checked, keep, make_draft, read_record
from plumbing.errors import SearchFailed
from plumbing.files import atomic_folder, locked
from plumbing.progress import console
from spaces.architecture import Architecture
from spaces.declaration import Configuration
from spaces.tensorflow_runtime import has_gpu, tensorflow, versions
from spaces.weights import build_backbone, identity_of


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
        self._checks: dict[Path, Future[FrozenNetwork]] = {}
        self._drafts: dict[Path, tuple[FrozenNetwork, Forward]] = {}  # of records not found to hold
        self._forwards: dict[str, tuple[FrozenNetwork, Forward]] = {}  # the last of each architecture
        self._lock = threading.RLock()
        self._checking = ThreadPoolExecutor(1)

    def close(self) -> None:
        """Drop comparisons that have not begun, and wait for one that has."""
        self._checking.shutdown(cancel_futures=True)

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
        """What is known of the backbone; found out where nothing is yet, and then to be `confirmed`.

        One process makes a record while others wait for it; a damaged one is named on stderr and made again.

        Args:
            first_batch: gives the images on which ONNX Runtime is compared with Keras.
        Raises: SpaceError where its weights are absent or do not fit. OSError where the folder cannot be written.
            SearchFailed where memory ran out in the comparison.
        """
        folder = self.folder(architecture, image_size, configuration)
        with self._lock:
            if (check := self._checks.get(folder)) is not None and check.done():
                self._records[folder] = check.result()
            if folder not in self._records:
                with ExitStack() as making:
                    making.enter_context(locked(folder.with_suffix(".lock"), partial(_say_waiting, folder)))
                    known = read_record(folder)
                    if known is None:
                        shutil.rmtree(folder, ignore_errors=True)
                        draft = make_draft(architecture, self.network(architecture, image_size, configuration))
                        known = draft.known
                        self._forwards[architecture.name] = self._drafts[folder] = (known, draft.forward)
                        grey = first_batch()
                        lock = making.pop_all()  # from now on the other thread's to free
                        self._checks[folder] = self._checking.submit(_check_and_keep, draft, grey, folder, lock)
                    self._records[folder] = known
            return self._records[folder]

    def confirmed(
        self, architecture: Architecture, image_size: int, configuration: Configuration, frozen: FrozenNetwork
    ) -> bool:
        """Whether features made by what `frozen` told hold; if not, `frozen` tells otherwise from now on.

        Waits where ONNX Runtime is being compared with Keras.

        Raises: OSError where the record cannot be written. SearchFailed where memory ran out in it.
        """
        folder = self.folder(architecture, image_size, configuration)
        if (check := self._checks.get(folder)) is None:
            return True
        known = check.result()
        with self._lock:
            self._records[folder] = known
            if folder in self._drafts and self._drafts[folder][0] == known:
                del self._drafts[folder]
        return known == frozen

    def forward(
        self, architecture: Architecture, image_size: int, configuration: Configuration, frozen: FrozenNetwork
    ) -> Forward:
        """What runs the frozen layers."""
        folder = self.folder(architecture, image_size, configuration)
        with self._lock:
            draft = self._drafts.get(folder)
            if draft is not None and draft[0] == frozen:
                return draft[1]
            known = self._forwards.get(architecture.name)
            if known is None or known[0] != frozen:
                if frozen.engine.startswith(ONNX):
                    made = onnx_forward(folder / MODEL, frozen.layers)
                else:
                    made = keras_forward(self.network(architecture, image_size, configuration), frozen.layers)
                self._forwards[architecture.name] = known = (frozen, made)
            return known[1]


@cache
def _code() -> str:
    """A digest of the code that builds networks and their ONNX graphs, ours and the libraries', and of the device."""
    libraries = f"{versions()}, onnxruntime {version('onnxruntime')}, {'GPU' if has_gpu() else 'CPU'}"
    digest = hashlib.blake2b(libraries.encode(), digest_size=8)
    folders = (Path(str(spaces.__file__)).parent, Path(__file__).parent)
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _say_waiting(folder: Path) -> None:
    console().print(f"waiting for another process that makes {folder}", soft_wrap=True)


def _check_and_keep(draft: Draft, grey: NDArray[np.float32], folder: Path, lock: ExitStack) -> FrozenNetwork:
    """Compare a draft with Keras and keep its record; what is known from now on. Frees the lock.

    Raises: SearchFailed where memory runs out: nothing that a trial could help, so no trial must fail by it.
    """
    with lock:
        try:
            sure, apart = checked(draft, grey)
            with atomic_folder(folder) as temporary:
                keep(sure, apart, temporary)
        except (MemoryError, tensorflow().errors.ResourceExhaustedError):
            raise SearchFailed(
                f"{draft.architecture.name}: no memory to compare ONNX Runtime with Keras and save the network; "
                f"free some, or give a smaller --image-size"
            ) from None
        return sure.known
