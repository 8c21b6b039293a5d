"""What the searches have cost: time, trials, epochs, images."""

from collections.abc import Sequence

import pandas as pd

from reports.summary import image_counts
from results.records import FINISHED, RUNNING, Search

TOTAL = "all"


def cost_table(searches: Sequence[Search], trials: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """A row a search that trained something, and one of all together where there are several.

    Args:
        trials: as `results.table.trials_table` gives them, confirming ones too. images: as
            `reports.data_plot.images_table` gives them.
    Returns: search, trials (ended), finished, hours (the trials' own added up, also where they ran side by side),
        epochs (trained, without those of a trial that another went on from), image passes (epochs times images of
        train; NA where these are unknown), seconds an epoch. Imports are left out: their time is not known.
    """
    rows = []
    for search in searches:
        own = trials[(trials["search"] == search.name) & (trials["state"] != RUNNING)]
        seconds = pd.to_numeric(own["seconds"]).sum()
        if not seconds:
            continue
        trained = pd.to_numeric(own["epochs_trained"]).fillna(0) - pd.to_numeric(own["first_epoch"]).fillna(0)
        epochs, of_train = int(trained.sum()), image_counts(search, images).get("train")
        rows.append(
            {"search": search.name, "trials": len(own), "finished": int((own["state"] == FINISHED).sum())}
            | {
                "hours": seconds / 3600,
                "epochs": epochs,
                "image passes": None if of_train is None else epochs * of_train,
            }
        )
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    table["image passes"] = table["image passes"].astype("Int64")
    if len(table) > 1:
        numbers = table.drop(columns="search").sum(min_count=1)
        table = pd.concat([table, pd.DataFrame([{"search": TOTAL} | dict(numbers)])], ignore_index=True)
        table = table.astype(dict.fromkeys(("trials", "finished", "epochs", "image passes"), "Int64"))
    table["seconds an epoch"] = (3600 * table["hours"] / table["epochs"].where(table["epochs"] > 0)).astype(float)
    return table
