"""What `search.run --confirm` found, beside the trials that it confirmed."""

import pandas as pd

from results.records import CONFIRM, FINISHED

METRICS = ("valid_auc", "test_auc")
# Mean and standard deviation of the trainings under fresh seeds, and how many there are.
FRESH = tuple(f"{metric}_fresh{of}" for metric in METRICS for of in ("", "_deviation", "_trainings"))
_SAME = ["part_body", "config", "fit_epochs"]


def with_confirmation(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials without the confirming ones, whose figures stand in the columns `FRESH` of those they confirm.

    Args:
        trials: as `results.table.trials_table` gives them.
    Returns: NaN where a trial was not confirmed; the deviation, with n - 1, of one training alone too.
    """
    confirming = trials["kind"] == CONFIRM
    own, fresh = trials[~confirming], trials[confirming & (trials["state"] == FINISHED)]
    if fresh.empty:
        return own.assign(**dict.fromkeys(FRESH, float("nan")))
    numbers = fresh.assign(**{metric: pd.to_numeric(fresh[metric]) for metric in METRICS})
    found = numbers.groupby(["confirms", *_SAME])[list(METRICS)].agg(["mean", "std", "count"])
    found.columns = pd.Index(FRESH)
    joined = own.join(found, on=["search", *_SAME])
    return joined.set_index(own.index)


def fresh_text(mean: float, deviation: float, trainings: float) -> str:
    """Mean and spread of several trainings.

    >>> fresh_text(0.8412, 0.0171, 5.0), fresh_text(0.8412, float("nan"), 1.0), fresh_text(float("nan"), 0.1, 0.0)
    ('0.84 ± 0.02 (5)', '0.84 (1)', '')
    """
    if pd.isna(mean):
        return ""
    spread = "" if pd.isna(deviation) else f" ± {deviation:.2f}"
    return f"{mean:.2f}{spread} ({int(trainings)})"
