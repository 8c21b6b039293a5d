"""The results store.

What is atomic: each method that writes is one transaction. A trial's result (state, history, metrics, probabilities)
appears whole or not at all, and once it is there it stays: `finish_trial` refuses a trial that is no longer running.
Who may write: one process a search for now; any number of readers and of searches beside it.
What a reader sees after a kill: every committed trial whole, and the trial under way as `running`, without result.
"""

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from plumbing.errors import StoreError
from results import schema
from results.connection import open_engine, unwritable
from results.records import (
    FAILED,
    FINISHED,
    RUNNING,
    ImageList,
    Measure,
    NewSearch,
    NewTrial,
    Search,
    Summary,
    Trial,
    TrialResult,
)


def now() -> str:
    """The time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Store:
    """Searches and trials in a database; see the module's head for its guarantees."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str, create: bool = False) -> "Store":
        """Raises: StoreError where the store is absent (unless `create`), foreign, newer or unwritable."""
        return cls(open_engine(url, create))

    def __reduce__(self) -> tuple[Any, ...]:
        """Handed to another process, which opens the store for itself."""
        return Store.open, (self.engine.url.render_as_string(hide_password=False),)

    def close(self) -> None:
        """Give the database's connections back."""
        self.engine.dispose()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes; every writer uses it.

        Raises: StoreError where the database refuses to be written: full, read-only, damaged, gone. A broken key stays
            the IntegrityError that it is, for the writer to judge.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except sa.exc.IntegrityError:
            raise
        except sa.exc.DatabaseError as error:
            raise unwritable(self.engine.url, error) from None

    # Searches

    def search(self, name: str) -> Search | None:
        """The search of that name, None where there is none."""
        query = sa.select(schema.searches).where(schema.searches.c.name == name)
        with self.engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return Search(**row) if row else None

    def searches(self) -> list[Search]:
        """All searches and imports, oldest first."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(schema.searches).order_by(schema.searches.c.id)).mappings().all()
        return [Search(**row) for row in rows]

    def summaries(self) -> dict[int, Summary]:
        """Each search's trials by state, best value and number of unplaced entries."""
        trials, unplaced = schema.trials.c, schema.unplaced.c
        states = sa.select(trials.search_id, trials.state, sa.func.count()).group_by(trials.search_id, trials.state)
        best = sa.select(trials.search_id, sa.func.max(trials.value)).where(trials.state == FINISHED)
        kept = sa.select(unplaced.search_id, sa.func.count()).group_by(unplaced.search_id)
        with self.engine.connect() as connection:
            ids = connection.execute(sa.select(schema.searches.c.id)).scalars().all()
            by_state: dict[int, dict[str, int]] = {}
            for search_id, state, count in connection.execute(states):
                by_state.setdefault(search_id, {})[state] = count
            bests = {row[0]: row[1] for row in connection.execute(best.group_by(trials.search_id))}
            counts = {row[0]: row[1] for row in connection.execute(kept)}
        return {each: Summary(by_state.get(each, {}), bests.get(each), counts.get(each, 0)) for each in ids}

    def progress(self) -> tuple[Any, ...]:
        """What is the same again as long as no search has begun and no trial has begun, ended or lost its model."""
        trials, group = schema.trials.c, (schema.trials.c.search_id, schema.trials.c.state)
        counted = sa.func.count(), sa.func.sum(trials.number), sa.func.count(trials.model_path)
        states = sa.select(*group, *counted).group_by(*group)
        with self.engine.connect() as connection:
            searches = connection.execute(sa.select(sa.func.count()).select_from(schema.searches)).scalar()
            return searches, *sorted(tuple(row) for row in connection.execute(states))

    def create_search(self, new: NewSearch) -> Search:
        """Store a search.

        Raises: StoreError where its name is taken.
        """
        values = {each.name: getattr(new, each.name) for each in fields(NewSearch)} | {"created": now()}
        try:
            with self._writing() as connection:
                connection.execute(sa.insert(schema.searches).values(**values))
        except sa.exc.IntegrityError:
            raise StoreError(f"a search named {new.name} is in the store already; give another --name") from None
        stored = self.search(new.name)
        assert stored is not None
        return stored

    # Image lists

    def save_image_list(self, data_hash: str, task: str, split: str, images: ImageList) -> None:
        """Store the images of a split, once for each data hash, task and split; nothing is written where they are."""
        there = sa.select(sa.literal(1)).select_from(schema.image_lists)
        with self.engine.connect() as connection:
            if connection.execute(there.filter_by(data_hash=data_hash, task=task, split=split)).first():
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
        with contextlib.suppress(sa.exc.IntegrityError), self._writing() as connection:
            connection.execute(insert)  # refused where another process has just stored it: it is the same by its hash

    def image_list(self, data_hash: str, task: str, split: str) -> ImageList:
        """The images of a split in the order of stored probabilities.

        Raises: StoreError where the store has no such list.
        """
        query = sa.select(schema.image_lists).filter_by(data_hash=data_hash, task=task, split=split)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise StoreError(f"the store holds no image list of {task} {split} for data {data_hash}")
        return ImageList(tuple(row.paths), tuple(row.patients), tuple(row.studies), np.array(row.labels, np.int64))

    # Trials

    def start_trials(self, search_id: int, new: Sequence[NewTrial]) -> list[Trial]:
        """Store trials as running, in one transaction."""
        common = {"search_id": search_id, "state": RUNNING, "created": now()}
        rows = [{each.name: getattr(trial, each.name) for each in fields(NewTrial)} | common for trial in new]
        if not rows:
            return []
        with self._writing() as connection:
            connection.execute(sa.insert(schema.trials), rows)
        return [self.trials(search_id, number=trial.number)[0] for trial in new]

    def start_trial(self, search_id: int, new: NewTrial) -> Trial:
        """Store a trial as running."""
        return self.start_trials(search_id, [new])[0]

    def trials(self, search_id: int | None = None, number: int | None = None) -> list[Trial]:
        """Trials by search and number, in the order in which they were proposed."""
        query = sa.select(schema.trials).order_by(schema.trials.c.search_id, schema.trials.c.number)
        if search_id is not None:
            query = query.where(schema.trials.c.search_id == search_id)
        if number is not None:
            query = query.where(schema.trials.c.number == number)
        with self.engine.connect() as connection:
            return [Trial(**row) for row in connection.execute(query).mappings()]

    def finish_trial(self, trial_id: int, result: TrialResult) -> None:
        """Store all that a trial found, in one transaction.

        Raises: StoreError where the trial is not running, so that nothing finished is ever overwritten.
        """
        epochs = max((len(values) for values in result.history.values()), default=0)
        values = {
            "state": result.state,
            "value": result.value,
            "best_epoch": result.best_epoch,
            "epochs_trained": epochs,
            "early_stop_at_epoch": result.early_stop_at_epoch,
            "seconds": result.seconds,
            "model_path": result.model_path,
            "first_epoch": result.first_epoch,
            "found_parameters": result.found_parameters,
            "finished": now(),
        }
        if result.configuration is not None:
            values["configuration"] = result.configuration
        values |= {f"{split}_accuracy_eval": value for split, value in result.accuracies.items()}
        with self._writing() as connection:
            self._leave_running(connection, trial_id, values)
            insert_history(connection, trial_id, result.history)
            insert_measures(connection, trial_id, result.measures)
            insert_probabilities(connection, trial_id, result.probabilities)

    def fail_trial(self, trial_id: int, reason: str, seconds: float) -> None:
        """Store a trial as failed, with its reason.

        Raises: StoreError where the trial is not running.
        """
        values = {"state": FAILED, "reason": reason, "seconds": seconds, "finished": now()}
        with self._writing() as connection:
            self._leave_running(connection, trial_id, values)

    def remove_running(self, trial_ids: Sequence[int]) -> None:
        """Remove trials that were begun and have no result; those that ended stay."""
        wanted = sa.and_(schema.trials.c.id.in_(trial_ids), schema.trials.c.state == RUNNING)
        with self._writing() as connection:
            connection.execute(sa.delete(schema.trials).where(wanted))

    def forget_model(self, trial_id: int) -> None:
        """Store that a trial's model is no longer kept."""
        with self._writing() as connection:
            connection.execute(sa.update(schema.trials).where(schema.trials.c.id == trial_id).values(model_path=None))

    def _leave_running(self, connection: sa.Connection, trial_id: int, values: dict[str, Any]) -> None:
        running = sa.and_(schema.trials.c.id == trial_id, schema.trials.c.state == RUNNING)
        if connection.execute(sa.update(schema.trials).where(running).values(**values)).rowcount != 1:
            raise StoreError(f"trial {trial_id} is not running: another process ended it; its result stays")

    # What belongs to trials

    def histories(self, trial_ids: Sequence[int] | None = None) -> dict[int, dict[str, list[float | None]]]:
        """Trial -> metric -> one value an epoch (None where an epoch lacks it); all trials where none are named."""
        query = sa.select(schema.histories).order_by(schema.histories.c.trial_id, schema.histories.c.epoch)
        if trial_ids is not None:
            query = query.where(schema.histories.c.trial_id.in_(trial_ids))
        found: dict[int, dict[str, list[float | None]]] = {}
        with self.engine.connect() as connection:
            for row in connection.execute(query):
                history = found.setdefault(row.trial_id, {})
                for metric, value in row.metrics.items():
                    values = history.setdefault(metric, [])
                    values += [None] * (row.epoch - len(values)) + [value]
        return found

    def measures(self, level: str | None = None, metric: str | None = None) -> list[tuple[int, Measure]]:
        """All trials' metrics, or those of one level (image or study) or of one name, with their trial's id."""
        wanted = {"level": level, "metric": metric}
        query = sa.select(schema.metrics).filter_by(**{name: each for name, each in wanted.items() if each is not None})
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return [(row[0], Measure(*row[1:])) for row in rows]

    def probabilities(self, trial_id: int, split: str) -> np.ndarray | None:
        """(images, classes) float32 in image order, classes 1 or 14; None where none are stored."""
        query = sa.select(schema.probabilities).filter_by(trial_id=trial_id, split=split)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _array(row)

    def all_probabilities(self, trial_ids: Sequence[int], split: str) -> dict[int, np.ndarray]:
        """Trial -> its probabilities as `probabilities` gives them, in the given order; trials without are left out."""
        table = schema.probabilities
        query = sa.select(table).where(table.c.trial_id.in_(trial_ids), table.c.split == split)
        with self.engine.connect() as connection:
            rows = {row.trial_id: row for row in connection.execute(query)}
        return {each: _array(rows[each]) for each in trial_ids if each in rows}

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
        values = {each.name: getattr(new, each.name) for each in fields(NewSearch)} | {"created": now()}
        try:
            with self._writing() as connection:
                search_id = _insert(connection, schema.searches, values)
                for number, (trial, history) in enumerate(rows):
                    owned = {"search_id": search_id, "number": number, "created": now()}
                    insert_history(connection, _insert(connection, schema.trials, trial | owned), history or {})
                for entry in unplaced:
                    connection.execute(sa.insert(schema.unplaced).values(search_id=search_id, **entry))
        except sa.exc.IntegrityError:
            raise StoreError(f"{new.name} is in the store already; nothing was imported") from None
        stored = self.search(new.name)
        assert stored is not None
        return stored

    def unplaced(self, search_id: int) -> list[dict[str, str]]:
        """What an import could not place: source, field, content, reason."""
        table = schema.unplaced
        query = sa.select(table.c.source, table.c.field, table.c.content, table.c.reason)
        with self.engine.connect() as connection:
            rows = connection.execute(query.where(table.c.search_id == search_id).order_by(table.c.id)).mappings().all()
        return [dict(row) for row in rows]


def _array(row: Any) -> np.ndarray:
    return np.frombuffer(row.values, "<f4").reshape(-1, row.classes)


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


def insert_measures(connection: sa.Connection, trial_id: int, measures: Iterable[Measure]) -> None:
    """One row a split, level and metric."""
    rows = [{"trial_id": trial_id} | {each.name: getattr(m, each.name) for each in fields(Measure)} for m in measures]
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
