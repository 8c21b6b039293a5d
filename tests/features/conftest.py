"""Drawn pixels, and views of them."""

from collections.abc import Callable

import numpy as np
import pytest

from features.extractor import Images, Views
from plumbing.seeds import generator_of
from radiographs.dataset import SizedPixels

MakeViews = Callable[..., Views]


@pytest.fixture(scope="session")
def make_views() -> MakeViews:
    """Views of at most 37 drawn images, one batch and a part of another, in no particular order."""

    def make(level: str = "no", view: int = 0, size: int = 32, count: int = 37) -> Views:
        drawn = generator_of("drawn", size).integers(0, 256, (37, size, size), np.uint8)
        row_of = {f"image{row:02d}": row for row in range(37)}
        order = sorted(row_of, key=lambda name: generator_of("order", name).random())
        return Views(Images(SizedPixels(size, drawn, row_of), tuple(order[:count])), level, view)

    return make
