"""Do the best trials' probabilities mean what they say: reliability before and after temperature scaling, by study."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plumbing.seeds import generator_of
from plumbing.text import shorten
from reports.figures import LIGHT, Theme, head, legend_beside_head, new_figure, plain
from reports.panels import panel
from reports.tables import plain_line
from reports.top_trials import Studies, TopTrial
from results import metrics
from results.calibration import at_bound
from results.metrics import Floats
from results.reliability import (
    BINS,
    brier_parts,
    chance_calibration_error,
    expected_calibration_error,
    reliability_curve,
)

RAW, SCALED = "as trained", "scaled"
MEASURES = ["ece", "ece_by_chance", "brier", "reliability", "resolution", "uncertainty"]
COLUMNS = [
    "part_body", "rank", "search", "trial", "label", "split", "probabilities", "temperature", "studies", *MEASURES,
    "bin", "bin_studies", "mean_probability", "share_abnormal", "share_low", "share_high",
]  # fmt: skip
STUDIES_A_BIN = 10  # at least, where there are enough for three bins
PANEL, MARGIN, HEIGHT, ASIDE = 2.45, 0.5, 3.6, 0.012  # inches; how far bars stand beside each other


def reliability_table(top: Sequence[TopTrial]) -> pd.DataFrame:
    """The bins of the trials, on valid and test, before and after temperature scaling.

    Returns: `COLUMNS`: those up to the Brier score's parts are the same in all bins of a curve. The temperature was
        fitted on the images of valid. No rows of no trials.
    """
    rows = [
        row
        for trial in top
        for split, studies in trial.splits.items()
        for row in (*_rows(trial, split, studies, RAW), *_rows(trial, split, studies, SCALED))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def bins_of(studies: int) -> int:
    """Bins of ten studies or more, three to ten of them.

    >>> bins_of(20), bins_of(61), bins_of(500)
    (3, 6, 10)
    """
    return min(BINS, max(3, studies // STUDIES_A_BIN))


def _rows(trial: TopTrial, split: str, studies: Studies, which: str) -> list[dict[str, object]]:
    probability = studies.raw if which == RAW else studies.scaled
    common: dict[str, object] = trial.columns | {"split": split, "probabilities": which, "studies": len(probability)}
    common |= {"temperature": trial.temperature if which == SCALED else 1.0}
    common |= _measures(studies, probability)
    curve = reliability_curve(studies.abnormal, probability, bins_of(len(probability)))
    return [
        common | {"bin": number, "bin_studies": each.cases, "mean_probability": each.mean}
        | {"share_abnormal": each.share, "share_low": each.low, "share_high": each.high}
        for number, each in enumerate(curve, start=1)
    ]  # fmt: skip


def _measures(studies: Studies, probability: Floats) -> dict[str, float]:
    label, bins = studies.abnormal, bins_of(len(probability))
    parts = brier_parts(label, probability, bins)
    by_chance = chance_calibration_error(probability, generator_of("calibration by chance"), bins)
    brier = float(metrics.brier(label, probability[:, None], metrics.ones(len(label)))[0])
    found = expected_calibration_error(label, probability, bins), by_chance, brier
    return dict(zip(MEASURES, (*found, parts.reliability, parts.resolution, parts.uncertainty), strict=True))


def calibration_table(table: pd.DataFrame) -> pd.DataFrame:
    """The errors and Brier scores for people, a row a curve; a temperature at its bound is named so.

    Args:
        table: as `reliability_table` gives it.
    """
    curves = table.drop_duplicates(["label", "split", "probabilities"]).reset_index(drop=True)
    named = curves[["rank", "label", "split", "probabilities", "temperature", "studies", *MEASURES]]
    named = named.assign(temperature=named["temperature"].map(_temperature_text))
    return named.round(dict.fromkeys(MEASURES, 3)).rename(
        columns={"label": "trial", "ece": "ECE", "ece_by_chance": "ECE by chance", "brier": "Brier"}
    )


def _temperature_text(temperature: float) -> str:
    return f"{temperature:.2f}" + (", its bound" if at_bound(temperature) else "")


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Of each trial the split that its figure shows: test, which the temperature has not seen, else valid."""
    on_test = table.loc[table["split"] == "test", "label"]
    return table[(table["split"] == "test") | ~table["label"].isin(on_test)]


def reliability_title(table: pd.DataFrame) -> str:
    """Which part, which trials, measured where."""
    part, number = shorten(plain_line(table["part_body"].iloc[0]), 40), table["label"].nunique()
    which = f"the best {number} trials" if number > 1 else "the best trial"
    return f"{part}: calibration of {which} on {' and '.join(dict.fromkeys(_shown(table)['split']))}, by study"


def reliability_alt(table: pd.DataFrame) -> str:
    """The figure in words: each trial's calibration error before and after."""
    shown = _shown(table).drop_duplicates(["label", "probabilities"])
    told = [
        f"{plain_line(label)}: " + ", ".join(f"{row.probabilities} {row.ece:.3f}" for row in own.itertuples())
        for label, own in shown.groupby("label", sort=False)
    ]
    return (
        f"{reliability_title(table)}: share of abnormal studies by mean probability, with Wilson bars. "
        f"Expected calibration error (ECE): {'; '.join(told)}."
    )


def reliability_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """A panel a trial: on the diagonal probabilities are right.

    Args:
        table: as `reliability_table` gives it, with one row at least.
    """
    shown = _shown(table)
    labels = list(dict.fromkeys(shown["label"]))
    figure = new_figure(MARGIN + PANEL * max(3, len(labels)), HEIGHT, theme)
    panels = figure.subplots(1, max(3, len(labels)), sharey=True, squeeze=False)[0]
    for axes, label in zip(panels, labels, strict=False):
        panel(axes, theme, _panel_title(shown[shown["label"] == label]), "mean P(abnormal)", "")
        _draw_curves(axes, shown[shown["label"] == label], theme)
    for axes in panels[len(labels) :]:
        axes.set_axis_off()
    plain(panels[0].set_ylabel("share abnormal", color=theme.faint, fontsize=9))
    legend_beside_head(figure, panels[0], theme)
    head(figure, reliability_title(table), theme)
    return figure


def _panel_title(table: pd.DataFrame) -> str:
    errors = table.drop_duplicates("probabilities").set_index("probabilities")
    before, after = (f"{errors.loc[which, 'ece']:.3f}" for which in (RAW, SCALED))
    by_chance = f"{errors.loc[SCALED, 'ece_by_chance']:.3f}"
    return f"{shorten(table['label'].iloc[0], 28)}\nECE {before}, scaled {after}\nby chance {by_chance}"


def _draw_curves(axes: Axes, table: pd.DataFrame, theme: Theme) -> None:
    axes.plot([0, 1], [0, 1], color=theme.faint, linewidth=0.8, zorder=1)
    styles = {RAW: (theme.blue, "o", -ASIDE), SCALED: (theme.orange, "s", ASIDE)}
    for which, (colour, marker, aside) in styles.items():
        own = table[table["probabilities"] == which]
        below, above = own["share_abnormal"] - own["share_low"], own["share_high"] - own["share_abnormal"]
        axes.errorbar(
            own["mean_probability"] + aside, own["share_abnormal"], color=colour, marker=marker, markersize=4.5,
            yerr=[below.clip(lower=0), above.clip(lower=0)],  # a rounding below 0 at shares of 0 and 1
            linewidth=1.2, elinewidth=0.9, label=which,
        )  # fmt: skip
    axes.set_box_aspect(1)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=[0, 0.5, 1])
