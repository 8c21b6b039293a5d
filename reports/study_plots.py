"""Optuna's plots of a search, drawn by Optuna and made readable: sizes that fit, plain numbers, the house's colours.

Optuna draws by pyplot, under a style of its own, and warns that its plots are experimental: `optuna_drawing` keeps all
of that inside. What it draws is a copy of the study in which a choice is its place among the choices, so that axes keep
the declared order, whatever came first.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
import optuna
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial
from optuna.visualization import matplotlib as optunas

from plumbing.text import shorten
from reports.figures import FONT, LIGHT, drawable, head, legend_above, style_axes
from reports.importances import Scope
from reports.tables import plain_line

SHADES = ("#c9d9e8", LIGHT.blue, "#08254a")  # of lines, from the least objective to the greatest: none fades away
COLUMNS, PANEL_WIDTH, PANEL_HEIGHT = 4, 2.7, 2.5  # of a slice plot; inches
DIMENSION = 1.35  # inches between two axes of parallel coordinates
LONGEST, CROWDED = 30, 24  # characters: of a name; of all labels below a panel, beyond which they are turned

THEME = LIGHT
# Of the trials that are named among the lines by epoch, the best first; the last is Okabe and Ito's purple.
BEST_COLOURS = (THEME.blue, THEME.orange, THEME.green, THEME.red, "#CC79A7")


@contextmanager
def optuna_drawing() -> Iterator[None]:
    """While the block runs Optuna may draw, off screen; at its end settings are undone and figures forgotten."""
    from matplotlib import pyplot

    settings = {"figure.constrained_layout.use": True, "font.family": FONT, "text.parse_math": False}
    before, backend = set(pyplot.get_fignums()), matplotlib.get_backend(auto_select=False)
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        matplotlib.use("Agg")
        try:
            yield
        finally:
            for number in set(pyplot.get_fignums()) - before:
                pyplot.close(number)
            if backend is not None:
                matplotlib.use(backend)


class Drawn:
    """A study as it is drawn: the parameters of a scope that vary, under the names that axes bear.

    Attributes:
        study: choices are places, and each trial has the number that it has in the store.
        names: of the parameters, in declared order. renamed: the search's name -> that one.
        labels: name -> its choices, for choices only. whole: names of whole numbers.
    """

    def __init__(self, trials: Sequence[FrozenTrial], scope: Scope) -> None:
        """
        Args:
            trials: what is drawn, as `reports.search_study.study_of` gives it; those of the scope among them.
        """
        varying = [name for name in scope.parameters if len({trial.params[name] for trial in scope.trials}) > 1]
        self.renamed = {name: _label(name.removeprefix(f"{scope.name}.")) for name in varying}
        self.names = list(self.renamed.values())
        self.labels: dict[str, list[str]] = {}
        self.whole: set[str] = set()
        self.study = optuna.create_study(direction="maximize")
        last = -1
        for trial in trials:
            number = trial.user_attrs["number"]
            absent = create_trial(state=TrialState.WAITING)  # still running, or not of the scope
            self.study.add_trials([absent] * (number - last - 1))
            self.study.add_trial(self._coded(trial))
            last = number

    def _coded(self, trial: FrozenTrial) -> FrozenTrial:
        params: dict[str, Any] = {}
        distributions: dict[str, BaseDistribution] = {}
        for name in self.renamed.keys() & trial.params.keys():
            value, distribution, axis = trial.params[name], trial.distributions[name], self.renamed[name]
            if isinstance(distribution, CategoricalDistribution):
                self.labels[axis] = [_label(str(choice)) for choice in distribution.choices]
                value = int(distribution.to_internal_repr(value))
                distribution = IntDistribution(0, len(distribution.choices) - 1)
            elif isinstance(distribution, IntDistribution):
                self.whole.add(axis)
            params[axis], distributions[axis] = value, distribution
        return create_trial(
            state=trial.state,
            value=trial.value,
            params=params,
            distributions=distributions,
            intermediate_values=trial.intermediate_values,
        )


def _label(name: str) -> str:
    return shorten(drawable(plain_line(name)), LONGEST)


def history_figure(drawn: Drawn, title: str, objective: str) -> Figure:
    """Each finished trial's value, and the best so far."""
    axes: Any = optunas.plot_optimization_history(drawn.study, target_name=objective)
    figure = _finish(axes, title, 8, 4)
    axes.set_xlabel("trial", color=THEME.faint, fontsize=9)
    axes.collections[0].set(color=THEME.blue, sizes=[18], label="trials")
    axes.lines[0].set(color=THEME.red, alpha=1, drawstyle="steps-post", label="best so far")
    legend_above(axes, THEME)
    return figure


