"""Accuracies of a part's models: one row a model, three dots a row, as published."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from plumbing.text import shorten
from reports.figures import LIGHT, Theme, head, label_rows, legend_above, new_figure, split_colours, style_axes
from reports.ranking import ranked, ranked_by
from reports.tables import plain_line
from results.records import SPLITS
from results.table import ACCURACY_INTERVALS

MOST_ROWS = 40
LONGEST_NAME = 50
WIDTH, ROW, MARGINS = 10.0, 0.27, 1.5  # inches

# Shape and size (points squared), drawn in this order: where dots coincide, all can be seen.
MARKERS = {"train": ("o", 120), "valid": ("s", 42), "test": ("^", 40)}
INTERVALS = tuple(f"{split}_{bound}" for split in ("valid", "test") for bound in ("low", "high"))
BESIDE = {"valid": -0.26, "test": 0.26}  # where in a row an interval lies, of the row's height


def accuracy_table(trials: pd.DataFrame, part: str) -> pd.DataFrame:
    """The accuracies of the part's finished trials that have any, best first.

    Args:
        trials: as `results.table.trials_table` gives them.
    Returns: rank, label (unique, for the plot), search, trial, name_code, part_body, ranked_by (the column that made
        the order), train, valid, test and `INTERVALS` (per cent, by image; NaN where unknown, as imports' are).
    """
    rows = ranked(trials, part)
    accuracies = {split: pd.to_numeric(rows[f"{split}_accuracy_eval"], errors="coerce") for split in SPLITS}
    bounds = {name: pd.to_numeric(rows[column]) for name, column in zip(INTERVALS, ACCURACY_INTERVALS, strict=True)}
    columns = ["rank", "search", "trial", "name_code", "part_body"]
    table = rows[columns].assign(ranked_by=ranked_by(rows), **accuracies, **bounds)
    table.insert(1, "label", row_labels(rows))
    return table.dropna(subset=list(SPLITS), how="all").reset_index(drop=True)


def row_labels(rows: pd.DataFrame) -> list[str]:
    """A unique label a row: the name, where several have it with the trial's number, then with the search's name.

    Args:
        rows: with name_code, trial, search.
    """
    names = [plain_line(name) for name in rows["name_code"]]
    numbered = [f" #{trial}" for trial in rows["trial"]]
    searched = [
        f"{number} {shorten(plain_line(search), 20)}" for number, search in zip(numbered, rows["search"], strict=True)
    ]
    levels = [_joined(names, [""] * len(names)), _joined(names, numbered), _joined(names, searched)]
    counts = [pd.Series(level, dtype=object).value_counts() for level in levels]
    labels: list[str] = []
    taken: set[str] = set()
    for choices in zip(*levels, strict=True):
        unique = [label for label, count in zip(choices, counts, strict=True) if count[label] == 1]
        label = unique[0] if unique else choices[-1]
        labels.append(_untaken(label, taken))
        taken.add(labels[-1])
    return labels


def _joined(names: list[str], endings: list[str]) -> list[str]:
    return [shorten(name, LONGEST_NAME - len(end)) + end for name, end in zip(names, endings, strict=True)]


def _untaken(label: str, taken: set[str]) -> str:
    number, free = 2, label
    while free in taken:
        free, number = f"{label} ({number})", number + 1
    return free


def accuracy_limits(tables: Iterable[pd.DataFrame]) -> tuple[float, float]:
    """Least and greatest accuracy of all tables, rounded outwards to tens: one scale for plots to be compared.

    >>> bounds = {name: [float("nan")] for name in INTERVALS}
    >>> accuracy_limits([pd.DataFrame({"train": [71.2], "valid": [70.0], "test": [float("nan")]} | bounds)])
    (70.0, 80.0)
    """
    values = np.concatenate(
        [table[[*SPLITS, *INTERVALS]].to_numpy(float).ravel() for table in tables] or [np.array([])]
    )
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 100.0
    low, high = np.floor(values.min() / 10) * 10, np.ceil(values.max() / 10) * 10
    return float(low), float(max(high, low + 10))


def accuracy_title(table: pd.DataFrame) -> str:
    """Which part, how many models, in which order."""
    part, order = table["part_body"].iloc[0], table["ranked_by"].iloc[0]
    number = len(table)
    models = f"the best {MOST_ROWS} of {number} models" if number > MOST_ROWS else f"{number} model{'s' * (number > 1)}"
    return f"{shorten(plain_line(part), 40)}: accuracy of {models}, ordered by {order}"


def accuracy_figure(table: pd.DataFrame, limits: tuple[float, float] | None = None, theme: Theme = LIGHT) -> Figure:
    """Draw the first `MOST_ROWS` rows of an accuracy table.

    Args:
        table: as `accuracy_table` gives it, with one row at least.
        limits: of the scale, in per cent; None: this table's own.
    """
    rows = table.head(MOST_ROWS)
    low, high = limits or accuracy_limits([rows])
    figure = new_figure(WIDTH, MARGINS + ROW * len(rows), theme)
    axes = figure.add_subplot()
    style_axes(axes, theme)
    label_rows(axes, list(rows["label"]), theme)
    _draw_rows(axes, rows, theme)
    axes.set_xlim(low - 0.02 * (high - low), high + 0.02 * (high - low))
    axes.xaxis.set_major_locator(MultipleLocator(10 if high - low > 30 else 5))
    axes.set_xlabel(_x_label(rows), color=theme.faint, fontsize=9)
    head(figure, accuracy_title(table), theme)
    legend_above(axes, theme)
    return figure


def _x_label(rows: pd.DataFrame) -> str:
    bars = rows[list(INTERVALS)].notna().any(axis=None)
    return "accuracy by image, per cent" + ("; bars: 95 % intervals, patient bootstrap" if bars else "")


def _draw_rows(axes: Axes, rows: pd.DataFrame, theme: Theme) -> None:
    colours = split_colours(theme)
    heights = np.arange(len(rows))
    for height in heights[1::2]:
        axes.axhspan(height - 0.5, height + 0.5, color=theme.band, linewidth=0, zorder=0)
    values = rows[list(SPLITS)]
    axes.hlines(heights, values.min(axis=1), values.max(axis=1), color=theme.faint, alpha=0.6, linewidth=1, zorder=2)
    for split, beside in BESIDE.items():
        low, high = rows[f"{split}_low"], rows[f"{split}_high"]
        axes.hlines(heights + beside, low, high, color=colours[split], linewidth=1.3, zorder=2)
    for order, (split, (marker, size)) in enumerate(MARKERS.items()):
        axes.scatter(
            rows[split], heights, s=size, marker=marker, color=colours[split], edgecolors=theme.paper, linewidths=0.7,
            label=split, zorder=3 + order, clip_on=False,
        )  # fmt: skip
