"""ROC curves of a part's best trials, by study: of the first four on valid, of the first one on test."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from plumbing.text import shorten
from radiographs.parts import ALL_PARTS
from reports.figures import LIGHT, Theme, head, new_figure
from reports.panels import DASHES, LONGEST_LABEL, colours, legend_in, panel
from reports.tables import interval_text, plain_line
from reports.top_trials import Studies, TopTrial
from results import metrics
from results.intervals import patient_weights, percentile_intervals

COLUMNS = [
    "part_body", "rank", "search", "trial", "label", "split", "studies", "auc", "auc_low", "auc_high", "threshold",
    "false_positive_rate", "sensitivity",
]  # fmt: skip
WIDTH, HEIGHT = 10.0, 4.0  # inches


def roc_table(top: Sequence[TopTrial]) -> pd.DataFrame:
    """The corners of the curves.

    Returns: `COLUMNS`: a study is called abnormal at `threshold` or above it, empty where none is; the AUC with its
        95 % interval (patient bootstrap), NaN where that cannot tell, is that of the whole curve. No rows of no trials.
    """
    rows = []
    for place, trial in enumerate(top):
        for split, studies in trial.splits.items():
            if split == "valid" or place == 0:
                rows += _rows(trial, split, studies)
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(trial: TopTrial, split: str, studies: Studies) -> list[dict[str, object]]:
    auc, low, high = auc_with_interval(studies)
    common: dict[str, object] = trial.columns | {"split": split, "studies": len(studies.abnormal)}
    common |= {"auc": auc, "auc_low": low, "auc_high": high}
    false, true, thresholds = roc_curve(studies.abnormal, studies.raw)
    return [
        common | {"threshold": threshold if np.isfinite(threshold) else None}
        | {"false_positive_rate": float(x), "sensitivity": float(y)}
        for x, y, threshold in zip(false, true, map(float, thresholds), strict=True)
    ]  # fmt: skip


def auc_with_interval(studies: Studies) -> tuple[float, float, float]:
    """The AUC with its 95 % patient bootstrap interval, as the leaderboard has it for a part.

    Returns: the interval NaN where it would have no width: draws that are all alike do not tell how sure the AUC is.
    """
    positive, weight = studies.abnormal == 1, patient_weights(studies.patients, studies.abnormal)
    plain = float(metrics.auc(positive, studies.raw, metrics.ones(len(positive)))[0])
    (interval,) = percentile_intervals(metrics.auc(positive, studies.raw, weight)[None])
    return plain, *(interval if interval and interval[0] < interval[1] else (np.nan, np.nan))


def roc_title(table: pd.DataFrame) -> str:
    """Which part, and what is told apart."""
    part = shorten(plain_line(table["part_body"].iloc[0]), 40)
    told = "ROC of normal against abnormal, all parts together" if part == ALL_PARTS else "ROC"
    number = table["label"].nunique()
    return f"{part}: {told}, by study; " + ("the only trial" if number == 1 else f"the best {number} trials")


def roc_alt(table: pd.DataFrame) -> str:
    """The figure in words: each curve's AUC with its interval."""
    told = [
        f"{plain_line(label)}: " + ", ".join(f"{split} {auc}" for split, auc in _aucs(own))
        for label, own in table.groupby("label", sort=False)
    ]
    return f"{roc_title(table)}. AUC with its 95 % interval: {'; '.join(told)}."


def roc_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """A panel a split; the diagonal is chance.

    Args:
        table: as `roc_table` gives it, with one row at least.
    """
    splits = [split for split in ("valid", "test") if (table["split"] == split).any()]
    figure = new_figure(WIDTH, HEIGHT, theme)
    *panels, room = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
    for axes, split in zip(panels, splits, strict=False):
        own = table[table["split"] == split]
        number = own["label"].nunique()
        whose = f"the best {number}" if number > 1 else "the best trial"
        panel(axes, theme, f"{split}, {own['studies'].iloc[0]:,} studies: {whose}", "1 - specificity", "sensitivity")
        _draw_curves(axes, own, theme)
    for axes in panels[len(splits) :]:
        axes.set_axis_off()
    legend_in(room, panels[0], theme, _legend(table))
    head(figure, roc_title(table), theme)
    return figure


def _draw_curves(axes: Axes, table: pd.DataFrame, theme: Theme) -> None:
    axes.plot([0, 1], [0, 1], color=theme.faint, linewidth=0.8, zorder=1, label="_chance")
    for place, (label, own) in enumerate(table.groupby("label", sort=False)):
        axes.plot(
            own["false_positive_rate"], own["sensitivity"], color=colours(theme)[place], linestyle=DASHES[place],
            linewidth=2.0 - 0.2 * place, zorder=5 - place, label=label,
        )  # fmt: skip
    axes.set_box_aspect(1)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def _legend(table: pd.DataFrame) -> list[str]:
    """Name and AUCs of each curve."""
    return [
        f"{shorten(label, LONGEST_LABEL)}\nAUC " + ", ".join(f"{split} {auc}" for split, auc in _aucs(own))
        for label, own in table.groupby("label", sort=False)
    ]


def _aucs(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Of one trial: split and AUC with its interval."""
    first = table.groupby("split", sort=False).first()
    return [(split, interval_text(row.auc, row.auc_low, row.auc_high)) for split, row in first.iterrows()]