def parallel_figure(drawn: Drawn, title: str, objective: str) -> Figure:
    """A line a trial through its parameters, coloured by the objective."""
    axes: Any = optunas.plot_parallel_coordinate(drawn.study, drawn.names, target_name=objective)
    figure = _finish(axes, title, 2.5 + DIMENSION * (len(drawn.names) + 1), 5)
    dimensions = [objective, *sorted(drawn.names)]  # Optuna sorts them
    axes.set_xticks(range(len(dimensions)), dimensions, rotation=25, ha="right", color=THEME.ink)
    axes.collections[0].set(linewidth=1, alpha=0.8, cmap=LinearSegmentedColormap.from_list("objective", SHADES))
    vertical = [each for each in figure.axes if each.get_label() != "<colorbar>"]
    for each, side in zip(vertical, ("left", *["right"] * len(drawn.names)), strict=True):
        each.grid(visible=False)
        each.spines[side].set(visible=True, color=THEME.faint)
    for name, twin in zip(dimensions[1:], vertical[1:], strict=True):
        _ticks(twin.yaxis, drawn, name)
        for text in twin.get_yticklabels():
            text.set(bbox={"facecolor": THEME.paper, "alpha": 0.75, "linewidth": 0, "pad": 0.5}, zorder=5)
    return figure


def slice_figure(drawn: Drawn, title: str, objective: str) -> Figure:
    """The objective against each parameter, later trials darker; panels in rows."""
    panels = np.atleast_1d(np.asarray(optunas.plot_slice(drawn.study, drawn.names, target_name=objective)))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = _finish(panels[0], title, 1.6 + PANEL_WIDTH * columns, 0.5 + PANEL_HEIGHT * rows)
    grid = figure.add_gridspec(rows, columns)
    for place, axes in enumerate(panels):
        axes.set_subplotspec(grid[place // columns, place % columns])
        axes.collections[0].set(sizes=[16], linewidth=0.4)
        name = axes.get_xlabel()
        _ticks(axes.xaxis, drawn, name)
        if place % columns == 0:
            axes.tick_params(labelleft=True)
            axes.set_ylabel(objective, color=THEME.faint, fontsize=9)
    return figure


def contour_figure(drawn: Drawn, pair: Sequence[str], title: str, objective: str) -> Figure:
    """The objective over two parameters of the study, interpolated between trials."""
    axes: Any = optunas.plot_contour(drawn.study, [drawn.renamed[name] for name in pair], target_name=objective)
    figure = _finish(axes, title, 7.5, 5)
    axes.grid(visible=False)
    axes.collections[-2].set(sizes=[12], linewidth=0.8)
    _ticks(axes.xaxis, drawn, axes.get_xlabel())
    _ticks(axes.yaxis, drawn, axes.get_ylabel())
    return figure


def intermediate_figure(drawn: Drawn, title: str, objective: str) -> Figure:
    """The objective by epoch, a line a trial; the best few named."""
    axes: Any = optunas.plot_intermediate_values(drawn.study)
    figure = _finish(axes, title, 8, 4.5)
    axes.set_xlabel("epochs trained", color=THEME.faint, fontsize=9)
    axes.set_ylabel(objective, color=THEME.faint, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.get_legend() is not None:
        axes.get_legend().remove()
    finished = drawn.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = sorted(finished, key=lambda trial: -(trial.value or 0.0))[: len(BEST_COLOURS)]
    lines = {line.get_label(): line for line in axes.lines}
    for line in axes.lines:
        line.set(color=THEME.faint, alpha=0.3, linewidth=0.8, marker="")
    named = [(trial, lines[f"Trial{trial.number}"]) for trial in best if f"Trial{trial.number}" in lines]
    for (trial, line), colour in zip(named, BEST_COLOURS, strict=False):
        line.set(color=colour, alpha=1, linewidth=1.8, marker=".", zorder=4)
        line.set_label(f"trial {trial.number}: {trial.value:.4g}")
    axes.legend(
        handles=[line for _, line in named], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9,
        labelcolor=THEME.ink,
    )  # fmt: skip
    return figure


def _finish(axes: Any, title: str, width: float, height: float) -> Figure:
    """The figure of these axes in the house's style, at that many inches, under the title alone."""
    figure: Figure = axes.get_figure()
    figure.set_size_inches(width, height)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1, wspace=0.03)
    figure.set_facecolor(THEME.paper)
    for each in figure.axes:
        if each.get_label() == "<colorbar>":
            if each.get_ylabel() == "Trial":
                each.yaxis.set_major_locator(MaxNLocator(integer=True))
            each.tick_params(length=0, colors=THEME.faint, labelsize=9)
            each.yaxis.label.set(color=THEME.faint, fontsize=9)
            continue
        each.set_title("")
        style_axes(each, THEME)
        each.grid(axis="both", color=THEME.grid, linewidth=0.8)
        for label in (each.xaxis.label, each.yaxis.label):
            label.set(color=THEME.ink, fontsize=9)
    head(figure, title, THEME)
    return figure


def _ticks(axis: Any, drawn: Drawn, name: str) -> None:
    """Choices by name, logarithmic numbers in plain digits, few of all others."""
    labels = drawn.labels.get(name)
    if labels is not None:
        below = axis.axis_name == "x"
        turned = (
            {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
            if below and sum(map(len, labels)) > CROWDED
            else {}
        )
        axis.set_ticks(range(len(labels)), labels, fontsize=8, **turned)
    elif axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(numticks=8))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    else:
        axis.set_major_locator(MaxNLocator(5, integer=name in drawn.whole))
