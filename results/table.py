"""All trials of a store as one table, one row a trial, with the columns that are exported."""

import json
from typing import Any

import pandas as pd

from results.records import EXPECTED_AUC, FINISHED, RUNNING, Search, Trial
from results.store import Store

# Study-level metrics that are exported with their interval, for valid and test.
INTERVAL_METRICS = ("auc", "kappa", "sensitivity", "specificity")


def _metric_columns() -> list[str]:
    columns = []
    for split in ("valid", "test"):
        for metric in INTERVAL_METRICS:
            columns += [f"{split}_{metric}", f"{split}_{metric}_low", f"{split}_{metric}_high"]
        columns.append(f"{split}_brier")
    return columns


IDENTITY = ["search", "engine", "trial", "state", "architecture", "name_code", "part_body"]
SETTINGS = ["augmentation", "lr", "conv_dropout", "callbacks_patience", "frozen", "fit_epochs", "early_stop_at_epoch"]
ACCURACIES = ["train_accuracy_eval", "valid_accuracy_eval", "test_accuracy_eval"]
PROVENANCE = [
    "seconds",
    "epochs_trained",
    "seed",
    "weights",
    "image_size",
    "model_name",
    "config",
    "data_hash",
    "code_version",
]
# Of a trial that went on from another's end: that one's number, and the epochs of the history that it trained.
CONTINUED = ["continues", "first_epoch"]
EXPORTED = IDENTITY + SETTINGS + ACCURACIES + _metric_columns() + PROVENANCE + CONTINUED
# For our own use besides: the trial's id, what its search optimised and got, why it failed, whether it was imported,
# whether another trial finished that went on from its end, when it ended (UTC, ISO 8601), the search it confirms; 95 %
# patient bootstrap intervals of accuracies; of an ensemble, the AUC to be expected of it once luck is taken off.
EXPECTED = [f"valid_{EXPECTED_AUC}{bound}" for bound in ("", "_low", "_high")]
ACCURACY_INTERVALS = [f"{split}_accuracy_eval_{bound}" for split in ("valid", "test") for bound in ("low", "high")]
INTERNAL = [
    "trial_id", "objective", "value", "reason", "kind", "model_path", "continued", "finished", "confirms",
    *ACCURACY_INTERVALS, *EXPECTED,
]  # fmt: skip


def trials_table(store: Store) -> pd.DataFrame:
    """Every trial of the store, searches in the order of their making, trials in the order of their proposal.

    Returns: the columns `EXPORTED`, then `INTERNAL`; absent values are None or NaN. Accuracies are per cent.
    """
    trials = store.trials()
    searches = {search.id: search for search in store.searches()}  # after them: a search may begin meanwhile
    continued = {(trial.search_id, trial.continues) for trial in trials if trial.state == FINISHED}
    rows = {
        trial.id: _row(searches[trial.search_id], trial) | {"continued": (trial.search_id, trial.number) in continued}
        for trial in trials
    }
    for trial_id, measure in store.measures("study"):
        if trial_id not in rows or rows[trial_id]["state"] == RUNNING:
            continue  # begun or ended meanwhile
        name = f"{measure.split}_{measure.metric}"
        values = {name: measure.value, f"{name}_low": measure.low, f"{name}_high": measure.high}
        rows[trial_id] |= {column: value for column, value in values.items() if column in _METRIC_COLUMNS}
    for trial_id, measure in store.measures("image", "accuracy"):
        if trial_id in rows and measure.low is not None and measure.high is not None:
            name = f"{measure.split}_accuracy_eval"
            rows[trial_id] |= {f"{name}_low": 100 * measure.low, f"{name}_high": 100 * measure.high}
    return pd.DataFrame(list(rows.values()), columns=EXPORTED + INTERNAL)


_METRIC_COLUMNS = frozenset((*_metric_columns(), *EXPECTED))


def _row(search: Search, trial: Trial) -> dict[str, Any]:
    configuration = trial.configuration
    same_name = (
        "state", "architecture", "name_code", "part_body", "fit_epochs", "early_stop_at_epoch", *ACCURACIES,
        "seconds", "epochs_trained", "seed", "weights", "image_size", "model_name", "value", "reason", "model_path",
        "finished", *CONTINUED,
    )  # fmt: skip
    varied = ("augmentation", "lr", "conv_dropout", "callbacks_patience", "frozen")
    return (
        {
            "search": search.name,
            "engine": search.engine,
            "trial": trial.number,
            "config": json.dumps(dict(configuration), sort_keys=True),
            "data_hash": search.data_hash,
            "code_version": trial.code_version or search.code_version,
            "trial_id": trial.id,
            "objective": search.objective,
            "kind": search.kind,
            "confirms": search.settings.get("confirms"),
        }
        | {name: getattr(trial, name) for name in same_name}
        | {name: configuration.get(name) for name in varied}
    )
