"""Radiographs small enough to stand on a page."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from radiographs.decoding import decode
from reports.tables import plain_line

LONGER_SIDE = 192  # pixels
JPEG_QUALITY = 85  # a third of the bytes of a PNG file, the same to the eye


@dataclass(frozen=True)
class SmallRadiograph:
    """Its path as a plain line, its size in pixels, its JPEG file."""

    path: str
    width: int
    height: int
    jpeg: bytes


@dataclass(frozen=True)
class Exhibit:
    """Radiographs to be seen side by side, and a line on them."""

    shown: tuple[SmallRadiograph, ...]
    remark: str


def exhibit(
    root: Path, images: pd.DataFrame, paths: Sequence[str], remark: str, longer_side: int = LONGER_SIDE
) -> Exhibit:
    """The images at those paths, side by side.

    Args:
        images: columns path, width, height (as stored). longer_side: of each as shown, in pixels.
    Raises: OSError or radiographs.decoding.Unreadable where a file has gone or changed since it was surveyed.
    """
    sizes = images.set_index("path").loc[list(paths), ["width", "height"]]
    shown = (_shrink(root, row.Index, row.width, row.height, longer_side) for row in sizes.itertuples())
    return Exhibit(tuple(shown), remark)


def _shrink(root: Path, path: str, width: int, height: int, longer_side: int) -> SmallRadiograph:
    share = longer_side / max(width, height)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    square = Image.fromarray(decode((root / path).read_bytes(), longer_side))
    buffer = io.BytesIO()
    square.resize(size, Image.Resampling.BILINEAR).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return SmallRadiograph(plain_line(path), *size, buffer.getvalue())
