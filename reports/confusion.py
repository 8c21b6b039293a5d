"""What the best trial of a task called the studies, against what they are: counts by true and called label."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from plumbing.errors import StoreError
from plumbing.text import shorten
from radiographs.parts import class_names
from reports.figures import LIGHT, Theme, drawable, head, head_width, new_figure, plain, style_axes
from reports.ranking import ranked
from reports.tables import plain_line
from results.evaluation import confusion_counts
from results.store import Store

SPLITS = ("valid", "test")
COLUMNS = ["part_body", "search", "trial", "split", "true", "called", "studies"]
FEW = 4  # classes whose counts are written large, zeros too
# Inches: a cell's side, the room for labels and title.
FEW_CELL, MANY_CELL, MARGIN_X, MARGIN_Y, LABEL = 1.3, 0.36, 0.9, 1.3, 0.07


def confusion_table(store: Store, trials: pd.DataFrame, part: str) -> pd.DataFrame:
    """The studies of valid and test by their true label and by what the part's first trial called them.

    Args:
        trials: as `results.table.trials_table` gives them.
    Returns: part_body, search, trial, split, true, called, studies; a row for each pair of the part's classes; no rows
        where the store has no probabilities of that trial (imports have none).
    """
    rows = []
    for best in ranked(trials, part).head(1).itertuples(index=False):
        for split in SPLITS:
            probability = store.probabilities(best.trial_id, split)
            if probability is None:
                continue
            try:
                counts = confusion_counts(store.image_list(best.data_hash, part, split), probability)
            except StoreError:
                continue  # probabilities whose image list is not stored
            names = class_names(part)
            rows += [
                (part, best.search, best.trial, split, true, called, int(counts[row, column]))
                for row, true in enumerate(names)
                for column, called in enumerate(names)
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


def confusion_title(table: pd.DataFrame) -> str:
    """Which part, and whose calls.

    Args:
        table: as `confusion_table` gives it, with one row at least.
    """
    first = table.iloc[0]
    part, search = (shorten(plain_line(first[name]), 40) for name in ("part_body", "search"))
    return f"{part}: studies by true and called label, best trial ({search}, trial {first['trial']})"


def confusion_alt(table: pd.DataFrame) -> str:
    """What the figure shows, in words; with the counts where the classes are few."""
    title = confusion_title(table)
    if table["true"].nunique() > FEW:
        return f"{title}."
    told = [f"{row.split}, {row.true} called {row.called}: {row.studies}" for row in table.itertuples()]
    return f"{title}. {'; '.join(told)}."


def confusion_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """A panel a split: counts, coloured by their share of the studies of the same true label.

    Args:
        table: as `confusion_table` gives it, with one row at least.
    """
    splits, names = list(dict.fromkeys(table["split"])), list(dict.fromkeys(table["true"]))
    side = len(names) * (FEW_CELL if len(names) <= FEW else MANY_CELL)
    room = LABEL * max(map(len, names))
    below = MARGIN_Y if len(names) <= FEW else MARGIN_Y + room
    width = max(head_width(confusion_title(table)), MARGIN_X + room + side * len(splits))
    figure = new_figure(width, below + side, theme)
    panels = figure.subplots(1, len(splits), sharey=True, squeeze=False)[0]
    for axes, split in zip(panels, splits, strict=True):
        style_axes(axes, theme)
        axes.set_title(split, loc="left", color=theme.ink, fontsize=10)
        wide = table[table["split"] == split].pivot(index="true", columns="called", values="studies")
        _draw_counts(axes, wide.loc[names, names], theme)
        meaning = "count, share of row" if len(names) <= FEW else "coloured by share of row"
        axes.set_xlabel(f"called ({meaning})", color=theme.faint, fontsize=9)
    panels[0].set_ylabel("true", color=theme.faint, fontsize=9)
    head(figure, confusion_title(table), theme)
    return figure


def _draw_counts(axes: Axes, counts: pd.DataFrame, theme: Theme) -> None:
    few = len(counts) <= FEW
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy(float)
    colours = LinearSegmentedColormap.from_list("share", [theme.band, theme.blue])
    axes.grid(visible=False)
    axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
    for (row, column), share in ((cell, shares[cell]) for cell in _cells(len(counts))):
        count = int(counts.iloc[row, column])
        if count or few:
            text = f"{count:,}\n{100 * share:.0f} %" if few else f"{count:,}"
            colour = theme.paper if share > 0.5 else theme.ink
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=11 if few else 7)
    names = [drawable(name) for name in counts.index]
    axes.set_xticks(range(len(names)), names, color=theme.ink, rotation=0 if few else 90)
    axes.set_yticks(range(len(names)), names, color=theme.ink)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        plain(label)


def _cells(classes: int) -> list[tuple[int, int]]:
    return [(row, column) for row in range(classes) for column in range(classes)]
