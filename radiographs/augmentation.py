"""Views: the v-th augmented version of an image, a pure function of (data seed, level, image, v).

    no       the image as it is
    light    rotation up to 30 degrees, horizontal flip         (as published)
    deep     light and vertical flip                            (as published)
    strong   deep with small shifts, zoom and contrast

What a rotation or shift uncovers is filled with the nearest pixel, as published.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plumbing.seeds import DATA_SEED, generator_of

LEVELS = ("no", "light", "deep", "strong")
ROTATION = 30.0  # degrees, either way
SHIFT = 0.05  # of the side, either way
ZOOM = 0.1  # either way
CONTRAST = 0.2  # either way, about the image's mean

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Change:
    """One view's transformation: degrees anticlockwise, flips, shifts in sides, zoom and contrast factors."""

    degrees: float = 0.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    shift_right: float = 0.0
    shift_down: float = 0.0
    zoom: float = 1.0
    contrast: float = 1.0


def draw_change(level: str, image: str, view: int) -> Change:
    """The transformation of an image's view.

    Args:
        image: the image's content digest, so that the same picture has the same views wherever it lies.
    """
    if level == "no":
        return Change()
    generator = generator_of("view", DATA_SEED, level, image, view)
    degrees = float(generator.uniform(-ROTATION, ROTATION))
    horizontal = bool(generator.random() < 0.5)
    vertical = bool(generator.random() < 0.5) and level in ("deep", "strong")
    if level != "strong":
        return Change(degrees, horizontal, vertical)
    right, down = generator.uniform(-SHIFT, SHIFT, 2).tolist()
    zoom, contrast = 1 + generator.uniform(-1, 1, 2) * (ZOOM, CONTRAST)
    return Change(degrees, horizontal, vertical, right, down, float(zoom), float(contrast))


def apply_change(pixels: Pixels, change: Change) -> Pixels:
    """The transformed image; (size, size) uint8 in and out."""
    if change == Change():
        return pixels
    size = pixels.shape[0]
    centre = (size - 1) / 2
    to_view = cv2.getRotationMatrix2D((centre, centre), change.degrees, change.zoom)
    to_view[:, 2] += (change.shift_right * size, change.shift_down * size)
    flip = np.array(
        [
            [-1.0 if change.flip_horizontal else 1.0, 0.0, 2 * centre if change.flip_horizontal else 0.0],
            [0.0, -1.0 if change.flip_vertical else 1.0, 2 * centre if change.flip_vertical else 0.0],
            [0.0, 0.0, 1.0],
        ]
    )
    warped = cv2.warpAffine(
        pixels, to_view @ flip, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if change.contrast == 1.0:
        return np.asarray(warped, np.uint8)
    mean = float(warped.mean())
    stretched = (warped.astype(np.float32) - mean) * change.contrast + mean
    return np.asarray(np.clip(np.rint(stretched), 0, 255), np.uint8)


def view_of(pixels: Pixels, level: str, image: str, view: int) -> Pixels:
    """View `view` of the image at the level: (size, size) uint8 in and out."""
    return apply_change(pixels, draw_change(level, image, view))
