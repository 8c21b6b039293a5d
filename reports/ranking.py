"""Which trial of a part comes first.

By default a trial's rank is by what it reached on the valid split, because the test split must not choose a model:
by `valid_auc` where at least one finished trial of the part has it, and the trials without it follow, ranked by
`valid_accuracy_eval` among themselves; by `valid_accuracy_eval` where none has it. Equals stay in stored order.
A trial that another went on from is not ranked: the other is the same training, further on.
"""

import pandas as pd

from plumbing.errors import UsageError
from radiographs.parts import ALL_PARTS, PARTS
from results.records import FAILED, FINISHED, PRUNED, RUNNING
from results.table import EXPORTED

TEXTS = frozenset(
    {"search", "engine", "state", "architecture", "name_code", "part_body", "augmentation", "frozen", "weights"}
    | {"model_name", "config", "data_hash", "code_version"}
)
NUMERIC = tuple(column for column in EXPORTED if column not in TEXTS)

TEST_CHOSE = (
    "a test metric. The figure of what comes first is flattered by the choice; do not report it as the expected "
    "performance."
)
FIRST_CHOICE, SECOND_CHOICE = "valid_auc", "valid_accuracy_eval"
UNFINISHED = (FAILED, PRUNED, RUNNING)


def check_rank_by(column: str | None) -> None:
    """Raises: UsageError where it is no exported column of numbers; names the choices."""
    if column is not None and column not in NUMERIC:
        raise UsageError(f"--rank-by {column!r}: no exported column of numbers; give one of {', '.join(NUMERIC)}")


def least_first(column: str) -> bool:
    """Whether less of it is better: losses and time.

    >>> least_first("test_brier"), least_first("valid_auc")
    (True, False)
    """
    return column == "seconds" or column.endswith(("_brier", "_loss"))


def stored_parts(trials: pd.DataFrame) -> list[str]:
    """The parts that the table of trials holds: MURA's in their order, then unknown ones, all_parts last."""
    found = set(trials["part_body"].dropna().unique())
    others = sorted(found - {*PARTS, ALL_PARTS})
    return [part for part in (*PARTS, *others, ALL_PARTS) if part in found]


def ranked(trials: pd.DataFrame, part: str, rank_by: str | None = None) -> pd.DataFrame:
    """The part's finished trials, best first.

    Args:
        trials: as `results.table.trials_table` gives them.
        rank_by: one of `NUMERIC`, whose rows without a number come last; None: the rule at the module's head.
    Returns: the same columns after a column `rank`, 1 first.
    Raises: UsageError where `rank_by` is none of `NUMERIC`.
    """
    check_rank_by(rank_by)
    rows = trials[(trials["part_body"] == part) & (trials["state"] == FINISHED) & ~trials["continued"].astype(bool)]
    if rank_by is not None:
        rows = rows.loc[_order(rows, rank_by)]
    else:
        first = pd.to_numeric(rows[FIRST_CHOICE], errors="coerce").notna()
        rows = rows.loc[[*_order(rows[first], FIRST_CHOICE), *_order(rows[~first], SECOND_CHOICE)]]
    rows = rows.reset_index(drop=True)
    rows.insert(0, "rank", range(1, len(rows) + 1))
    return rows


def _order(rows: pd.DataFrame, column: str) -> list[int]:
    """The rows' index, best first; equals in stored order, rows without a number last."""
    numbers = pd.to_numeric(rows[column], errors="coerce")
    return list(numbers.sort_values(ascending=least_first(column), kind="stable", na_position="last").index)


def ranked_by(rows: pd.DataFrame, rank_by: str | None = None) -> str:
    """The column that `ranked` went by for these rows."""
    if rank_by is not None:
        return rank_by
    return FIRST_CHOICE if rows[FIRST_CHOICE].notna().any() else SECOND_CHOICE


def ranking_sentence(rows: pd.DataFrame, rank_by: str | None = None) -> str:
    """How `ranked` made this order, with a warning where a test metric did.

    Args:
        rows: what `ranked` gave, whole.
    """
    column = ranked_by(rows, rank_by)
    present = rows[column].notna()
    if not present.any():
        return f"No finished trial of this part has {column}: the rows stand in the order in which they were stored."
    order = ", least first" if least_first(column) else ""
    if column.startswith("test_"):
        return f"Ranked by {column}{order}: {TEST_CHOSE}"
    if rank_by is None and column == FIRST_CHOICE and not present.all():
        return f"Ranked by {column}; rows without it follow, ranked by {SECOND_CHOICE}."
    if rank_by is None and column == SECOND_CHOICE:
        return f"Ranked by {column}: no trial of this part has {FIRST_CHOICE}."
    return f"Ranked by {column}{order}."


def state_counts(trials: pd.DataFrame) -> dict[str, int]:
    """State -> number of trials, finished first, only states that occur.

    >>> state_counts(pd.DataFrame({"state": ["failed", "finished", "failed"]}))
    {'finished': 1, 'failed': 2}
    """
    counts = trials["state"].value_counts()
    return {state: int(counts[state]) for state in (FINISHED, *UNFINISHED) if state in counts}


def count_sentence(trials: pd.DataFrame, part: str, shown: int) -> str:
    """How many finished trials of the part are shown, and how many are not ranked and why."""
    own = trials[trials["part_body"] == part]
    went_on = own["continued"].astype(bool)
    counts = state_counts(own[~went_on]) | ({"continued by a later trial": int(went_on.sum())} if went_on.any() else {})
    finished = counts.pop(FINISHED, 0)
    sentence = f"{shown} of {finished} finished trials shown." if finished else "No finished trial yet."
    if counts:
        sentence += " Not ranked: " + ", ".join(f"{number} {state}" for state, number in counts.items()) + "."
    return sentence
