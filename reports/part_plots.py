"""The plots that the report has of each part. A new one is a module of its own and an entry here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from radiographs.parts import ALL_PARTS
from reports.benefit_plot import benefit_alt, benefit_figure, benefit_table, thresholds_table
from reports.confusion import confusion_alt, confusion_figure, confusion_table
from reports.figures import Theme
from reports.history_plot import history_alt, history_figure, history_table
from reports.importances_plot import (
    importances_alt,
    importances_drawn,
    importances_figure,
    importances_remark,
    importances_table,
)
from reports.learning_plot import learning_alt, learning_figure, learning_table
from reports.pairs import pairs_remark, pairs_table, pairs_told
from reports.pictures import Picture, picture
from reports.recall import Recall
from reports.reliability_plot import calibration_table, reliability_alt, reliability_figure, reliability_table
from reports.roc_plot import roc_alt, roc_figure, roc_table
from reports.top_trials import PartData
from results.store import Store


@dataclass(frozen=True)
class PartPlot:
    """A plot of a part, or of all_parts, or a table that stands among them without one.

    Attributes:
        name: of its files, before the part's. heading: above it. reading: how to read it.
        table: what is drawn, without rows where there is nothing to tell. figure, alt: of a table with rows of which
            `drawn` holds; None: of no table. told: what of the table stands below the plot; None for nothing.
        of_abnormal: asks only whether normal or abnormal, of all_parts too.
        remark: what of this table follows the reading; None for nothing.
    """

    name: str
    heading: str
    reading: str
    table: Callable[[PartData], pd.DataFrame]
    figure: Callable[[pd.DataFrame, Theme], Figure] | None = None
    alt: Callable[[pd.DataFrame], str] | None = None
    told: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    of_abnormal: bool = False
    remark: Callable[[pd.DataFrame], str] | None = None
    drawn: Callable[[pd.DataFrame], bool] = lambda table: True


SUMMED = (
    "Of all_parts P(abnormal) is the sum over the parts' abnormal classes; its trials are ranked by their AUC over all "
    "14 classes, so the first need not be the best here."
)
PART_PLOTS = (
    PartPlot(
        "confusion",
        "Confusion",
        "What the best trial called the studies: abnormal above 0.5; of 14 classes the likeliest.",
        lambda of: confusion_table(of.store, of.trials, of.part),
        confusion_figure,
        confusion_alt,
    ),
    PartPlot(
        "roc",
        "ROC curves",
        "The best trials on valid, which chose them, and the best one on test, which had no part in the choice. "
        "Intervals of the AUC are 95 %, from a patient bootstrap. None stands where all draws give the same AUC, as "
        "with a trial that makes no error: the bootstrap cannot tell there how sure that is.",
        lambda of: roc_table(of.top),
        roc_figure,
        roc_alt,
        of_abnormal=True,
    ),
    PartPlot(
        "pairs",
        "The best trials in pairs",
        "Two trials on the same studies: the AUC by DeLong's paired test, accuracy at 0.5 by McNemar's exact test. "
        "The trials were chosen on valid, where a difference may be what they were chosen for; test had no part in it. "
        "Of so many tests some find a difference by chance alone: p (Holm) is adjusted for all of them (Holm 1979). "
        "Intervals are not. The tests take studies for independent, as the several of one patient are not quite.",
        lambda of: pairs_table(of.top),
        told=pairs_told,
        of_abnormal=True,
        remark=pairs_remark,
    ),
    PartPlot(
        "reliability",
        "Calibration",
        "Of studies that were given a probability, the share that was abnormal, with 95 % Wilson bars: on the diagonal "
        "the probabilities mean what they say. Scaled: by a temperature between 0.05 and 20 that was fitted on valid's "
        "images; the figures are by study, so it need not better them, on valid neither. At a bound the fit would have "
        "gone further. ECE is the mean distance from the diagonal; by chance is what right probabilities would show "
        "with as few studies, so only more counts.",
        lambda of: reliability_table(of.top),
        reliability_figure,
        reliability_alt,
        calibration_table,
        of_abnormal=True,
    ),
    PartPlot(
        "benefit",
        "Net benefit and thresholds",
        "What it is worth to act on the best trial at a threshold: found abnormal studies less false alarms, these "
        "weighed by the odds of the threshold. It helps where its curve is above both calling all abnormal and none. "
        "Both thresholds were chosen on valid; what they give on test had no part in it.",
        lambda of: benefit_table(of.top),
        benefit_figure,
        benefit_alt,
        thresholds_table,
        of_abnormal=True,
    ),
    PartPlot(
        "learning",
        "Learning curves",
        "Loss and objective of the best trials by epoch; a dot marks the highest objective.",
        lambda of: learning_table(of.store, of.trials, of.part),
        learning_figure,
        learning_alt,
    ),
    PartPlot(
        "history",
        "Search history",
        "Each trial's value in the order of proposal, and the best so far. Trials without a value stand at the foot.",
        lambda of: history_table(of.store, of.trials, of.part),
        history_figure,
        history_alt,
    ),
    PartPlot(
        "importances",
        "What mattered",
        "Of the parameters that all trials of a search have: fANOVA tells the share of the objective's variance that "
        "one explains alone, PED-ANOVA how far the values of the best tenth, five trials at least, differ from all. "
        "The shares sum to 1 even where nothing matters. Of parameters that decide nothing one in twenty gets beyond "
        "its mark; a PED-ANOVA bar that ends before it tells nothing. Where the two bars disagree, neither is sure. "
        "reports.study also tells of each architecture's own parameters.",
        lambda of: importances_table(of.store, of.trials, of.part),
        importances_figure,
        importances_alt,
        remark=importances_remark,
        drawn=importances_drawn,
    ),
)


_PLOTS = {plot.name: plot for plot in PART_PLOTS}  # by name, which other processes know a plot by
SLOW = ("importances",)  # longer to find than all others together


def begin_tables(store: Store, trials: pd.DataFrame, part: str, recall: Recall) -> None:
    """Have what takes longest of `part_tables` of the same made meanwhile."""
    for name in SLOW:
        recall.begin(("table", name, part), [trials], partial(_table, name, PartData(store, trials, part)))


def part_tables(store: Store, trials: pd.DataFrame, part: str, recall: Recall | None = None) -> dict[str, pd.DataFrame]:
    """A plot's name -> its table, for the plots that have something to draw.

    Args:
        trials: as `reports.confirmed.with_confirmation` gives them.
    """
    recall, data = recall or Recall(), PartData(store, trials, part)
    tables = {name: recall(("table", name, part), [trials], partial(_table, name, data)) for name in _PLOTS}
    return {name: table for name, table in tables.items() if len(table)}


def _table(name: str, data: PartData) -> pd.DataFrame:
    return _PLOTS[name].table(data)


@dataclass(frozen=True)
class DrawnPlot:
    """A plot with what stands around it, or that alone; `told` as in `PartPlot`."""

    heading: str
    reading: str
    picture: Picture | None
    told: pd.DataFrame | None


def begin_plots(tables: Mapping[str, pd.DataFrame], part_name: str, recall: Recall) -> None:
    """Have `drawn_plots` of the same drawn meanwhile."""
    for job in _jobs(tables, part_name):
        recall.begin(*job)


def drawn_plots(tables: Mapping[str, pd.DataFrame], part_name: str, recall: Recall) -> list[DrawnPlot]:
    """The plots of a part in the order of the report.

    Args:
        tables: as `part_tables` gives them. part_name: the part's name within file names.
    """
    # The last ones first: those that draw meanwhile began with the first.
    return [recall(*job) for job in reversed(_jobs(tables, part_name))][::-1]


def _jobs(
    tables: Mapping[str, pd.DataFrame], part_name: str
) -> list[tuple[tuple[str, str, str], list[pd.DataFrame], Callable[[], DrawnPlot]]]:
    return [
        (("plot", name, part_name), [tables[name]], partial(_drawn, name, tables[name], part_name))
        for name in _PLOTS
        if name in tables
    ]


def _drawn(name: str, table: pd.DataFrame, part_name: str) -> DrawnPlot:
    plot = _PLOTS[name]
    summed = plot.of_abnormal and table["part_body"].iloc[0] == ALL_PARTS
    told = [plot.reading, SUMMED if summed else "", plot.remark(table) if plot.remark else ""]
    return DrawnPlot(
        plot.heading,
        " ".join(filter(None, told)),
        _picture(plot, table, part_name),
        None if plot.told is None else plot.told(table),
    )


def _picture(plot: PartPlot, table: pd.DataFrame, part_name: str) -> Picture | None:
    figure, alt = plot.figure, plot.alt
    if figure is None or alt is None or not plot.drawn(table):
        return None
    return picture(f"{plot.name}_{part_name}", alt(table), lambda theme: figure(table, theme))
