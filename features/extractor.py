"""A frozen trunk's output for views of images.

Batches are fixed and padded, because a network's last bits change with the batch size: the same images in the same
order give the same bits, whoever asks and whenever.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiographs.augmentation import view_of
from radiographs.dataset import SizedPixels

BATCH = 32


def view_batches(
    pixels: SizedPixels, digests: Sequence[str], level: str, view: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Start and views of each batch of images, (images, size, size, 1) uint8, made one batch ahead in other threads."""
    starts = range(0, len(digests), BATCH)

    def make(digest: str) -> NDArray[np.uint8]:
        return view_of(pixels.of(digest), level, digest, view)

    with ThreadPoolExecutor(os.cpu_count()) as pool:

        def begin(start: int) -> list[Future[NDArray[np.uint8]]]:
            return [pool.submit(make, digest) for digest in digests[start : start + BATCH]]

        ahead = begin(0) if digests else []
        for start in starts:
            current, ahead = ahead, begin(start + BATCH)
            yield start, np.stack([future.result() for future in current])[..., None]


class Extractor:
    """A trunk that turns views into features.

    Attributes:
        shape: of one image's features.
    """

    def __init__(self, trunk: Any) -> None:
        from spaces.tensorflow_runtime import tensorflow

        tf = tensorflow()
        self.shape: tuple[int, ...] = tuple(trunk.output.shape[1:])
        signature = tf.TensorSpec((BATCH, *trunk.input.shape[1:]), tf.float32)
        self._forward = tf.function(lambda grey: trunk(grey, training=False), input_signature=[signature])

    def batch(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (images, *shape) float32 of at most `BATCH` views (images, size, size, 1) uint8."""
        padded = np.zeros((BATCH, *views.shape[1:]), np.float32)
        padded[: len(views)] = views
        return np.asarray(self._forward(padded)[: len(views)])
