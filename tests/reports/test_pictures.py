"""Pictures for light and dark pages: one drawing in the colours of two themes."""

import io
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from reports.figures import DARK, LIGHT, Theme
from reports.pictures import DOTS_PER_INCH, picture

NAMES = [each.name for each in fields(Theme)]


def squares(colours: Sequence[object], paper: str) -> Figure:
    """A square of an inch of each colour."""
    figure = Figure(figsize=(len(colours), 1), facecolor=paper)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, len(colours)), ylim=(0, 1))
    axes.set_axis_off()
    for place, colour in enumerate(colours):
        axes.add_patch(Rectangle((place, 0), 1, 1, facecolor=colour, linewidth=0))
    return figure


def shown(content: bytes) -> np.ndarray:
    """(squares, 3): the colour in the middle of each, 0..255."""
    with Image.open(io.BytesIO(content)) as image:
        row = np.asarray(image.convert("RGB"))[DOTS_PER_INCH // 2]
    return row[DOTS_PER_INCH // 2 :: DOTS_PER_INCH].astype(float)


def test_each_colour_of_a_theme_becomes_that_of_the_other() -> None:
    drawn = picture("squares", "alt", lambda theme: squares([getattr(theme, each) for each in NAMES], theme.paper))

    for content, theme in ((drawn.light, LIGHT), (drawn.dark, DARK)):
        wanted = [np.round(255 * np.array(to_rgb(getattr(theme, name)))) for name in NAMES]
        assert shown(content).tolist() == np.array(wanted).tolist()


def test_greater_shares_of_blue_are_further_from_the_paper_on_both_pages() -> None:
    shares = np.linspace(0.05, 1.0, 20)[:, None]

    def bars(theme: Theme) -> Figure:
        band, blue = np.array(to_rgb(theme.band)), np.array(to_rgb(theme.blue))
        return squares(list(band + shares * (blue - band)), theme.paper)

    drawn = picture("bars", "alt", bars)

    for content, theme in ((drawn.light, LIGHT), (drawn.dark, DARK)):
        away = np.linalg.norm(shown(content) - 255 * np.array(to_rgb(theme.paper)), axis=1)
        assert (np.diff(away) > 0).all()
