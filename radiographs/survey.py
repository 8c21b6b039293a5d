"""Every image read and decoded once, for a first look at a data set: digest, size, greys, small pixels."""

import io
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from plumbing.progress import progress_bar
from radiographs.decoding import Unreadable, decode
from radiographs.pixels import digest_of
from radiographs.table import LeftOut

SIDE = 64  # pixels of the small images: 4 kB each, so that a hundred thousand fit in memory
BINS = 64  # of grey, each four levels wide


@dataclass(frozen=True)
class Survey:
    """What was read.

    Attributes:
        images: the given columns and digest, width, height (pixels as stored, before EXIF turns), mean and spread
            (standard deviation) of the small image's grey; without the unreadable.
        pixels: (images, SIDE, SIDE) uint8, row for row; sides squashed, as `decode` gives them.
        unreadable: the other files.
    """

    images: pd.DataFrame
    pixels: NDArray[np.uint8]
    unreadable: tuple[LeftOut, ...]


@dataclass(frozen=True)
class _Read:
    digest: str
    width: int
    height: int
    pixels: NDArray[np.uint8]


def survey(root: Path, images: pd.DataFrame) -> Survey:
    """Read every image once.

    Args:
        images: as `radiographs.table.scan` gives them; `path` is below `root`.
    """
    found: list[_Read | str] = []
    with (
        # Pillow's remarks on odd files. Here, because the threads' own filters undo one another.
        warnings.catch_warnings(),
        progress_bar("reading", len(images)) as advance,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for read in pool.map(lambda path: _read(root / path), images["path"]):
            found.append(read)
            advance(1)
    good = [read for read in found if not isinstance(read, str)]
    unreadable = [
        LeftOut(path, read) for path, read in zip(images["path"], found, strict=True) if isinstance(read, str)
    ]
    pixels = np.array([read.pixels for read in good], np.uint8).reshape(-1, SIDE, SIDE)
    kept = images[[not isinstance(read, str) for read in found]].reset_index(drop=True)
    facts = {
        "digest": [read.digest for read in good],
        "width": [read.width for read in good],
        "height": [read.height for read in good],
        "mean": [float(image.mean()) for image in pixels],
        "spread": [float(image.std()) for image in pixels],
    }
    return Survey(kept.assign(**facts), pixels, tuple(unreadable))


def _read(file: Path) -> _Read | str:
    """What the file holds, or why it cannot be read."""
    try:
        content = file.read_bytes()
        pixels = decode(content, SIDE)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except Unreadable as reason:
        return str(reason)
    with Image.open(io.BytesIO(content)) as header:  # decodes nothing
        return _Read(digest_of(content), header.width, header.height, pixels)


def grey_shares(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The share of the images' pixels in each of BINS bins of grey: (BINS,), its sum 1.

    Args:
        pixels: (images, side, side), one image at least.
    """
    counts = np.bincount(pixels.ravel() // (256 // BINS), minlength=BINS)
    return np.asarray(counts / counts.sum(), np.float64)
