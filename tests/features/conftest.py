"""Drawn pixels, and trunks small enough to extract with in a test."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from features.cache import FrozenPart
from features.extractor import Extractor
from plumbing.seeds import generator_of
from radiographs.dataset import SizedPixels
from spaces import architecture_named
from spaces.network import make_trunk
from spaces.weights import RANDOM, build_backbone, weights_digest

SIZE = 32


@dataclass(frozen=True)
class Frozen:
    """A backbone cut, and what the cache knows it by."""

    part: FrozenPart
    trunk: Any
    extractor: Extractor


@cache
def frozen_part(architecture: str, cut: str) -> Frozen:
    configuration = {"blocks": 2, "filters_1": 16, "filters_2": 32}
    backbone = build_backbone(architecture_named(architecture), SIZE, RANDOM, configuration)
    trunk = make_trunk(backbone, architecture_named(architecture).cut(cut))
    return Frozen(FrozenPart(architecture, weights_digest(backbone), cut, SIZE), trunk, Extractor(trunk))


@pytest.fixture(scope="session")
def frozen() -> Callable[[str, str], Frozen]:
    """The frozen part of an architecture at a cut, with random weights at 32 px."""
    return frozen_part


@pytest.fixture(scope="session")
def pixels() -> SizedPixels:
    """37 drawn images: one batch and a part of another."""
    drawn = generator_of("test of features").integers(0, 256, (37, SIZE, SIZE), np.uint8)
    return SizedPixels(SIZE, drawn, {f"image{row:02d}": row for row in range(37)})


@pytest.fixture(scope="session")
def digests(pixels: SizedPixels) -> list[str]:
    """The images' names in no particular order."""
    return sorted(pixels.row_of, key=lambda name: generator_of("order", name).random())
