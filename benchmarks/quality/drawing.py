"""Regret by trials and by recorded seconds; what pruners save."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.contestants import DEFAULT, ENGINES, FEW, GAUSSIAN, OURS, PLAIN, PRUNED, RANDOM, RANKED, TRIALS
from benchmarks.quality.statistics import stacked
from benchmarks.quality.summary import Runs, regrets_by_seconds
from plumbing.files import atomic_path

# Contestant -> colour and line.
LINES: Mapping[str, tuple[str, str]] = {
    DEFAULT: ("C0", "-"),
    "tpe, batch 1": ("C0", "--"),
    "plain Optuna TPE": ("C9", "-"),
    "qmc": ("C2", "-"),
    RANDOM: ("C3", "-"),
    "plain Optuna random": ("C3", "--"),
    "gp": ("C1", "-"),
    "keras-tuner bayesian": ("C4", "-"),
    "plain Keras Tuner bayesian": ("C4", "--"),
}
SHADES = {"none": "k", "median": "C0", "percentile": "C1", "successive-halving": "C2", "hyperband": "C3"}
FIRST, MOST = 4, 40  # trainings: beyond, cheap searches have run all their trials


def draw(runs: Runs, folder: Path) -> None:
    """Write search_quality.png and search_quality_pruners.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(2, 2, figsize=(10, 8), sharey="row", layout="constrained")
    models = [name for name in LINES if name in GAUSSIAN]
    all_tables = [name for name in LINES if name in (*ENGINES, *PLAIN)]
    _draw_row(grid[0], runs, all_tables, RANKED, f"{len(RANKED)} tables")
    _draw_row(grid[1], runs, [DEFAULT, RANDOM, *models], FEW, f"{len(FEW)} tables")
    figure.supylabel("regret, median of repeats, mean of tables; 1: random search after 10 trials", fontsize=11)
    with atomic_path(folder / "search_quality.png") as path:
        figure.savefig(path, dpi=130)
    figure, grid = pyplot.subplots(1, len(OURS), figsize=(10, 4), layout="constrained")
    for axes, table in zip(grid, OURS, strict=True):
        _draw_pruners(axes, runs, table)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    with atomic_path(folder / "search_quality_pruners.png") as path:
        figure.savefig(path, dpi=130)


def _draw_row(row: Any, runs: Runs, names: Sequence[str], tables: Sequence[str], title: str) -> None:
    scale = np.median(stacked(runs, [RANDOM], tables)[0, :, :, 9], axis=1)[:, None]  # (tables, 1)
    trainings = np.linspace(FIRST, MOST, 4 * (MOST - FIRST) + 1)
    for name in names:
        colour, line = LINES[name]
        by_trials = stacked(runs, [name], tables)[0, :, :, FIRST - 1 :]
        by_seconds = regrets_by_seconds(runs, [name], tables, trainings)[0]
        for axes, x, y in ((row[0], np.arange(FIRST, TRIALS + 1), by_trials), (row[1], trainings, by_seconds)):
            axes.plot(x, (np.median(y, axis=1) / scale).mean(axis=0), color=colour, linestyle=line, label=name)
    for axes, unit in zip(row, ("trials", "recorded seconds, in mean trainings of the table"), strict=True):
        axes.set(yscale="log", title=f"{title}, by {unit.split(',')[0]}", xlabel=unit)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.grid(alpha=0.3, which="both")
    row[0].legend(frameon=False, fontsize=8)


def _draw_pruners(axes: Any, runs: Runs, table: str) -> None:
    """The regret after all trials against the epochs trained."""
    for name in (DEFAULT, RANDOM, *PRUNED):
        sampler, _, pruner = name.partition(" + ")
        regrets, epochs = (stacked(runs, [name], [table], field)[0, 0, :, -1] for field in ("regrets", "epochs"))
        marker = {DEFAULT: "o", RANDOM: "s"}.get(sampler, "^")
        error = 1.96 * regrets.std(ddof=1) / np.sqrt(len(regrets))
        style = {
            "color": SHADES[pruner or ("hyperband" if "hyperband" in name else "none")],
            "marker": marker,
            "label": name,
            "linestyle": "none",
        }
        axes.errorbar(epochs.mean(), regrets.mean(), yerr=error, capsize=2, **style)
    axes.set(title=f"{table}: {TRIALS} trials", xlabel="epochs trained", xlim=(0, None), ylim=(0, None))
    axes.set_ylabel("true regret, AUC (95 % over repeats)")
    axes.grid(alpha=0.3)
