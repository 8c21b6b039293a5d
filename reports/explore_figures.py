"""The plots of a data set before any search; each draws one table of `reports.explore_tables`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from radiographs.parts import LABELS
from radiographs.splits import SPLITS
from reports.explore_tables import MOST_VIEWS
from reports.figures import LIGHT, Theme, head, label_rows, legend_beside_head, new_figure, split_colours, style_axes

WIDTH, ROW, MARGINS = 10.0, 0.42, 1.3  # inches
COLUMNS, PANEL = 4, 2.4  # small panels in a row; inches of a row
LEAST_TOLD = 0.06  # share of a bar from which its number is written into it


def people_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """Bars of patients and of studies per part, stacked by split, the totals beside them.

    Args:
        table: as `people_table` gives it, with one row at least.
    """
    parts = list(dict.fromkeys(table["part"]))
    figure = new_figure(WIDTH, MARGINS + ROW * len(parts), theme)
    panels = figure.subplots(1, 2, sharey=True)
    colours = split_colours(theme)
    for axes, count in zip(panels, ("patients", "studies"), strict=True):
        style_axes(axes, theme)
        wide = table.pivot(index="part", columns="split", values=count).loc[parts, list(SPLITS)]
        _stack(axes, wide, [colours[split] for split in SPLITS], theme)
        totals = wide.sum(axis=1)
        for row, total in enumerate(totals):
            axes.text(total, row, f" {total:,}", va="center", fontsize=8, color=theme.ink)
        axes.set_xlim(0, 1.15 * max(1, totals.max()))
        axes.set_xlabel(count, loc="left", color=theme.faint, fontsize=9)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=5)
    label_rows(panels[0], parts, theme)
    legend_beside_head(figure, panels[0], theme)
    head(figure, "Patients and studies per part", theme)
    return figure


def views_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """The shares of studies with one, two, ... images, a bar a part, the studies written into it.

    Args:
        table: as `views_table` gives it, with one row at least.
    """
    parts = list(dict.fromkeys(table["part"]))
    wide = table.pivot(index="part", columns="views", values="studies").loc[parts].fillna(0).astype(int)
    wide = wide.sort_index(axis=1)
    shades = LinearSegmentedColormap.from_list("views", [theme.grid, theme.blue])
    colours = [shades((view - 1) / (MOST_VIEWS - 1)) for view in wide.columns]
    shares = wide.div(wide.sum(axis=1), axis=0)
    shares.columns = pd.Index([f"{view} or more" if view == MOST_VIEWS else str(view) for view in wide.columns])
    figure = new_figure(WIDTH, MARGINS + ROW * len(parts), theme)
    axes = figure.subplots()
    style_axes(axes, theme)
    _stack(axes, 100 * shares, colours, theme)
    starts = 100 * (shares.cumsum(axis=1) - shares)
    for row, column in np.argwhere(shares.to_numpy() >= LEAST_TOLD):
        middle = starts.iloc[row, column] + 50 * shares.iloc[row, column]
        dark = sum(colours[column][:3]) < 1.6
        axes.text(middle, row, f"{wide.iloc[row, column]:,}", ha="center", va="center", fontsize=8,
                  color="#ffffff" if dark else "#1c2126")  # fmt: skip
    axes.set_xlim(0, 100)
    axes.set_xlabel("per cent of the part's studies; numbers are studies", loc="left", color=theme.faint, fontsize=9)
    label_rows(axes, parts, theme)
    legend_beside_head(figure, axes, theme)
    head(figure, "Images of a study", theme)
    return figure


def sizes_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """Width and height of the images, a panel a part; a mark's area grows with the images of that size.

    Args:
        table: as `sizes_table` gives it, with one row at least.
    """
    parts = list(dict.fromkeys(table["part"]))
    figure, panels = _panels(parts, theme, height=1.1 * PANEL)
    most = 1.08 * max(table["width"].max(), table["height"].max())
    ticks = [tick for tick in MaxNLocator(4).tick_values(0, most) if tick <= most]
    for axes, part in zip(panels, parts, strict=True):
        own = table[table["part"] == part]
        area = 12 + 160 * own["images"] / own["images"].sum()
        axes.axline((0, 0), slope=1, color=theme.grid, linewidth=0.8, zorder=1)
        axes.scatter(own["width"], own["height"], s=area, color=theme.blue, alpha=0.55, linewidths=0, zorder=2)
        axes.set(xlim=(0, most), ylim=(0, most), aspect="equal", xticks=ticks, yticks=ticks)
        axes.set_xlabel("width", loc="left", color=theme.faint, fontsize=9)
    _label_heights(panels, "height")
    head(figure, "Sizes in pixels", theme)
    return figure


def greys_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """How often each grey occurs in the normal and the abnormal images, a panel a part, on a logarithmic scale.

    Args:
        table: as `greys_table` gives it, with one row at least.
    """
    parts = list(dict.fromkeys(table["part"]))
    figure, panels = _panels(parts, theme, height=PANEL)
    colours = dict(zip(LABELS, (theme.blue, theme.red), strict=True))
    for axes, part in zip(panels, parts, strict=True):
        for label in LABELS:
            own = table[(table["part"] == part) & (table["label"] == label)]
            shares = 100 * own["share"].where(own["share"] > 0)
            axes.step(own["grey"], shares, where="post", color=colours[label], label=label, linewidth=1.4)
        axes.set(yscale="log", xlim=(0, 255), ylim=(0.01, 100), xticks=[0, 128, 255])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("grey", loc="left", color=theme.faint, fontsize=9)
    _label_heights(panels, "per cent of pixels")
    legend_beside_head(figure, panels[0], theme)
    head(figure, "Greys", theme)
    return figure


def _stack(axes: Axes, wide: pd.DataFrame, colours: Sequence[object], theme: Theme) -> None:
    """Bars, a row each, of the columns one after the other."""
    start = np.zeros(len(wide))
    for column, colour in zip(wide, colours, strict=True):
        axes.barh(range(len(wide)), wide[column], left=start, height=0.62, color=colour, label=column,
                  edgecolor=theme.paper, linewidth=0.6, zorder=2)  # fmt: skip
        start = start + wide[column].to_numpy()


def _panels(parts: Sequence[str], theme: Theme, height: float) -> tuple[Figure, list[Axes]]:
    """Small panels of one scale, titled with the parts."""
    rows = -(-len(parts) // COLUMNS)
    figure = new_figure(WIDTH, 0.7 + height * rows, theme)
    grid = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(parts) :]:
        axes.remove()
    panels = list(grid[: len(parts)])
    for axes, part in zip(panels, parts, strict=True):
        style_axes(axes, theme)
        axes.grid(axis="both", color=theme.grid, linewidth=0.8)
        axes.tick_params(labelbottom=True)
        axes.set_title(part, loc="left", color=theme.ink, fontsize=10)
    return figure, panels


def _label_heights(panels: Sequence[Axes], label: str) -> None:
    for axes in panels[::COLUMNS]:
        axes.set_ylabel(label, color=axes.xaxis.label.get_color(), fontsize=9)
