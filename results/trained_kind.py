"""Whether an image is of the kind that a model was trained on: how near its features lie to those of train.

An image's distance is the cosine distance of its features to the fifth nearest of train's (Sun et al. 2022, arXiv:
2204.06507, with a threshold that lets 95 % of valid through, section 3). A model's file holds the features and the
threshold, so that whoever has the file can ask.
"""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbing.seeds import DATA_SEED, generator_of
from results.card import CARD, NO_TIME

FEATURES = "trained_kind.npy"  # beside the card in a model's file
KEY = "trained_kind"  # in the card
NEIGHBOUR = 5
FALSE_ALARMS = 0.05  # of valid's images
MOST_KEPT = 2000  # of train's images: five megabytes of 1,280 features, and no more the larger the data

Features = NDArray[Any]  # (images, features), of any float type


@dataclass(frozen=True)
class TrainedKind:
    """What is kept of train.

    Attributes:
        features: (images, features) each row of length 1, of numbers that half precision has. threshold: the largest
            distance that is still of the trained kind.
    """

    features: NDArray[np.float32]
    threshold: float


def kept_rows(images: int) -> NDArray[np.int64]:
    """Which of so many images of train are kept, in order: all, or `MOST_KEPT` drawn by the data seed."""
    if images <= MOST_KEPT:
        return np.arange(images)
    return np.sort(generator_of("trained kind", DATA_SEED).choice(images, MOST_KEPT, replace=False))


def fit_trained_kind(train: Features, valid: Features) -> TrainedKind:
    """What is kept, with the threshold that a twentieth of valid's images at most lies beyond.

    Args:
        train: of the images of `kept_rows`, as the model was trained on them. valid: as they are.
    """
    kept = TrainedKind(_of_length_one(train).astype(np.float16).astype(np.float32), np.inf)
    threshold = np.quantile(distances(kept, valid), 1 - FALSE_ALARMS, method="higher")
    return TrainedKind(kept.features, float(threshold))


def distances(kind: TrainedKind, features: Features) -> NDArray[np.float32]:
    """(images,) distances, from 0 to 2; features that are all zero point nowhere, and lie at 1 from all."""
    nearest = min(NEIGHBOUR, len(kind.features))
    likeness = _of_length_one(features) @ kind.features.T
    return np.asarray(1 - np.partition(likeness, -nearest, axis=1)[:, -nearest], np.float32)


def add_trained_kind(path: Path, kind: TrainedKind) -> None:
    """Put the features into a `.keras` file; the threshold goes into its card, by `in_card`.

    Raises: OSError where the file cannot be written.
    """
    content = io.BytesIO()
    np.save(content, kind.features.astype(np.float16), allow_pickle=False)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(zipfile.ZipInfo(FEATURES, NO_TIME), content.getvalue(), zipfile.ZIP_DEFLATED)


def in_card(kind: TrainedKind) -> dict[str, Any]:
    """What the card says of it."""
    return {
        KEY: {
            "distance": f"cosine distance of the features before the head to the {NEIGHBOUR}th nearest in {FEATURES}",
            "threshold": kind.threshold,
            "valid_images_beyond": FALSE_ALARMS,
        }
    }


def read_trained_kind(path: Path) -> TrainedKind | None:
    """What a `.keras` file holds of the images that it was trained on; None where it holds nothing.

    Raises: OSError, zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError where it is damaged.
    """
    with zipfile.ZipFile(path) as file:
        if FEATURES not in file.namelist():
            return None
        card, features = json.loads(file.read(CARD)), np.load(io.BytesIO(file.read(FEATURES)), allow_pickle=False)
    threshold = float(card[KEY]["threshold"])
    if features.ndim != 2 or not features.size or not np.isfinite(features).all() or not np.isfinite(threshold):
        raise ValueError(f"{FEATURES} holds no features")
    return TrainedKind(features.astype(np.float32), threshold)


def _of_length_one(features: Features) -> NDArray[np.float32]:
    whole = np.asarray(features, np.float32)
    lengths = np.linalg.norm(whole, axis=1, keepdims=True)
    found: NDArray[np.float32] = np.divide(whole, lengths, out=np.zeros_like(whole), where=lengths > 0)
    return found
