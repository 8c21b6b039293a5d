"""What mattered in a part's searches: the importances of the parameters that all trials have, and what chance gives."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plumbing.text import shorten
from reports.figures import (
    LIGHT,
    Theme,
    drawable,
    head,
    label_rows,
    legend_beside_head,
    new_figure,
    plain,
    style_axes,
)
from reports.tables import plain_line
from results.records import SEARCH
from results.store import Store

COLUMNS = [
    "part_body", "search", "trials", "parameter", "fanova", "ped_anova", "ped_anova_by_chance", "not_told_because",
]  # fmt: skip
MOST_SEARCHES = 4  # told of, the newest
MOST_ROWS = 12  # parameters drawn of a search; the table has all
TREES = 16  # of fANOVA's forest: a quarter of `reports.study`'s, in a quarter of its time
WIDTH, ROW, PANEL, MARGIN, BAR = 10.0, 0.36, 0.85, 0.5, 0.36  # inches, but for the bar: of a row


def importances_table(store: Store, trials: pd.DataFrame, part: str) -> pd.DataFrame:
    """The importances in the part's newest searches, each on its own, since they may have searched other spaces.

    Args:
        trials: as `results.table.trials_table` gives them.
    Returns: `COLUMNS`, the most important parameter first; of a search that too few trials stand for, or that cannot
        tell otherwise, one row without a parameter that says why.
    """
    from reports.importances import by_chance, refusal, scope_table, scopes  # Optuna is loaded where it is used
    from reports.search_study import study_of

    own = trials.loc[(trials["part_body"] == part) & (trials["kind"] == SEARCH), "search"]
    searches = {search.name: search for search in store.searches()}
    rows: list[dict[str, object]] = []
    for name in list(dict.fromkeys(own))[-MOST_SEARCHES:]:
        shared = scopes(study_of(store, searches[name]))[0]
        common = {"part_body": part, "search": name, "trials": len(shared.trials)}
        because = refusal(shared)
        if because is not None:
            rows.append(common | {"not_told_because": because.partition(": ")[2]})
            continue
        chance = by_chance(shared)
        for row in scope_table(shared, TREES).to_dict("records"):
            told = {each: row[each] for each in ("parameter", "fanova", "ped_anova")}
            rows.append(common | told | {"ped_anova_by_chance": chance[str(row["parameter"])], "not_told_because": ""})
    numbers = dict.fromkeys(("fanova", "ped_anova", "ped_anova_by_chance"), float)
    return pd.DataFrame(rows, columns=COLUMNS).astype(numbers)


def importances_drawn(table: pd.DataFrame) -> bool:
    """Whether any search could tell importances."""
    return bool(table["parameter"].notna().any())


def importances_remark(table: pd.DataFrame) -> str:
    """How many trials the importances of each search rest on, or why there are none, and how many beat chance."""
    told = []
    for search, own in table.groupby("search", sort=False):
        because, name = own["not_told_because"].iloc[0], shorten(plain_line(search), 60)
        above = int((own["ped_anova"] > own["ped_anova_by_chance"]).sum())
        found = f"{own['trials'].iloc[0]} trials, {above or 'none'} of {len(own)} parameters beyond chance"
        told.append(f"{name}: nothing told, {because}" if because else f"{name}: {found}")
    return f"{'; '.join(told)}."


def importances_title(table: pd.DataFrame) -> str:
    """Which part."""
    return f"{shorten(plain_line(table['part_body'].iloc[0]), 40)}: what mattered"


def importances_alt(table: pd.DataFrame) -> str:
    """The figure in words: the importances of each search's parameters."""
    told = []
    for search, own in _drawn(table).groupby("search", sort=False):
        numbers = [
            f"{plain_line(row.parameter)} {_share(row.fanova)} and {_share(row.ped_anova)}" for row in own.itertuples()
        ]
        told.append(f"{plain_line(search)}: {', '.join(numbers)}")
    return f"{importances_title(table)}; importance by fANOVA and by PED-ANOVA. {'; '.join(told)}."


def _share(value: float) -> str:
    return "unknown" if np.isnan(value) else f"{value:.2f}"


def importances_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """A panel a search: two bars a parameter, a mark where chance alone may take the second.

    Args:
        table: as `importances_table` gives it, of which `importances_drawn` holds.
    """
    shown = _drawn(table)
    searches = [own for _, own in shown.groupby("search", sort=False)]
    heights = [PANEL + ROW * len(own) for own in searches]
    figure = new_figure(WIDTH, MARGIN + sum(heights), theme)
    panels = figure.subplots(len(searches), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, own in zip(panels, searches, strict=True):
        style_axes(axes, theme)
        _draw_bars(axes, own, theme)
        name = drawable(shorten(plain_line(own["search"].iloc[0]), 60))
        plain(axes.set_title(f"{name}, {own['trials'].iloc[0]} trials", loc="left", color=theme.ink, fontsize=10))
        axes.set_xlabel("share of the importance", loc="left", color=theme.faint, fontsize=9)
    legend_beside_head(figure, panels[0], theme)
    head(figure, importances_title(table), theme)
    return figure


def _draw_bars(axes: Axes, table: pd.DataFrame, theme: Theme) -> None:
    rows = np.arange(len(table))
    axes.barh(rows - BAR / 2, table["fanova"].fillna(0), BAR, color=theme.blue, label="fANOVA", zorder=2)
    axes.barh(rows + BAR / 2, table["ped_anova"].fillna(0), BAR, color=theme.orange, label="PED-ANOVA", zorder=2)
    axes.scatter(
        table["ped_anova_by_chance"], rows + BAR / 2, s=110, marker="|", linewidths=2.0, color=theme.ink,
        label="PED-ANOVA by chance", zorder=3,
    )  # fmt: skip
    axes.set_xlim(0, 1)
    label_rows(axes, [shorten(plain_line(name), 40) for name in table["parameter"]], theme)


def _drawn(table: pd.DataFrame) -> pd.DataFrame:
    told = table[table["parameter"].notna()]
    return told.groupby("search", sort=False).head(MOST_ROWS)
