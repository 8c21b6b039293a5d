"""What `search.run --confirm` found, beside the trials that it confirmed."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from results.records import CONFIRM, FAILED, FINISHED

METRICS = ("valid_auc", "test_auc")
# Of the trainings under fresh seeds: mean, standard deviation, how many finished, how many failed.
FIGURES = ("", "_deviation", "_trainings", "_failed")
FRESH = tuple(f"{metric}_fresh{of}" for metric in METRICS for of in FIGURES)
_SAME = ["part_body", "config", "fit_epochs"]


def with_confirmation(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials without the confirming ones, whose figures stand in the columns `FRESH` of those they confirm.

    Args:
        trials: as `results.table.trials_table` gives them.
    Returns: NaN where a trial was not confirmed; the deviation, with n - 1, of one training alone too.
    """
    confirming = trials["kind"] == CONFIRM
    own, fresh = trials[~confirming], trials[confirming & trials["state"].isin((FINISHED, FAILED))]
    if fresh.empty:
        return own.assign(**dict.fromkeys(FRESH, float("nan")))
    numbers = fresh.assign(**{metric: pd.to_numeric(fresh[metric]) for metric in METRICS})
    groups = numbers.assign(failed=numbers["state"] == FAILED).groupby(["confirms", *_SAME])
    found = pd.concat(
        [figure for metric in METRICS for figure in (*_spread(groups[metric]), groups["failed"].sum())], axis=1
    )
    found.columns = pd.Index(FRESH)
    joined = own.join(found, on=["search", *_SAME])
    return joined.set_index(own.index)


def _spread(values: Any) -> tuple[pd.Series, ...]:
    return values.mean(), values.std(), values.count()


def fresh_cell(row: Mapping[str, Any], metric: str) -> str:
    """A row of `with_confirmation` for people: `fresh_text` of its figures of `valid_auc` or `test_auc`."""
    return fresh_text(*(row[f"{metric}_fresh{of}"] for of in FIGURES))


def fresh_text(mean: float, deviation: float, trainings: float, failed: float) -> str:
    """Mean and spread of several trainings, and how many of how many finished.

    >>> fresh_text(0.8412, 0.0171, 5, 0), fresh_text(0.8412, float("nan"), 1, 4), fresh_text(float("nan"), 0.1, 0, 5)
    ('0.84 ± 0.02 (5)', '0.84 (1 of 5)', '(0 of 5)')
    """
    if pd.isna(failed) or trainings + failed == 0:
        return ""
    value = "" if pd.isna(mean) else f"{mean:.2f} "
    spread = "" if pd.isna(deviation) or pd.isna(mean) else f"± {deviation:.2f} "
    count = f"{int(trainings)}" if failed == 0 else f"{int(trainings)} of {int(trainings + failed)}"
    return f"{value}{spread}({count})"
