"""Our best trials beside what was published on MURA; nothing of other data."""

from collections.abc import Iterable
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from radiographs.parts import PARTS
from reports.figures import LIGHT, Theme, head, label_rows, legend_above, new_figure, style_axes
from reports.mura import BASELINE_KAPPA, SOURCE, mura_parts
from reports.part_plots import DrawnPlot
from reports.pictures import picture
from reports.ranking import ranked
from reports.recall import Recall
from reports.tables import interval_text, plain_line
from results.records import Search
from results.store import Store

COLUMNS = [
    "part_body", "name_code", "search", "trial", "test_kappa", "test_kappa_low", "test_kappa_high", "published_kappa",
    "source",
]  # fmt: skip
HEADING = "Beside the published baseline"
READING = (
    "Cohen's kappa, by study: of each part's best trial, which valid chose, with its 95 % patient bootstrap interval, "
    f"and of the baseline of MURA's authors ({SOURCE}), which they found about as good as their best radiologist on "
    "finger and wrist, and less good on the other parts. Theirs is an ensemble of five networks, the DenseNet169s with "
    "the lowest validation losses; ours is one network. The two were not measured on the same studies: ours on MURA's "
    "valid folder, labelled in clinical routine; theirs on MURA's hidden test set, 207 studies, some 30 a part, by the "
    "majority of three radiologists. So a difference does not tell which is better. The data are taken for MURA's by "
    "their numbers of images. Published figures that could not be checked against two sources are left out: those of "
    "elbow, forearm and humerus, and of the radiologists."
)
WIDTH, ROW, MARGINS = 10.0, 0.42, 1.4  # inches


def field_table(store: Store, trials: pd.DataFrame, searches: Iterable[Search]) -> pd.DataFrame:
    """The best trial on MURA of each part that a figure was published of.

    Args:
        trials: as `results.table.trials_table` gives them.
    Returns: `COLUMNS`; no rows where no data are MURA's.
    """
    rows, known = [], mura_parts(store, searches)
    for part in (part for part in PARTS if part in BASELINE_KAPPA):
        own = ranked(trials, part)
        hashes = [data_hash for of, data_hash in known if of == part]
        measured = own[own["data_hash"].isin(hashes) & own["test_kappa"].notna()].head(1)
        for row in measured.to_dict("records"):
            rows.append(row | {"published_kappa": BASELINE_KAPPA[part], "source": SOURCE})
    numbers = dict.fromkeys(("test_kappa", "test_kappa_low", "test_kappa_high", "published_kappa"), float)
    return pd.DataFrame(rows, columns=COLUMNS).astype(numbers)


def field_title() -> str:
    """What is drawn."""
    return "Best trials on MURA's valid folder, and the published baseline on MURA's hidden test set"


def field_alt(table: pd.DataFrame) -> str:
    """The figure in words: each part's two figures."""
    told = [
        f"{row.part_body}: {plain_line(row.name_code)} "
        f"{interval_text(row.test_kappa, row.test_kappa_low, row.test_kappa_high)}, published {row.published_kappa:.3f}"
        for row in table.itertuples()
    ]
    return f"{field_title()}, Cohen's kappa. {'; '.join(told)}."


def field_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """A row a part: a dot with its interval, a line for the published figure.

    Args:
        table: as `field_table` gives it, with one row at least.
    """
    figure = new_figure(WIDTH, MARGINS + ROW * len(table), theme)
    axes, rows = figure.subplots(), np.arange(len(table))
    style_axes(axes, theme)
    value = table["test_kappa"]
    low, high = ((value - table["test_kappa_low"]), (table["test_kappa_high"] - value))
    axes.errorbar(
        value, rows, xerr=[low.fillna(0).clip(lower=0), high.fillna(0).clip(lower=0)], fmt="o", markersize=6,
        color=theme.blue, elinewidth=1.4, label="best trial, valid folder (95 %)", zorder=3,
    )  # fmt: skip
    axes.vlines(
        table["published_kappa"], rows - 0.36, rows + 0.36, color=theme.orange, linewidth=2.6,
        label="published baseline, hidden test set", zorder=2,
    )  # fmt: skip
    axes.set_xlim(min(0.0, float(table["test_kappa_low"].min())), 1.02)
    axes.set_xlabel("Cohen's kappa, by study", loc="left", color=theme.faint, fontsize=9)
    label_rows(axes, list(table["part_body"]), theme)
    legend_above(axes, theme)
    head(figure, field_title(), theme)
    return figure


def field_told(table: pd.DataFrame) -> pd.DataFrame:
    """The figures for people, a row a part.

    Args:
        table: as `field_table` gives it.
    """
    ours = [
        interval_text(*each)
        for each in table[["test_kappa", "test_kappa_low", "test_kappa_high"]].itertuples(index=False)
    ]
    named = table[["part_body", "name_code", "search", "trial"]].rename(columns={"part_body": "part"})
    return named.assign(**{"kappa, valid folder": ours, "published, hidden test set": table["published_kappa"]})


def drawn_field(table: pd.DataFrame, recall: Recall) -> DrawnPlot | None:
    """The plot with what stands around it, None where there is nothing to draw.

    Args:
        table: as `field_table` gives it.
    """
    if table.empty:
        return None
    shown = recall("field", [table], lambda: picture("published", field_alt(table), partial(field_figure, table)))
    return DrawnPlot(HEADING, READING, shown, field_told(table))
