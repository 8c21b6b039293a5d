"""The course of each search of a part: its trials' values by number, the best so far, and how trials ended."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plumbing.text import shorten
from reports.figures import LIGHT, Theme, head, legend_beside_head, new_figure
from reports.panels import panel
from reports.tables import plain_line
from results.records import FAILED, FINISHED, PRUNED, RUNNING, SEARCH
from results.store import Store

COLUMNS = ["part_body", "search", "engine", "objective", "trial", "state", "value", "best_so_far"]
MOST_SEARCHES = 4  # drawn, the newest; the table has all
WIDTH, ROW, MARGIN = 10.0, 2.5, 0.6  # inches
WITHOUT_VALUE = 0.05  # of the panel's height: where trials without a value are marked


def history_table(store: Store, trials: pd.DataFrame, part: str) -> pd.DataFrame:
    """All trials of the part's searches in the order of their numbers.

    Args:
        store: not read. trials: as `results.table.trials_table` gives them.
    Returns: `COLUMNS`; `best_so_far` is the highest value of the finished trials up to this one. No rows of imports.
    """
    rows = trials[(trials["part_body"] == part) & (trials["kind"] == SEARCH)]
    value = pd.to_numeric(rows["value"], errors="coerce").astype(float)
    rows = rows.assign(value=value, of_finished=value.where(rows["state"] == FINISHED))
    best = rows.groupby("search", sort=False)["of_finished"].cummax()
    best = best.groupby(rows["search"], sort=False).ffill()
    return rows.assign(best_so_far=best)[COLUMNS].reset_index(drop=True)


def history_title(table: pd.DataFrame) -> str:
    """Which part, and how many searches."""
    part, number = shorten(plain_line(table["part_body"].iloc[0]), 40), table["search"].nunique()
    if number == 1:
        return f"{part}: the search, trial by trial"
    which = f"the newest {MOST_SEARCHES} of {number} searches" if number > MOST_SEARCHES else f"{number} searches"
    return f"{part}: {which}, trial by trial"


def history_alt(table: pd.DataFrame) -> str:
    """The figure in words: how many trials of each search ended how, and its best."""
    told = []
    for search in _drawn(table):
        own = table[table["search"] == search]
        states = ", ".join(f"{number} {state}" for state, number in own["state"].value_counts(sort=False).items())
        best = own["best_so_far"].max()
        found = "" if pd.isna(best) else f", best {plain_line(own['objective'].iloc[0])} {best:.3f}"
        told.append(f"{plain_line(search)}: {states}{found}")
    return f"{history_title(table)}. {'; '.join(told)}."


def history_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """A panel a search.

    Args:
        table: as `history_table` gives it, with one row at least.
    """
    searches = _drawn(table)
    figure = new_figure(WIDTH, MARGIN + ROW * len(searches), theme)
    panels = figure.subplots(len(searches), 1, squeeze=False)[:, 0]
    for axes, search in zip(panels, searches, strict=True):
        own = table[table["search"] == search]
        name, objective = shorten(plain_line(search), 60), str(own["objective"].iloc[0] or "value")
        panel(axes, theme, name, "trial", objective)
        _draw_search(axes, own, theme)
    legend_beside_head(figure, panels[0], theme)
    head(figure, history_title(table), theme)
    return figure


def _drawn(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table["search"]))[-MOST_SEARCHES:]


def _draw_search(axes: Axes, table: pd.DataFrame, theme: Theme) -> None:
    marks = {
        FINISHED: ("o", theme.blue),
        PRUNED: ("v", theme.orange),
        FAILED: ("x", theme.red),
        RUNNING: (">", theme.green),
    }
    axes.step(table["trial"], table["best_so_far"], where="post", color=theme.ink, linewidth=1.3, label="best so far")
    low, high = table["value"].min(), table["value"].max()
    spread = (high - low) or 0.1
    lacking = table["value"].isna()
    if lacking.all():
        axes.set_yticks([])
        axes.text(
            0.5, 0.5, "no trial has a value", transform=axes.transAxes, ha="center", color=theme.faint, fontsize=9,
            backgroundcolor=theme.paper,
        )  # fmt: skip
    else:
        axes.set_ylim(low - spread * (0.22 if lacking.any() else 0.08), high + 0.08 * spread)
    for state, (marker, colour) in marks.items():
        own = table[table["state"] == state]
        if own.empty:
            continue
        style: dict[str, Any] = {"marker": marker, "s": 30, "color": colour, "zorder": 3}
        axes.scatter(own["trial"], own["value"], label=state, **style)
        others = own.loc[own["value"].isna(), "trial"]
        axes.scatter(others, [WITHOUT_VALUE] * len(others), transform=axes.get_xaxis_transform(), **style)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(table["trial"].min() - 0.5, table["trial"].max() + 0.5)
