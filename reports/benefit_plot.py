"""What the best trial of a part is worth at each threshold, and at two chosen on valid: net benefit, by study."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plumbing.text import shorten
from reports.figures import LIGHT, Theme, head, new_figure, plain
from reports.panels import legend_in, panel
from reports.tables import interval_text, plain_line
from reports.top_trials import SPLITS, Studies, TopTrial
from results.metrics import Floats
from results.rates import wilson_interval
from results.thresholds import SENSITIVE, YOUDEN, chosen_thresholds, net_benefit, net_benefit_of_all

COLUMNS = [
    "part_body", "rank", "search", "trial", "label", "split", "studies", "threshold", "chosen_by", "net_benefit",
    "net_benefit_of_all", "sensitivity", "sensitivity_low", "sensitivity_high", "specificity", "specificity_low",
    "specificity_high",
]  # fmt: skip
THRESHOLDS = np.linspace(0.01, 0.99, 99)
WIDTH, HEIGHT = 10.0, 3.9  # inches


def benefit_table(top: Sequence[TopTrial]) -> pd.DataFrame:
    """The first trial at thresholds of its scaled probability, on valid and test.

    Returns: `COLUMNS`, a row a split and threshold; `chosen_by` is empty, or says how this threshold was chosen, on
        valid for both splits. The net benefits are NaN at a threshold of 1. Rates have 95 % Wilson intervals. No rows
        of no trials.
    """
    rows = []
    for trial in top[:1]:
        valid = trial.splits["valid"]
        chosen = chosen_thresholds(valid.abnormal, valid.scaled)
        for split, studies in trial.splits.items():
            rows += _rows(trial, split, studies, THRESHOLDS, [""] * len(THRESHOLDS))
            rows += _rows(trial, split, studies, np.array(list(chosen.values())), list(chosen))
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(
    trial: TopTrial, split: str, studies: Studies, thresholds: Floats, chosen_by: list[str]
) -> list[dict[str, object]]:
    worth = net_benefit(studies.abnormal, studies.scaled, thresholds)
    of_all = net_benefit_of_all(studies.abnormal, thresholds)
    return [
        trial.columns
        | {"split": split, "studies": len(studies.abnormal), "threshold": float(threshold), "chosen_by": by}
        | {"net_benefit": float(worth[place]), "net_benefit_of_all": float(of_all[place])}
        | _rates(studies, float(threshold))
        for place, (threshold, by) in enumerate(zip(thresholds, chosen_by, strict=True))
    ]


def _rates(studies: Studies, threshold: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, own, right in (
        ("sensitivity", studies.abnormal == 1, studies.scaled >= threshold),
        ("specificity", studies.abnormal == 0, studies.scaled < threshold),
    ):
        hits, cases = int(right[own].sum()), int(own.sum())
        low, high = wilson_interval(hits, cases)
        found |= {name: hits / cases, f"{name}_low": low, f"{name}_high": high}
    return found


def thresholds_table(table: pd.DataFrame) -> pd.DataFrame:
    """The chosen thresholds for people, and what they give on each split.

    Args:
        table: as `benefit_table` gives it.
    """
    chosen = table[table["chosen_by"] != ""]
    rates = {
        name: [interval_text(*bounds) for bounds in chosen[[name, f"{name}_low", f"{name}_high"]].to_numpy()]
        for name in ("sensitivity", "specificity")
    }
    thresholds = [f"{threshold:.4f}" for threshold in chosen["threshold"]]
    return pd.DataFrame(
        {"chosen by": chosen["chosen_by"], "threshold": thresholds, "split": chosen["split"]}
        | {"studies": chosen["studies"]}
        | rates
        | {"net benefit": chosen["net_benefit"].round(3), "of calling all": chosen["net_benefit_of_all"].round(3)}
    ).reset_index(drop=True)


def benefit_title(table: pd.DataFrame) -> str:
    """Which part, and whose."""
    first = table.iloc[0]
    part, search = (shorten(plain_line(first[name]), 40) for name in ("part_body", "search"))
    return f"{part}: net benefit of the best trial ({search}, trial {first['trial']})"


def benefit_alt(table: pd.DataFrame) -> str:
    """The figure in words: what the chosen thresholds give."""
    told = [
        f"by {row.chosen_by}, {row.threshold:.4f}: on {row.split} sensitivity {row.sensitivity:.2f}, "
        f"specificity {row.specificity:.2f}"
        + ("" if np.isnan(row.net_benefit) else f", net benefit {row.net_benefit:.3f}")
        for row in table[table["chosen_by"] != ""].itertuples()
    ]
    return f"{benefit_title(table)}, by threshold, beside calling all studies abnormal or none. {'; '.join(told)}."


def benefit_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """A panel a split: the trial, calling all abnormal, calling none, and the chosen thresholds.

    Args:
        table: as `benefit_table` gives it, with one row at least.
    """
    splits = [split for split in SPLITS if (table["split"] == split).any()]
    figure = new_figure(WIDTH, HEIGHT, theme)
    *panels, room = figure.subplots(1, 3, width_ratios=(1, 1, 0.4))
    for axes, split in zip(panels, splits, strict=False):
        own = table[table["split"] == split]
        panel(axes, theme, f"{split}, {own['studies'].iloc[0]:,} studies", "threshold of P(abnormal), scaled", "")
        _draw_curves(axes, own, theme)
    for axes in panels[len(splits) :]:
        axes.set_axis_off()
    plain(panels[0].set_ylabel("net benefit a study", color=theme.faint, fontsize=9))
    top = float(table.loc[table["chosen_by"] == "", ["net_benefit", "net_benefit_of_all"]].to_numpy().max())
    for axes in panels:
        axes.set_ylim(-0.35 * top - 0.02, 1.12 * top + 0.02)
    legend_in(room, panels[0], theme)
    head(figure, benefit_title(table), theme)
    return figure


def _draw_curves(axes: Axes, table: pd.DataFrame, theme: Theme) -> None:
    curve = table[table["chosen_by"] == ""]
    axes.axhline(0, color=theme.ink, linewidth=1.0, zorder=1, label="none abnormal")
    axes.plot(
        curve["threshold"], curve["net_benefit_of_all"], color=theme.faint, linestyle="--", linewidth=1.2, zorder=2,
        label="all abnormal",
    )  # fmt: skip
    axes.plot(curve["threshold"], curve["net_benefit"], color=theme.blue, linewidth=2, zorder=3, label="the trial")
    marks = {YOUDEN: ("D", theme.orange, 130), SENSITIVE: ("o", theme.green, 40)}  # both are seen where they are equal
    for by, (marker, colour, size) in marks.items():
        own = table[table["chosen_by"] == by]
        axes.scatter(
            own["threshold"], own["net_benefit"], marker=marker, s=size, color=colour, edgecolors=theme.paper, zorder=4,
            label=by,
        )  # fmt: skip
    axes.set_xlim(-0.01, 1.01)
