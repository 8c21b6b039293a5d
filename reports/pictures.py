"""Plots as small PNG files, one for light and one for dark pages.

A plot is drawn once, for light pages, in the theme's colours and their shades. The themes' colours correspond, so that
the picture for dark pages is the same points with the dark theme's colours in their places.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from reports.figures import DARK, LIGHT, Theme
from results.metrics import Integers

DOTS_PER_INCH = 110  # ten inches are a little more than the page's widest plot
SHADES = 10  # of each colour of a theme, towards its paper: soft edges; a third of the bytes of all colours
FILLED = 40  # of blue, which tells shares, too: with fewer, a small share would be nearest to a grey


@dataclass(frozen=True)
class Picture:
    """A plot for light and dark pages.

    Attributes:
        stem: of its file's name.
        alt: what it shows, in words.
        light, dark: PNG files. inches: the plot's width.
    """

    stem: str
    alt: str
    light: bytes
    dark: bytes
    inches: float = 10.0


def picture(stem: str, alt: str, draw: Callable[[Theme], Figure]) -> Picture:
    """The plot in both themes; the same plot gives the same bytes.

    Args:
        draw: takes its colours from the theme, and paints what it draws opaque or over paper alone.
    """
    figure = draw(LIGHT)
    figure.set_dpi(DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = _in_colours(np.asarray(canvas.buffer_rgba()), _palette(LIGHT))
    light, dark = (_png(image, theme) for theme in (LIGHT, DARK))
    return Picture(stem, alt, light, dark, float(figure.get_figwidth()))


def _png(image: Image.Image, theme: Theme) -> bytes:
    image.putpalette(_palette(theme).ravel().tolist())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=7)
    return buffer.getvalue()


_SHADES = dict.fromkeys((each.name for each in fields(Theme)), SHADES) | {"blue": FILLED}


@cache
def _palette(theme: Theme) -> Integers:
    """The theme's colours and their shades, (colours, 3) in 0..255; those of two themes stand in the same places.

    Chosen by us, not by the picture: a colour of few pixels, as of a dotted line, would be taken for another.
    """
    colours = {each.name: np.array(to_rgb(getattr(theme, each.name))) for each in fields(Theme)}
    paper = colours.pop("paper")
    shares = {name: np.arange(1, number + 1) / number for name, number in _SHADES.items()}
    shades = [paper + (colour - paper) * share for name, colour in colours.items() for share in shares[name]]
    return np.asarray((255 * np.array([paper, *shades])).round(), np.int64)


def _in_colours(pixels: NDArray[np.uint8], palette: Integers) -> Image.Image:
    """The picture (height, width, 4: red, green, blue, opaque) as places of the palette's nearest colours.

    The palette's first colour is the paper, which most points have.
    """
    packed = pixels.view("<u4")[..., 0] & 0xFFFFFF
    places = np.zeros(packed.shape, np.uint8)
    drawn = packed != palette[0] @ (1, 1 << 8, 1 << 16)
    found, place = np.unique(packed[drawn].astype(np.int64), return_inverse=True)
    colours = np.stack([found & 255, found >> 8 & 255, found >> 16], axis=1)
    places[drawn] = ((colours[:, None] - palette) ** 2).sum(axis=2).argmin(axis=1)[place]
    return Image.fromarray(places, "P")
