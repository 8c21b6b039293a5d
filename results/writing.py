"""What is put into a store: each method writes in one transaction, committed once whatever the server does."""

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from plumbing.errors import StoreError
from results import schema
from results.claims import Claim, TrialTakenOver, end_claim, running_rows
from results.reading import search_named
from results.reconnect import Database
from results.records import (
    FAILED,
    RUNNING,
    ImageList,
    Measure,
    NewSearch,
    NewTrial,
    Search,
    Trial,
    TrialResult,
    utc_now,
)


class Writing(Database):
    """The methods of `results.store.Store` that write. Each raises StoreError where the database refuses."""

    # Searches

    def create_search(self, new: NewSearch) -> Search:
        """Store a search.

        Raises: StoreError where its name is taken.
        """
        try:
            return self.write(lambda connection: _insert_search(connection, new))
        except sa.exc.IntegrityError:
            raise StoreError(f"a search named {new.name} is in the store already; give another --name") from None

    def note_run(self, search_id: int, run: Mapping[str, Any] | None) -> None:
        """Note what a search's command asks for, by which workers join it."""
        noted = sa.update(schema.searches).filter_by(id=search_id).values(run=run)
        self.write(lambda connection: connection.execute(noted))

    def save_image_list(self, data_hash: str, task: str, split: str, images: ImageList) -> None:
        """Store the images of a split, once for each data hash, task and split; nothing is written where they are."""
        there = sa.select(sa.literal(1)).select_from(schema.image_lists)
        there = there.filter_by(data_hash=data_hash, task=task, split=split)
        if self.read(lambda connection: connection.execute(there).first()):
            return
        insert = sa.insert(schema.image_lists).values(
            data_hash=data_hash,
            task=task,
            split=split,
            paths=list(images.paths),
            patients=list(images.patients),
            studies=list(images.studies),
            labels=images.labels.tolist(),
        )
        with contextlib.suppress(sa.exc.IntegrityError):  # another process has just stored it: the same by its hash
            self.write(lambda connection: connection.execute(insert))

    # Trials

    def start_trials(self, search_id: int, new: Sequence[NewTrial]) -> list[Trial]:
        """Store trials as running, in one transaction."""
        if not new:
            return []
        rows = running_rows(search_id, new)
        table = schema.trials
        query = sa.select(table).where(
            table.c.search_id == search_id, table.c.number.in_([each.number for each in new])
        )

        def work(connection: sa.Connection) -> list[Trial]:
            connection.execute(sa.insert(table), rows)
            stored = {row["number"]: Trial(**row) for row in connection.execute(query).mappings()}
            return [stored[trial.number] for trial in new]

        return self.write(work)

    def start_trial(self, search_id: int, new: NewTrial) -> Trial:
        """Store a trial as running."""
        return self.start_trials(search_id, [new])[0]

    def finish_trial(self, trial_id: int, result: TrialResult, claim: Claim | None = None) -> None:
        """Store all that a trial found, in one transaction.

        Args:
            claim: a worker's, which ends with it.
        Raises: StoreError where the trial is not running, so that nothing finished is ever overwritten. TrialTakenOver
            where another worker took over what was claimed.
        """
        epochs = max((len(values) for values in result.history.values()), default=0)
        values: dict[str, Any] = {
            "state": result.state,
            "value": _number(result.value),
            "best_epoch": result.best_epoch,
            "epochs_trained": epochs,
            "early_stop_at_epoch": result.early_stop_at_epoch,
            "seconds": _number(result.seconds),
            "model_path": result.model_path,
            "first_epoch": result.first_epoch,
            "found_parameters": result.found_parameters,
            "finished": utc_now(),
        }
        if result.configuration is not None:
            values["configuration"] = result.configuration
        values |= {f"{split}_accuracy_eval": _number(value) for split, value in result.accuracies.items()}

        def work(connection: sa.Connection) -> None:
            if claim is not None:
                end_claim(connection, claim, result.state)
            _leave_running(connection, trial_id, values, claim)
            insert_history(connection, trial_id, result.history)
            insert_measures(connection, trial_id, result.measures)
            insert_probabilities(connection, trial_id, result.probabilities)

        self.write(work)

    def fail_trial(self, trial_id: int, reason: str, seconds: float, claim: Claim | None = None) -> None:
        """Store a trial as failed, with its reason.

        Raises: StoreError where the trial is not running; TrialTakenOver as `finish_trial`.
        """
        values = {"state": FAILED, "reason": reason, "seconds": seconds, "finished": utc_now()}

        def work(connection: sa.Connection) -> None:
            if claim is not None:
                end_claim(connection, claim, FAILED)
            _leave_running(connection, trial_id, values, claim)

        self.write(work)

    def remove_running(self, trial_ids: Sequence[int]) -> None:
        """Remove trials that were begun and have no result; those that ended stay."""
        wanted = sa.and_(schema.trials.c.id.in_(trial_ids), schema.trials.c.state == RUNNING)
        theirs = schema.claims.c.trial_id.in_(sa.select(schema.trials.c.id).where(wanted))

        def work(connection: sa.Connection) -> None:
            connection.execute(sa.delete(schema.claims).where(theirs))
            connection.execute(sa.delete(schema.trials).where(wanted))

        self.write(work)

    def forget_model(self, trial_id: int) -> None:
        """Store that a trial's model is no longer kept."""
        forgotten = sa.update(schema.trials).where(schema.trials.c.id == trial_id).values(model_path=None)
        self.write(lambda connection: connection.execute(forgotten))

    # Imports

    def import_search(
        self,
        new: NewSearch,
        rows: Iterable[tuple[dict[str, Any], dict[str, list[float | None]] | None]],
        unplaced: Iterable[dict[str, str]],
    ) -> Search:
        """Store an imported table whole, in one transaction: its rows with their histories, and what found no place.

        Args:
            rows: values of `results_trials`, and the history where there is one.
            unplaced: source, field, content, reason.
        Raises: StoreError where an import of that name is in the store already.
        """
        rows, unplaced = list(rows), list(unplaced)  # more than once where the server goes away

        def work(connection: sa.Connection) -> Search:
            search = _insert_search(connection, new)
            for number, (trial, history) in enumerate(rows):
                owned = {"search_id": search.id, "number": number, "created": utc_now()}
                insert_history(connection, _insert(connection, schema.trials, trial | owned), history or {})
            for entry in unplaced:
                connection.execute(sa.insert(schema.unplaced).values(search_id=search.id, **entry))
            return search

        try:
            return self.write(work)
        except sa.exc.IntegrityError:
            raise StoreError(f"{new.name} is in the store already; nothing was imported") from None


