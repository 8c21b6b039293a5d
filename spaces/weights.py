"""Where a backbone's weights come from: ImageNet, random by the fixed data seed, or a folder of the user's."""

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import h5py

from plumbing.errors import SpaceError
from plumbing.seeds import DATA_SEED, seed_of
from spaces.architecture import Architecture
from spaces.declaration import Configuration
from spaces.network import layer_inputs

IMAGENET, RANDOM = "imagenet", "random"


def weights_of(architecture: Architecture, given: str) -> str:
    """What `--weights` means for the architecture: `imagenet`, `random`, or the path of its weights file.

    An architecture without ImageNet weights is trained from random ones whatever is given.

    Raises: SpaceError where a folder is given that does not hold `<architecture>.weights.h5`.
    """
    if not architecture.has_imagenet or given == RANDOM:
        return RANDOM
    if given == IMAGENET:
        return IMAGENET
    file = Path(given) / f"{architecture.name}.weights.h5"
    if not file.is_file():
        raise SpaceError(f"--weights {given}: no {file.name} in it; give imagenet, random or a folder that holds it")
    return str(file)


def identity_of(weights: str) -> str:
    """What must stay the same for a search to be resumed: the word, or the digest of the file."""
    if weights in (IMAGENET, RANDOM):
        return weights
    return hashlib.blake2b(Path(weights).read_bytes(), digest_size=16).hexdigest()


def build_backbone(architecture: Architecture, image_size: int, weights: str, configuration: Configuration) -> Any:
    """The architecture's network with its weights, not trainable: (batch, size, size, 1) grey to (batch, features).

    Raises: SpaceError where the weights are absent or do not fit.
    """
    from spaces.tensorflow_runtime import drawing_weights, keras

    with drawing_weights:
        keras().utils.set_random_seed(seed_of("backbone", DATA_SEED, architecture.name))
        backbone = architecture.build(image_size, weights if weights == IMAGENET else RANDOM, configuration)
    if weights not in (IMAGENET, RANDOM):
        _load_file(backbone, Path(weights))
    backbone.trainable = False
    return backbone


def _load_file(backbone: Any, path: Path) -> None:
    """Load a `.weights.h5` of the same network, by Keras 3 or, as keras.applications ships them, by Keras 2."""
    from spaces.tensorflow_runtime import keras

    try:
        with h5py.File(path) as file:
            old_layout = "layer_names" in file.attrs
            if old_layout:
                keras().src.legacy.saving.legacy_h5_format.load_weights_from_hdf5_group(file, backbone)
        if not old_layout:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Keras only warns of layers that the file does not hold
                backbone.load_weights(path)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        raise SpaceError(
            f"--weights: {path} does not fit the network: {error}; save it from the same network"
        ) from None


def network_digest(network: Any) -> str:
    """A digest of a network's layers, their settings and connections, and all its arrays."""
    digest = hashlib.blake2b(digest_size=16)
    maker = {id(layer.output): layer.name for layer in network.layers}
    for layer in network.layers:
        settings = {name: value for name, value in layer.get_config().items() if name != "dtype"}
        sources = [maker[id(tensor)] for tensor in layer_inputs(layer)]
        digest.update(json.dumps([type(layer).__name__, sources, settings], default=str).encode())
    digest.update(weights_digest(network).encode())
    return digest.hexdigest()


def weights_digest(network: Any) -> str:
    """A digest of all a network's arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for array in network.get_weights():
        digest.update(str(array.shape).encode() + array.tobytes())
    return digest.hexdigest()
