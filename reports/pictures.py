"""Plots as small PNG files, one for light and one for dark pages."""

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
    """The plot in both themes, laid out once: themes differ by their colours alone."""
    light, dark = draw(LIGHT), draw(DARK)
    on_light = small_png(light, LIGHT)
    _lay_out_alike(dark, light)
    return Picture(stem, alt, on_light, small_png(dark, DARK), float(light.get_figwidth()))


def small_png(figure: Figure, theme: Theme) -> bytes:
    """The figure as a PNG file of the theme's colours and their shades; the same figure gives the same bytes."""
    figure.set_dpi(DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    few = _in_colours(np.asarray(canvas.buffer_rgba())[..., :3], _palette(theme))
    buffer = io.BytesIO()
    few.save(buffer, "PNG", compress_level=7)
    return buffer.getvalue()


@cache
def _palette(theme: Theme) -> Integers:
    """The theme's colours and their shades, (colours, 3) in 0..255.

    Chosen by us, not by the picture: a colour of few pixels, as of a dotted line, would be taken for another.
    """
    paper, *others = (np.array(to_rgb(getattr(theme, each.name))) for each in fields(Theme))
    shades = [paper + (colour - paper) * share for colour in others for share in np.linspace(0, 1, SHADES + 1)[1:]]
    return np.asarray((255 * np.array([paper, *shades])).round(), np.int64)


def _in_colours(pixels: NDArray[np.uint8], palette: Integers) -> Image.Image:
    """The picture (height, width, 3) with each pixel in the nearest of the palette's colours."""
    packed = pixels.astype(np.int64) @ np.array([65536, 256, 1])
    found, place = np.unique(packed, return_inverse=True)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1)
    nearest = ((colours[:, None] - palette) ** 2).sum(axis=2).argmin(axis=1)
    image = Image.fromarray(nearest[place].reshape(packed.shape).astype(np.uint8))
    image.putpalette(palette.ravel().tolist())
    return image


def _lay_out_alike(figure: Figure, drawn: Figure) -> None:
    figure.set_layout_engine("none")
    for axes, laid in zip(figure.axes, drawn.axes, strict=True):
        axes.set_position(laid.get_position(original=True))
    for text, put in zip(figure.texts, drawn.texts, strict=True):
        text.set_position(put.get_position())
