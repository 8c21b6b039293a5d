"""All trials of a store as one table, one row a trial, with the columns that are exported."""

import gc
import json
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from results import schema
from results.records import EXPECTED_AUC, FINISHED, RUNNING, Search
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


def trials_table(store: Store, trial_ids: Sequence[int] | None = None) -> pd.DataFrame:
    """Every trial of the store, searches in the order of their making, trials in the order of their proposal.

    Args:
        trial_ids: of those alone, a few; whether another went on from one of them is then not known.
    Returns: the columns `EXPORTED`, then `INTERNAL`; absent values are None or NaN. Accuracies are per cent.
    """
    trials, ids = schema.trials.c, None if trial_ids is None else list(trial_ids)
    query = sa.select(*(trials[name] for name in _STORED)).order_by(trials.search_id, trials.number)
    query = query if ids is None else query.where(trials.id.in_(ids))
    stored = [dict(zip(_STORED, row, strict=True)) for row in store.read(lambda connection: _all(connection, query))]
    searches = {search.id: search for search in store.searches()}  # after them: a search may begin meanwhile
    continued = {(trial["search_id"], trial["continues"]) for trial in stored if trial["state"] == FINISHED}
    rows = {trial["id"]: _row(searches[trial["search_id"]], trial, continued) for trial in stored}
    ended = {trial["id"]: rows[trial["id"]] for trial in stored if trial["state"] != RUNNING}
    for trial_id, split, metric, *values in store.read(lambda connection: _all(connection, _of_studies(ids))):
        if trial_id in ended and (places := _PLACES.get((split, metric))):  # else begun or ended meanwhile
            for place, value in zip(places, values, strict=False):  # brier has no bounds
                ended[trial_id][place] = value
    for trial_id, split, low, high in store.read(lambda connection: _all(connection, _accuracies(ids))):
        if trial_id in ended and low is not None and high is not None:
            ended[trial_id][_PLACE[f"{split}_accuracy_eval_low"]] = 100 * low
            ended[trial_id][_PLACE[f"{split}_accuracy_eval_high"]] = 100 * high
    return pd.DataFrame(list(rows.values()), columns=EXPORTED + INTERNAL)


# Columns of `results_trials` that a row is made of, and those that stand in it under their own names.
_SAME = (
    "state", "architecture", "name_code", "part_body", "fit_epochs", "early_stop_at_epoch", *ACCURACIES, "seconds",
    "epochs_trained", "seed", "weights", "image_size", "model_name", "value", "reason", "model_path", "finished",
    *CONTINUED,
)  # fmt: skip
_STORED = ("id", "search_id", "number", "configuration", "code_version", *_SAME)
_VARIED = ("augmentation", "lr", "conv_dropout", "callbacks_patience", "frozen")

# Where each column stands, and those of a metric by study: its value, and where it has them, its bounds.
_PLACE = {column: place for place, column in enumerate(EXPORTED + INTERNAL)}
_PLACES = {
    (split, metric): [
        _PLACE[column]
        for column in (f"{split}_{metric}", f"{split}_{metric}_low", f"{split}_{metric}_high")
        if column in _PLACE
    ]
    for split in ("valid", "test")
    for metric in (*INTERVAL_METRICS, "brier", EXPECTED_AUC)
}


def _all(connection: sa.Connection, query: sa.Select[Any]) -> Sequence[Any]:
    return connection.execute(query).all()


def _row(search: Search, trial: Mapping[str, Any], continued: Container[tuple[int, int]]) -> list[Any]:
    """The trial's values in the order of the columns, NaN where a metric is to come."""
    configuration = trial["configuration"]
    values = {
        "search": search.name,
        "engine": search.engine,
        "trial": trial["number"],
        "config": json.dumps(configuration, sort_keys=True),
        "data_hash": search.data_hash,
        "code_version": trial["code_version"] or search.code_version,
        "trial_id": trial["id"],
        "objective": search.objective,
        "kind": search.kind,
        "confirms": search.settings.get("confirms"),
        "continued": (trial["search_id"], trial["number"]) in continued,
    }
    values |= {name: trial[name] for name in _SAME} | {name: configuration.get(name) for name in _VARIED}
    row = [math.nan] * len(_PLACE)
    for name, value in values.items():
        row[_PLACE[name]] = value
    return row


