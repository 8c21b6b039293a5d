"""Views of images through frozen layers, in fixed padded batches.

Batches are fixed because a network's last bits change with the batch size: the same images in the same order give the
same bits, whoever asks and whenever. The next batch's views are made in other threads while one is computed.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray

from features.forward import BATCH, Forward, processors
from radiographs import augmentation, decoding
from radiographs.augmentation import view_of
from radiographs.dataset import SizedPixels


@dataclass(frozen=True)
class Images:
    """A list of images at one size.

    Attributes:
        digests: of the images' contents, in order.
    """

    pixels: SizedPixels
    digests: tuple[str, ...]

    @cached_property
    def key(self) -> str:
        """A digest of the list and the size."""
        content = json.dumps([self.pixels.size, self.digests])
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Views:
    """One view of each image of a list, in its order."""

    images: Images
    level: str
    view: int

    def __len__(self) -> int:
        return len(self.images.digests)

    @property
    def batches(self) -> range:
        """The numbers of the fixed batches."""
        return range(-(-len(self) // BATCH))

    def of_batch(self, batch: int) -> Sequence[str]:
        """The digests of a batch."""
        return self.images.digests[batch * BATCH : (batch + 1) * BATCH]


@cache
def code_of_views() -> str:
    """A digest of the code that makes views of files, ours and the libraries'."""
    digest = hashlib.blake2b(f"{cv2.__version__}, {PIL.__version__}".encode(), digest_size=8)
    for module in (decoding, augmentation):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def view_batches(views: Views, batches: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Number and views (images, size, size, 1) uint8 of each of these batches, made one batch ahead."""

    def make(digest: str) -> NDArray[np.uint8]:
        return view_of(views.images.pixels.of(digest), views.level, digest, views.view)

    with ThreadPoolExecutor(processors()) as pool:

        def begin(position: int) -> list[Future[NDArray[np.uint8]]]:
            if position == len(batches):
                return []
            return [pool.submit(make, digest) for digest in views.of_batch(batches[position])]

        ahead = begin(0)
        for position, batch in enumerate(batches):
            current, ahead = ahead, begin(position + 1)
            yield batch, np.stack([future.result() for future in current])[..., None]


def padded(views: NDArray[np.uint8]) -> NDArray[np.float32]:
    """At most `BATCH` views (images, size, size, 1) as (BATCH, size, size, 1) float32, zeros after them."""
    whole = np.zeros((BATCH, *views.shape[1:]), np.float32)
    whole[: len(views)] = views
    return whole


def extract(
    forward: Forward, views: Views, cuts: Sequence[str], batches: Sequence[int]
) -> Iterator[tuple[int, dict[str, NDArray[np.float32]]]]:
    """Number and features (images, *shape), cut by cut, of each of these batches."""
    for batch, made in view_batches(views, batches):
        found = forward(padded(made), cuts)
        yield batch, {cut: features[: len(made)] for cut, features in zip(cuts, found, strict=True)}
