"""Images that look alike though their files differ: resized, re-encoded, brightened, with a marker added.

Two images are near duplicates where their perceptual hashes differ in at most MOST_BITS of 64 bits and their pixels
correlate by at least LEAST_CORRELATION. The hash finds candidates among all pairs quickly; the correlation settles it,
because radiographs of one view are alike in the few shapes that the hash sees.

Source of the hash: Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions, the DCT based one:
which of the 8 x 8 lowest frequencies, the constant rows left out, lie above their median.
The limits were set on 913 radiographs. A picture's copies (JPEG of quality 50, half and 1.7 times the size, contrast
x 1.2, gamma 0.7) stayed within 8 bits and 0.986; two exposures of one patient reached 0.979. Mirrored, turned and
cropped copies are not found.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from plumbing.progress import progress_bar

MOST_BITS, LEAST_CORRELATION = 8, 0.985
LEAST_SPREAD = 2.0  # grey levels; flatter images show nothing to compare
SHRUNK, KEPT = 32, 8  # side of what is transformed; lowest frequencies that are kept, each way
_ROWS, _PAIRS = 256, 4096  # compared at once, to bound memory


@dataclass(frozen=True)
class NearPairs:
    """Pairs of near duplicates, in the order of their rows.

    Attributes:
        first, second: (pairs,) int64, rows; first < second.
        distance: (pairs,) int64, bits in which the hashes differ.
        correlation: (pairs,) float64, of the pixels.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.int64]
    correlation: NDArray[np.float64]


def perceptual_hashes(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The hash of each image: (images,) uint64.

    Args:
        pixels: (images, side, side); the side a multiple of 32.
    """
    images, side = pixels.shape[:2]
    block = side // SHRUNK
    shrunk = pixels.reshape(images, SHRUNK, block, SHRUNK, block).mean((2, 4), np.float32)
    cosines = scipy.fft.dct(np.eye(SHRUNK, dtype=np.float32), axis=0)[1 : KEPT + 1]
    frequencies = (cosines @ shrunk @ cosines.T).reshape(images, KEPT * KEPT)
    bits = frequencies > np.median(frequencies, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def near_pairs(pixels: NDArray[np.uint8]) -> NearPairs:
    """All pairs of near duplicates, equal images among them; flat images are compared with none.

    Args:
        pixels: (images, side, side) uint8; the side a multiple of 32.
    """
    rows = np.flatnonzero([image.std() >= LEAST_SPREAD for image in pixels])
    hashes = perceptual_hashes(pixels[rows])
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    with progress_bar("comparing", len(rows)) as advance:
        for start in range(0, len(rows), _ROWS):
            mine = hashes[start : start + _ROWS]
            distances = np.bitwise_count(mine[:, None] ^ hashes[None, start:])
            near, other = np.nonzero(np.triu(distances <= MOST_BITS, 1))
            for part in range(0, len(near), _PAIRS):
                one, two = near[part : part + _PAIRS], other[part : part + _PAIRS]
                first, second = rows[start + one], rows[start + two]
                alike = correlations(pixels[first], pixels[second])
                keep = alike >= LEAST_CORRELATION
                distance = distances[one, two].astype(np.int64)
                found.append((first[keep], second[keep], distance[keep], alike[keep]))
            advance(len(mine))
    if not found:
        nothing = np.zeros(0, np.int64)
        return NearPairs(nothing, nothing, nothing, np.zeros(0))
    first, second, distance, correlation = (np.concatenate(column) for column in zip(*found, strict=True))
    return NearPairs(first, second, distance, correlation)


def correlations(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pearson's correlation of each image with its counterpart: (images,).

    Args:
        one, two: (images, side, side), none of them constant.
    """

    def standard(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        flat = pixels.reshape(len(pixels), -1).astype(np.float32)
        flat -= flat.mean(axis=1, keepdims=True)
        return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True), np.float32)

    return np.asarray((standard(one) * standard(two)).sum(axis=1), np.float64)
