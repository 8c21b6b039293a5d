"""A picture of a network with its cuts marked, from what its architecture declares: no network is built.

Above, the features at each cut as slabs, as high as the features' side; below, a line a cut: what is frozen and what is
trained.
"""

import math
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from reports.figures import LIGHT, Theme, head, new_figure
from spaces.architecture import Architecture, Cut

WIDTH, NETWORK, CUT, MARGINS = 10.0, 2.6, 0.34, 0.9  # inches
HEAD = "head"  # what follows the backbone; all cuts train it


def architecture_title(architecture: Architecture) -> str:
    """Name, size of the images, work of a pass."""
    size = architecture.native_size
    return f"{architecture.name}: {size} x {size} px, {architecture.gigaflops:g} GFLOP an image"


def shape_text(cut: Cut) -> str:
    """The features at the cut.

    >>> shape_text(Cut("all", "avg_pool", (1024,))), shape_text(Cut("none", None, (224, 224, 1)))
    ('1024', '224 x 224 x 1')
    """
    return " x ".join(map(str, cut.features))


def architecture_alt(architecture: Architecture) -> str:
    """What the picture shows, in words."""
    cuts = "; ".join(f"{cut.name} after {cut.after or 'the input'} ({shape_text(cut)})" for cut in architecture.cuts)
    return f"{architecture_title(architecture)}. Cuts: {cuts}."


def architecture_figure(architecture: Architecture, theme: Theme = LIGHT) -> Figure:
    """The network from input to head, and a bar a cut, blue what is frozen, orange what is trained."""
    cuts = architecture.cuts
    figure = new_figure(WIDTH, MARGINS + NETWORK + CUT * len(cuts), theme)
    network, bars = figure.subplots(2, 1, sharex=True, height_ratios=[NETWORK, CUT * len(cuts)])
    for axes in (network, bars):
        axes.set_facecolor(theme.paper)
        axes.set_axis_off()
    _draw_network(network, architecture, theme)
    _draw_cuts(bars, architecture, theme)
    bars.set_xlim(-1.15, len(cuts) + 0.35)
    head(figure, architecture_title(architecture), theme)
    return figure


def _height(cut: Cut, architecture: Architecture) -> float:
    """Half of a slab's height: the root of the side's share, so that small maps stay visible."""
    side = cut.features[0] if len(cut.features) == 3 else 1
    return 0.5 * max(0.12, math.sqrt(side / architecture.native_size))


def _draw_network(axes: Axes, architecture: Architecture, theme: Theme) -> None:
    cuts = architecture.cuts
    for place, (cut, following) in enumerate(pairwise(cuts)):
        left, right = _height(cut, architecture), _height(following, architecture)
        corners = [(place, -left), (place, left), (place + 1, right), (place + 1, -right)]
        axes.add_patch(Polygon(corners, facecolor=theme.band, edgecolor=theme.grid, linewidth=1))
    for place, cut in enumerate(cuts):
        half = _height(cut, architecture)
        axes.plot([place, place], [-half, half], color=theme.ink, linewidth=4, solid_capstyle="butt")
        axes.plot([place, place], [-0.72, -half], color=theme.faint, linewidth=0.8, linestyle=":", zorder=1.5)
        for height, text, below in ((half + 0.06, shape_text(cut), False), (-half - 0.06, cut.after or "grey", True)):
            axes.text(place, height, text, ha="center", va="top" if below else "bottom", fontsize=8 if below else 9,
                      color=theme.faint if below else theme.ink,
                      bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 1.5})  # fmt: skip
    last = len(cuts) - 1
    axes.annotate("", (last + 0.42, 0), (last + 0.04, 0), arrowprops={"arrowstyle": "->", "color": theme.faint})
    axes.text(last + 0.44, 0, HEAD, ha="left", va="center", fontsize=10, color=theme.ink,
              bbox={"boxstyle": "round", "facecolor": theme.band, "edgecolor": theme.grid})  # fmt: skip
    axes.set_ylim(-0.72, 0.68)


def _draw_cuts(axes: Axes, architecture: Architecture, theme: Theme) -> None:
    last = len(architecture.cuts) - 1
    for place, cut in enumerate(architecture.cuts):
        offered = cut.name in architecture.cheap_cuts
        axes.barh(place, place, height=0.5, color=theme.blue)
        axes.barh(place, last + 0.8 - place, left=place, height=0.5, color=theme.orange)
        axes.plot([place, place], [place - 0.42, place + 0.42], color=theme.ink, linewidth=2)
        axes.text(-0.05, place, f"{cut.name}{' *' if offered else ''}", ha="right", va="center", fontsize=8,
                  color=theme.ink, weight="bold" if offered else "normal")  # fmt: skip
    axes.text(0, last + 0.85, "blue: frozen", fontsize=8, color=theme.blue, va="center")
    axes.text(0.62, last + 0.85, "orange: trained", fontsize=8, color=theme.orange, va="center")
    axes.text(
        last + 0.8, last + 0.85, "* offered without a GPU", fontsize=8, color=theme.faint, va="center", ha="right"
    )
    axes.set_ylim(last + 1.1, -0.6)
