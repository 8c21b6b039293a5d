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


@dataclass(frozen=True)
class SmallRadiograph:
    """Its path as a plain line, its size in pixels, its PNG file."""

    path: str
    width: int
    height: int
    png: bytes


@dataclass(frozen=True)
class Exhibit:
    """Radiographs to be seen side by side, and a line on them."""

    shown: tuple[SmallRadiograph, ...]
    remark: str


def exhibit(root: Path, images: pd.DataFrame, paths: Sequence[str], remark: str) -> Exhibit:
    """The images at those paths, side by side.

    Args:
        images: columns path, width, height (as stored).
    Raises: OSError or radiographs.decoding.Unreadable where a file has gone or changed since it was surveyed.
    """
    sizes = images.set_index("path").loc[list(paths), ["width", "height"]]
    shown = (_shrink(root, row.Index, row.width, row.height) for row in sizes.itertuples())
    return Exhibit(tuple(shown), remark)


def _shrink(root: Path, path: str, width: int, height: int) -> SmallRadiograph:
    share = LONGER_SIDE / max(width, height)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    square = Image.fromarray(decode((root / path).read_bytes(), LONGER_SIDE))
    buffer = io.BytesIO()
    square.resize(size, Image.Resampling.BILINEAR).save(buffer, format="PNG")
    return SmallRadiograph(plain_line(path), *size, buffer.getvalue())