def _insert_search(connection: sa.Connection, new: NewSearch) -> Search:
    values = {each.name: getattr(new, each.name) for each in fields(NewSearch)} | {"created": utc_now()}
    _insert(connection, schema.searches, values)
    stored = search_named(connection, new.name)
    assert stored is not None
    return stored


def _leave_running(connection: sa.Connection, trial_id: int, values: dict[str, Any], claim: Claim | None) -> None:
    running = sa.and_(schema.trials.c.id == trial_id, schema.trials.c.state == RUNNING)
    if connection.execute(sa.update(schema.trials).where(running).values(**values)).rowcount != 1:
        if claim is not None:  # it was given up meanwhile
            raise TrialTakenOver(f"trial {claim.trial.number} is not running any more; this result is not written")
        raise StoreError(f"trial {trial_id} is not running: another process ended it; its result stays")


def _insert(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> int:
    """Insert a row; its id."""
    key = connection.execute(sa.insert(table).values(**values)).inserted_primary_key
    assert key is not None  # tables with an `id` always give it
    return int(key[0])


def insert_history(connection: sa.Connection, trial_id: int, history: Any) -> None:
    """One row an epoch; a value that is not finite is stored as null, which JSON has."""
    epochs = max((len(values) for values in history.values()), default=0)
    rows = [
        {
            "trial_id": trial_id,
            "epoch": epoch,
            "metrics": {metric: _finite(values[epoch]) for metric, values in history.items() if epoch < len(values)},
        }
        for epoch in range(epochs)
    ]
    if rows:
        connection.execute(sa.insert(schema.histories), rows)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _number(value: float | None) -> float | None:
    """The value, null where it is NaN: SQLite keeps no NaN, and PostgreSQL takes it for the greatest number."""
    return None if value is None or math.isnan(value) else value


def insert_measures(connection: sa.Connection, trial_id: int, measures: Iterable[Measure]) -> None:
    """One row a split, level and metric."""
    rows = [
        {
            "trial_id": trial_id,
            "split": each.split,
            "level": each.level,
            "metric": each.metric,
            "value": _number(each.value),
            "low": _number(each.low),
            "high": _number(each.high),
        }
        for each in measures
    ]
    if rows:
        connection.execute(sa.insert(schema.metrics), rows)


def insert_probabilities(connection: sa.Connection, trial_id: int, probabilities: Any) -> None:
    """One row a split."""
    for split, array in probabilities.items():
        connection.execute(
            sa.insert(schema.probabilities).values(
                trial_id=trial_id, split=split, classes=array.shape[1], values=array.astype("<f4").tobytes()
            )
        )