def _of_studies(ids: Sequence[int] | None) -> sa.Select[Any]:
    """Trial, split, metric, value and bounds of the metrics by study that the table has."""
    metrics = schema.metrics.c
    named = metrics.metric.in_(sorted({metric for _, metric in _PLACES}))
    columns = (metrics.trial_id, metrics.split, metrics.metric, metrics.value, metrics.low, metrics.high)
    query = sa.select(*columns).where(metrics.level == "study", named, metrics.split.in_(("valid", "test")))
    return query if ids is None else query.where(metrics.trial_id.in_(ids))


def _accuracies(ids: Sequence[int] | None) -> sa.Select[Any]:
    """Trial, split and bounds of the accuracy by image."""
    metrics = schema.metrics.c
    columns = (metrics.trial_id, metrics.split, metrics.low, metrics.high)
    wanted = metrics.level == "image", metrics.metric == "accuracy", metrics.split.in_(("valid", "test"))
    return sa.select(*columns).where(*wanted if ids is None else (*wanted, metrics.trial_id.in_(ids)))


def ranking_table(store: Store, ends: bool) -> pd.DataFrame:
    """Every trial of the store in the order of `trials_table`, with few of its columns: those by which trials are
    chosen, ranked by default, and counted. A large store's leaderboard needs no more of most trials.

    Args:
        ends: with the column finished too, by which trials are chosen by time.
    Returns: search, trial, state, part_body, valid_accuracy_eval, valid_auc, test_auc, data_hash, trial_id, kind,
        continued.
    """
    names = ("id", "search_id", "number", "state", "part_body", "valid_accuracy_eval", *(("finished",) if ends else ()))
    columns = _columns(store, sa.select(*(schema.trials.c[name] for name in names)))
    searches = store.searches()  # after the trials: a search may begin meanwhile
    table = pd.DataFrame(dict(zip(names, columns, strict=False)), columns=names)  # without columns where none is stored
    table = table.sort_values(["search_id", "number"], ignore_index=True)  # sooner done here than by a database
    table = table.rename(columns={"id": "trial_id", "number": "trial"})
    for column, attribute in (("search", "name"), ("kind", "kind"), ("data_hash", "data_hash")):
        table[column] = table["search_id"].map({each.id: getattr(each, attribute) for each in searches})
    # What ended or was measured since the trials were read is not taken in.
    finished = set(table.loc[table["state"] == FINISHED, "trial_id"])
    went_on = [earlier for earlier, later in store.read(partial(_all, query=_continuing())) if later in finished]
    table["continued"] = table["trial_id"].isin(went_on)
    ids, *aucs = _columns(store, _aucs()) or [()] * 3
    for name, values in zip(("valid_auc", "test_auc"), aucs, strict=True):
        found = pd.Series(np.array(values, float), pd.Index(ids, dtype="int64"))
        table[name] = table["trial_id"].map(found).where(table["state"] != RUNNING)
    return table


def _columns(store: Store, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
    """What a query finds, by columns; empty where it finds nothing."""
    with _no_collection():
        return list(zip(*store.read(partial(_all, query=query)), strict=True))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Rows by the hundred thousand make Python look for garbage among them, time after time, and there is none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _continuing() -> sa.Select[Any]:
    """Of the trials that went on from another's end: that one, and themselves."""
    earlier, later = schema.trials, schema.trials.alias()
    same = sa.and_(later.c.search_id == earlier.c.search_id, later.c.continues == earlier.c.number)
    return sa.select(earlier.c.id, later.c.id).join(later, same).where(later.c.continues.is_not(None))


def _aucs() -> sa.Select[Any]:
    """Trial, valid and test AUC by study."""
    metrics = schema.metrics.c
    of_split = [sa.func.max(sa.case((metrics.split == split, metrics.value))) for split in ("valid", "test")]
    wanted = metrics.level == "study", metrics.metric == "auc", metrics.split.in_(("valid", "test"))
    return sa.select(metrics.trial_id, *of_split).where(*wanted).group_by(metrics.trial_id)
