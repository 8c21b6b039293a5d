"""The images that were searched on: how many of each part, label and split, from the store's own lists."""

import math
from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plumbing.errors import StoreError
from radiographs.parts import ALL_PARTS, LABELS, PARTS, class_names
from reports.figures import LIGHT, Theme, head, label_rows, legend_beside_head, new_figure, style_axes
from results.records import SPLITS, Search
from results.store import Store

COLUMNS = ["task", "data_hash", "split", "part", "label", "images"]
WIDTH, ROW, MARGINS = 10.0, 0.52, 1.5  # inches
ROOM_FOR_COUNTS, LEAST_PANEL = 1.25, 0.3  # panel to bar; least panel to widest


def images_table(store: Store, searches: Iterable[Search]) -> pd.DataFrame:
    """The images of each search's data, once for each data and task.

    Returns: task, data_hash, split, part, label (normal or abnormal), images; a row for each part and label of the
        task's classes, 0 images where there are none; no rows for data whose lists the store has not.
    """
    wanted = dict.fromkeys((search.task, search.data_hash) for search in searches)
    tasks = [(task, data_hash) for task, data_hash in wanted if task and data_hash]
    tasks.sort(key=lambda each: (each[0] == ALL_PARTS, each[0]))  # stable: data in the order of the searches
    rows = [row for task, data_hash in tasks for split in SPLITS for row in _counts(store, task, data_hash, split)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _counts(store: Store, task: str, data_hash: str, split: str) -> list[tuple[str, str, str, str, str, int]]:
    try:
        labels = store.image_list(data_hash, task, split).labels
    except StoreError:
        return []  # an import, or a search that ended before its first trial
    classes = class_names(task)
    counts = [int((labels == number).sum()) for number in range(len(classes))]
    named = [name.split() if task == ALL_PARTS else (task, name) for name in classes]
    return [(task, data_hash, split, part, label, count) for (part, label), count in zip(named, counts, strict=True)]


def images_by_row(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the plot: one for each part and data, in the order of parts.

    Returns: index: the row's label, the part, with its data where the part occurs with several; columns: (split, label)
        pairs, images; NaN where the store has no such list.
    """
    wide = table.pivot(index=["part", "data_hash"], columns=["split", "label"], values="images")
    wide = wide.reindex(columns=pd.MultiIndex.from_product([SPLITS, LABELS])).dropna(axis="columns", how="all")
    wide = wide.loc[sorted(wide.index, key=lambda each: _part_order(each[0]))]
    several = wide.index.get_level_values("part").duplicated(keep=False)
    wide.index = pd.Index(
        [f"{part}\ndata {data[:8]}" if more else part for (part, data), more in zip(wide.index, several, strict=True)]
    )
    return wide


def _part_order(part: str) -> int:
    return PARTS.index(part) if part in PARTS else len(PARTS)


def images_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """Bars of images per part and label, a panel a split, the counts written on them.

    Args:
        table: rows of `images_table`, one at least, either of parts or of all_parts.
    """
    rows = images_by_row(table)
    splits = [split for split in SPLITS if split in rows.columns.get_level_values(0)]
    most = rows.T.groupby(level=0).max().max(axis=1)
    # One scale for all: panels as wide as their numbers need, each wide enough for its counts.
    room = [ROOM_FOR_COUNTS * max(float(most[split]), LEAST_PANEL * float(most.max()), 1.0) for split in splits]
    figure = new_figure(WIDTH, MARGINS + ROW * len(rows), theme)
    panels = figure.subplots(1, len(splits), sharey=True, squeeze=False, width_ratios=room)[0]
    for axes, split, widest in zip(panels, splits, room, strict=True):
        style_axes(axes, theme)
        axes.set_title(split, loc="left", color=theme.ink, fontsize=10)
        _draw_bars(axes, rows[split], theme)
        axes.set_xlim(0, widest)
        axes.set_xlabel("images", loc="left", color=theme.faint, fontsize=9)
        # The last tick ends well before the next panel's zero.
        axes.set_xticks(range(0, math.ceil(0.85 * widest), _tick_step(max(room))))
        axes.xaxis.set_major_formatter("{x:,.0f}")
    label_rows(panels[0], list(rows.index), theme)
    legend_beside_head(figure, panels[0], theme)
    task = table["task"].iloc[0]
    head(figure, "Images per part and label" + (", as all_parts uses them" if task == ALL_PARTS else ""), theme)
    return figure


def _tick_step(widest: float) -> int:
    """A fifth of the scale or more, rounded up to 1, 2 or 5 times a power of ten.

    >>> _tick_step(7500), _tick_step(12), _tick_step(1.3)
    (2000, 5, 1)
    """
    power: int = 10 ** max(0, math.floor(math.log10(max(widest / 5, 1.0))))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= widest / 5)


def _draw_bars(axes: Axes, counts: pd.DataFrame, theme: Theme) -> None:
    colours = {"normal": theme.blue, "abnormal": theme.red}
    for offset, label in zip((-0.2, 0.2), LABELS, strict=True):
        if label not in counts:
            continue
        known = counts[label].notna().to_numpy()
        heights = [row + offset for row in range(len(counts)) if known[row]]
        images = counts[label].dropna().astype(int)
        bars = axes.barh(heights, images, height=0.36, color=colours[label], label=label, zorder=2)
        axes.bar_label(bars, [f"{number:,}" for number in images], padding=3, fontsize=8, color=theme.ink)
