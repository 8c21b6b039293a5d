"""Features of images at a cut, computed once and kept below the runs folder, memory-mapped.

A file holds one list of images at one level and view. Its name is the digest of all that its numbers depend on, so a
change of any of it asks for another file. A file is whole or absent, and a lock lets one process compute what others
wait for. Without the cache the same extractor computes the same numbers again, in memory.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.extractor import BATCH, Extractor, view_batches
from plumbing.files import atomic_path, locked
from plumbing.progress import progress_bar
from plumbing.seeds import DATA_SEED
from radiographs.dataset import SizedPixels

# Raised by hand whenever the numbers that extraction gives change.
EXTRACTION_VERSION = 1


@dataclass(frozen=True)
class FrozenPart:
    """What the features depend on besides the images.

    Attributes:
        weights: digest of the backbone's arrays.
    """

    architecture: str
    weights: str
    cut: str
    image_size: int


class FeatureCache:
    """Features below a folder; with `folder` None nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def path(self, part: FrozenPart, digests: Sequence[str], level: str, view: int) -> Path | None:
        """Where the features are or would be kept; None where nothing is."""
        if self.folder is None:
            return None
        settings = [part.weights, part.image_size, level, view, DATA_SEED, BATCH, EXTRACTION_VERSION, list(digests)]
        key = hashlib.blake2b(json.dumps(settings).encode(), digest_size=12).hexdigest()
        return self.folder / part.architecture / part.cut / f"{level}-{view}-{key}.npy"

    def features(
        self, part: FrozenPart, extractor: Extractor, pixels: SizedPixels, digests: Sequence[str], level: str, view: int
    ) -> NDArray[np.float32]:
        """The features of the images in the order of `digests`: (images, *extractor.shape) float32, read-only.

        Raises: OSError where the folder cannot be written or the disk is full.
        """
        path = self.path(part, digests, level, view)
        if path is None:
            return extract(extractor, pixels, digests, level, view, _in_memory(extractor, len(digests)))
        with locked(path.parent / "lock"):
            if not path.exists():
                with atomic_path(path) as temporary:
                    shape = (len(digests), *extractor.shape)
                    kept = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
                    with temporary.open("r+b") as file:  # a full disk must say so here, not kill the writer of a hole
                        os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
                    extract(extractor, pixels, digests, level, view, kept)
                    kept.flush()
        return np.asarray(np.lib.format.open_memmap(path, "r"))


def extract(
    extractor: Extractor,
    pixels: SizedPixels,
    digests: Sequence[str],
    level: str,
    view: int,
    into: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Fill `into`, (images, *extractor.shape), with the features of a view of each image, and give it back."""
    with progress_bar(f"extracting {level} view {view}", len(digests)) as advance:
        for start, views in view_batches(pixels, digests, level, view):
            into[start : start + len(views)] = extractor.batch(views)
            advance(len(views))
    return into


def _in_memory(extractor: Extractor, images: int) -> NDArray[np.float32]:
    return np.empty((images, *extractor.shape), np.float32)
