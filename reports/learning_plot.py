"""Learning curves of a part's best trials: loss on train and valid, and the objective, by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plumbing.text import shorten
from reports.accuracy_plot import row_labels
from reports.figures import LIGHT, Theme, head, new_figure
from reports.panels import DASHES, LONGEST_LABEL, colours, legend_in, panel
from reports.ranking import ranked
from reports.tables import plain_line
from reports.top_trials import TOP
from results.store import Store

COLUMNS = [
    "part_body", "rank", "search", "trial", "label", "epoch", "train_loss", "valid_loss", "objective",
    "valid_objective",
]  # fmt: skip
# What stands for the objective where it is not stored, as with imported trials.
INSTEAD = ("val_accuracy", "val_binary_accuracy")
PIECE = 20  # trials
WIDTH, HEIGHT = 10.0, 3.9  # inches

History = Mapping[str, Sequence[float | None]]


def learning_table(store: Store, trials: pd.DataFrame, part: str) -> pd.DataFrame:
    """The histories of the part's first four ranked trials that have any.

    Args:
        trials: as `results.table.trials_table` gives them.
    Returns: `COLUMNS`, a row a trial and epoch, the first being 1; `objective` names what `valid_objective` is.
    """
    rows = ranked(trials, part)
    histories = _first_histories(store, [int(each) for each in rows["trial_id"]])
    rows = rows.assign(label=row_labels(rows))
    own = rows[rows["trial_id"].isin(list(histories))]
    found = [row for each in own.to_dict("records") for row in _epochs(each, histories[each["trial_id"]])]
    return pd.DataFrame(found, columns=COLUMNS).astype(dict.fromkeys(("train_loss", "valid_loss"), float))


def _first_histories(store: Store, trial_ids: Sequence[int]) -> dict[int, dict[str, list[float | None]]]:
    """Of the first `TOP` trials that have any; read in pieces, because most often these are the very first."""
    found: dict[int, dict[str, list[float | None]]] = {}
    for first in range(0, len(trial_ids), PIECE):
        piece = trial_ids[first : first + PIECE]
        known = store.histories(piece)
        found |= {each: known[each] for each in piece if each in known}
        if len(found) >= TOP:
            break
    return dict(list(found.items())[:TOP])


def _epochs(trial: Mapping[str, object], history: History) -> list[dict[str, object]]:
    measured = [name for name in (trial["objective"], *INSTEAD) if name in history]
    objective = str(measured[0]) if measured else ""
    common = {name: trial[name] for name in ("part_body", "rank", "search", "trial", "label")}
    named = {"train_loss": "loss", "valid_loss": "val_loss", "valid_objective": objective}
    count = max(map(len, history.values()), default=0)
    columns = {column: [*history.get(metric, ()), *[None] * count] for column, metric in named.items()}
    return [
        common
        | {"epoch": epoch + 1, "objective": objective}
        | {name: values[epoch] for name, values in columns.items()}
        for epoch in range(count)
    ]


def learning_title(table: pd.DataFrame) -> str:
    """Which part, and how many trials."""
    number = table["label"].nunique()
    which = f"the best {number} trials" if number > 1 else "the best trial"
    return f"{shorten(plain_line(table['part_body'].iloc[0]), 40)}: learning curves of {which}"


def learning_alt(table: pd.DataFrame) -> str:
    """The figure in words: where each trial ended."""
    told = []
    for label, own in table.groupby("label", sort=False):
        last, objective = own.iloc[-1], pd.to_numeric(own["valid_objective"])
        text = f"{plain_line(label)}: {len(own)} epochs, valid loss {last['valid_loss']:.3g} at the end"
        if objective.notna().any():
            best = objective.idxmax()
            text += f", best {plain_line(last['objective'])} {objective[best]:.3f} at epoch {own.loc[best, 'epoch']}"
        told.append(text)
    return f"{learning_title(table)}, loss and objective by epoch. {'; '.join(told)}."


def learning_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """Loss (train thin, valid thick) and objective; a dot marks each trial's best epoch.

    Args:
        table: as `learning_table` gives it, with one row at least.
    """
    figure = new_figure(WIDTH, HEIGHT, theme)
    loss, objective, room = figure.subplots(1, 3, width_ratios=(1, 1, 1.05))
    names = list(dict.fromkeys(name for name in table["objective"] if name))
    panel(loss, theme, "loss: valid thick, train thin", "epoch", "cross-entropy")
    panel(objective, theme, f"{names[0]}, on valid" if len(names) == 1 else "objective, on valid", "epoch", "")
    for place, (label, own) in enumerate(table.groupby("label", sort=False)):
        _draw_trial(loss, objective, own, colours(theme)[place], DASHES[place], label)
    for axes in (loss, objective):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_in(room, loss, theme, _legend(table))
    head(figure, learning_title(table), theme)
    return figure


def _draw_trial(loss: Axes, objective: Axes, own: pd.DataFrame, colour: str, dashes: str, label: str) -> None:
    style: dict[str, Any] = {"color": colour, "linestyle": dashes}
    loss.plot(own["epoch"], own["valid_loss"], linewidth=1.8, label=label, **style)
    loss.plot(own["epoch"], own["train_loss"], linewidth=0.7, **style)
    values = pd.to_numeric(own["valid_objective"])
    objective.plot(own["epoch"], values, linewidth=1.8, **style)
    if len(own) == 1:  # a line of one point would not be seen
        loss.scatter(own["epoch"], own["valid_loss"], s=24, color=colour)
    if values.notna().any():
        best = own.loc[[values.idxmax()]]
        objective.scatter(best["epoch"], pd.to_numeric(best["valid_objective"]), s=34, color=colour, zorder=4)


def _legend(table: pd.DataFrame) -> list[str]:
    return [shorten(label, LONGEST_LABEL) for label in dict.fromkeys(table["label"])]
