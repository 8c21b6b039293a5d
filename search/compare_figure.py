"""The picture of `search.compare`: best value so far against trials, epochs and seconds, a panel each.

Colours are Okabe and Ito's, as in `reports.figures`, which a search may not import.
"""

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plumbing.files import atomic_path
from results.curves import UNITS
from search.comparison import Side, mean_curve

BLUE, VERMILION, INK, FAINT, GRID = "#0072B2", "#D55E00", "#1c2126", "#5a636d", "#dfe3e8"
LABELS = {"trials": "trials", "epochs": "epochs trained", "seconds": "seconds of trials, summed"}
WIDTH, HEIGHT, DOTS_PER_INCH = 11.0, 3.8, 150  # inches
LONGEST = 40  # characters of a side's label


def write_figure(a: Side, b: Side, path: Path) -> None:
    """Draw the comparison into a PNG file.

    Raises: OSError where it cannot be written.
    """
    figure = compare_figure(a, b)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def compare_figure(a: Side, b: Side) -> Any:
    """The means as steps, their intervals as bands, single repeats as faint steps."""
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(UNITS), sharey=True)
    for axes, unit in zip(panels, UNITS, strict=True):
        _style(axes)
        axes.set_xlabel(LABELS[unit], color=FAINT, fontsize=9)
        _draw(axes, a, "a", unit, BLUE, "solid")
        _draw(axes, b, "b", unit, VERMILION, (0, (4, 1)))  # where they coincide, both are seen
        axes.set_xlim(left=0)
    first = next(iter(a.searches.values()))
    panels[0].set_ylabel(f"best {first.objective} so far", color=FAINT, fontsize=9)
    title = figure.suptitle(f"{first.task}: best {first.objective} so far", x=0.01, ha="left", fontsize=11, color=INK)
    title.set_parse_math(False)
    legend = figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False, fontsize=9,
        labelcolor=INK,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _draw(axes: Any, side: Side, letter: str, unit: str, colour: str, line: Any) -> None:
    costs, means = mean_curve(side, letter, unit)
    repeats = len(side.searches)
    if repeats > 1:
        for curve in side.curves(unit):
            axes.step(curve.cost, curve.best, where="post", color=colour, linewidth=0.6, alpha=0.35)
        axes.fill_between(costs, means.low, means.high, step="post", color=colour, alpha=0.15, linewidth=0)
    label = _label(letter, side)
    axes.step(costs, means.mean, where="post", color=colour, linestyle=line, linewidth=1.8, label=label, zorder=3)


def _label(letter: str, side: Side) -> str:
    name = side.label if len(side.label) <= LONGEST else f"{side.label[: LONGEST - 1]}…"
    repeats = len(side.searches)
    return f"{letter.upper()}: {name}" + (f" (mean of {repeats}, 95 %)" if repeats > 1 else "")


def _style(axes: Any) -> None:
    """No frame, a light grid, quiet ticks."""
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=FAINT, labelsize=9)
