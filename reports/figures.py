"""What the plots share: colours for light and dark pages, text that any name survives, PNG bytes.

Figures are plain `Figure` objects on the Agg canvas: no pyplot, so no window system and no global state.
Colours are Okabe and Ito's (jfly.uni-koeln.de/color, 2008), which stay apart for colour-blind readers.
"""

import io
from dataclasses import dataclass
from functools import cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

FONT = "DejaVu Sans"  # comes with matplotlib
DOTS_PER_INCH = 150
HEAD_POINTS, POINTS_PER_INCH = 11, 72


@dataclass(frozen=True)
class Theme:
    """The colours of a figure."""

    paper: str
    ink: str
    faint: str
    grid: str
    band: str
    blue: str
    orange: str
    green: str
    red: str


LIGHT = Theme("#ffffff", "#1c2126", "#5a636d", "#dfe3e8", "#f5f7f9", "#0072B2", "#E69F00", "#009E73", "#D55E00")
# On dark paper Okabe and Ito's sky blue stands for their blue.
DARK = Theme("#171b20", "#e8eaed", "#a3acb6", "#343b43", "#1e2329", "#56B4E9", "#E69F00", "#009E73", "#D55E00")


def split_colours(theme: Theme) -> dict[str, str]:
    """The colour of each split, the same in all plots."""
    return {"train": theme.blue, "valid": theme.orange, "test": theme.green}


def new_figure(width: float, height: float, theme: Theme) -> Figure:
    """An empty figure of that many inches."""
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.03)
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor=theme.paper, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def style_axes(axes: Axes, theme: Theme) -> None:
    """No frame, a light vertical grid behind the marks, quiet ticks."""
    axes.set_facecolor(theme.paper)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(axis="x", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=theme.faint, labelsize=9)


def label_rows(axes: Axes, labels: list[str], theme: Theme) -> None:
    """One row a label, the first on top."""
    axes.set_yticks(range(len(labels)), [drawable(label) for label in labels], color=theme.ink)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    for text in axes.get_yticklabels():
        plain(text)


def head(figure: Figure, title: str, theme: Theme) -> None:
    """The title, flush left."""
    plain(figure.suptitle(drawable(title), x=0.01, ha="left", color=theme.ink, fontsize=HEAD_POINTS, weight="bold"))


def head_width(title: str) -> float:
    """Inches that `head` needs for the title, its margins included."""
    font = get_font(findfont(FontProperties(family=FONT, weight="bold")))
    font.set_size(HEAD_POINTS, POINTS_PER_INCH)
    font.set_text(drawable(title))
    pixels = font.get_width_height()[0] / 64  # of 26.6 fixed point, FreeType's unit
    return float(pixels / POINTS_PER_INCH) + 0.3


def legend_above(axes: Axes, theme: Theme) -> None:
    """The legend in one line above the axes, so that it covers no data."""
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, borderaxespad=0.1, **_legend_style(theme))


def legend_beside_head(figure: Figure, axes: Axes, theme: Theme) -> None:
    """The legend of these axes at the figure's upper right."""
    figure.legend(*axes.get_legend_handles_labels(), loc="upper right", ncols=3, **_legend_style(theme))


def _legend_style(theme: Theme) -> dict[str, Any]:
    return {"frameon": False, "labelcolor": theme.ink, "fontsize": 9, "borderpad": 0.2}


def plain(text: Text) -> Text:
    """The same text, in the one font, with `$` standing for itself."""
    text.set_parse_math(False)
    text.set_fontfamily(FONT)
    return text


@cache
def _characters() -> frozenset[int]:
    return frozenset(get_font(findfont(FONT)).get_charmap())


def drawable(name: str) -> str:
    """The name with `?` for what the font cannot draw, which matplotlib would warn of."""
    return "".join(sign if ord(sign) in _characters() else "?" for sign in name)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="png", dpi=DOTS_PER_INCH, facecolor=figure.get_facecolor(), metadata={"Software": None}
    )
    return buffer.getvalue()
