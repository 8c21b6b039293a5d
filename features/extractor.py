"""Views of images through frozen layers, in fixed pieces and batches.

They are fixed because a network's last bits can change with the number of images in a run: the same images in the same
order give the same bits, whoever asks and whenever. Each thread makes the views of a piece and runs the layers on them,
so that no core waits for another; results come in order, batch by batch.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray

from features import forward
from features.forward import BATCH, Forward, processors
from plumbing import seeds
from radiographs import augmentation, decoding
from radiographs.augmentation import view_of
from radiographs.dataset import SizedPixels

Result = TypeVar("Result")


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
def code_of_features() -> str:
    """A digest of the code that makes views of files and runs layers on them, ours and the libraries'."""
    libraries = f"opencv {cv2.__version__}, pillow {PIL.__version__}, numpy {np.__version__}"
    digest = hashlib.blake2b(libraries.encode(), digest_size=8)
    for module in (decoding, augmentation, seeds, forward):
        digest.update(Path(str(module.__file__)).read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()


def view_batches(views: Views, batches: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Number and views (images, size, size, 1) uint8 of each of these batches."""
    for batch, pieces in _by_pieces(views, batches, 1, lambda made: made):
        yield batch, np.concatenate(pieces)


def extract(
    layers: Forward, views: Views, cuts: Sequence[str], batches: Sequence[int]
) -> Iterator[tuple[int, dict[str, NDArray[np.float32]]]]:
    """Number and features (images, *shape), cut by cut, of each of these batches."""
    for batch, pieces in _by_pieces(views, batches, layers.piece, lambda made: layers(made, cuts)):
        yield batch, {cut: np.concatenate(of_cut) for cut, of_cut in zip(cuts, zip(*pieces, strict=True), strict=True)}


def _by_pieces(
    views: Views, batches: Sequence[int], piece: int, function: Callable[[NDArray[np.uint8]], Result]
) -> Iterator[tuple[int, list[Result]]]:
    """Number of each of these batches and the function of each piece of its views.

    Threads work some batches ahead, so that all cores have work while the caller writes.
    """

    def work(digests: Sequence[str]) -> Result:
        pixels = views.images.pixels
        made = [view_of(pixels.of(digest), views.level, digest, views.view) for digest in digests]
        return function(np.stack(made)[..., None])

    def begin(batch: int) -> list[Future[Result]]:
        digests = views.of_batch(batch)
        return [pool.submit(work, digests[start : start + piece]) for start in range(0, len(digests), piece)]

    ahead = 1 + min(-(-processors() * piece // BATCH), 8)
    pool = ThreadPoolExecutor(processors())
    begun: list[list[Future[Result]]] = []
    try:
        for position, batch in enumerate(batches):
            while len(begun) < min(position + ahead + 1, len(batches)):
                begun.append(begin(batches[len(begun)]))
            yield batch, [future.result() for future in begun[position]]
            begun[position].clear()
    finally:
        pool.shutdown(cancel_futures=True)
