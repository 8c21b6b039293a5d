"""Frozen layers and images for tests of the cache, small and without TensorFlow, for other processes too."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.cache import FeatureCache
from features.extractor import Images, Views
from features.forward import BATCH, Forward
from features.records import FrozenNetwork
from radiographs.dataset import SizedPixels

COUNT = 70  # two batches and a part of a third
SHAPES = {"low": (2, 4), "high": (4,)}
TOY = FrozenNetwork("toy", "1234", SHAPES, {"low": "low_layer", "high": "high_layer"}, "toy 1.0", 0.001)
HIGH_BYTES, LOW_BYTES = COUNT * 4 * 4, COUNT * 8 * 4


def toy_run(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
    flat = grey.reshape(len(grey), -1)[:, :8]
    made = {"low": flat.reshape(-1, 2, 4), "high": 1 / (1 + flat[:, 4:])}
    return [made[cut] for cut in cuts]


toy_forward = Forward(BATCH, toy_run)


def toy_views(level: str = "no", view: int = 0, count: int = COUNT, size: int = 4) -> Views:
    drawn = np.random.default_rng(size).integers(0, 256, (max(count, COUNT), size, size), np.uint8)
    names = tuple(f"image{row}" for row in range(max(count, COUNT)))
    return Views(
        Images(SizedPixels(size, drawn, {name: row for row, name in enumerate(names)}), names[:count]), level, view
    )


class Counting:
    """The toy's forward pass, and what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def make(self) -> Forward:
        def run(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
            self.asked.append(tuple(cuts))
            return toy_run(grey, cuts)

        return Forward(BATCH, run)


def ask(cache: FeatureCache, cut: str = "high", together: Sequence[str] = (), **views: Any) -> NDArray[np.float32]:
    """The toy's features from a cache."""
    return cache.features(TOY, lambda: toy_forward, toy_views(**views), cut, together)


def anew(cut: str = "high", **views: Any) -> bytes:
    """The same, never kept."""
    return ask(FeatureCache(None), cut, **views).tobytes()
