"""What a store tells: each method reads in one transaction, run again where the server went away meanwhile."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from plumbing.errors import StoreError
from results import schema
from results.reconnect import Database
from results.records import FINISHED, ImageList, Measure, Search, Summary, Trial

AT_ONCE = 10_000  # trials named in one statement: SQLite takes 32,766 numbers, PostgreSQL 65,535


class Reading(Database):
    """The methods of `results.store.Store` that read. Each raises Unreadable where the database cannot be read."""

    # Searches

    def search(self, name: str) -> Search | None:
        """The search of that name, None where there is none."""
        return self.read(lambda connection: search_named(connection, name))

    def searches(self) -> list[Search]:
        """All searches and imports, oldest first."""
        query = sa.select(schema.searches).order_by(schema.searches.c.id)
        return self.read(lambda connection: [Search(**row) for row in connection.execute(query).mappings()])

    def summaries(self) -> dict[int, Summary]:
        """Each search's trials by state, best value and number of unplaced entries."""
        trials, unplaced = schema.trials.c, schema.unplaced.c
        states = sa.select(trials.search_id, trials.state, sa.func.count()).group_by(trials.search_id, trials.state)
        best = sa.select(trials.search_id, sa.func.max(trials.value)).where(trials.state == FINISHED)
        kept = sa.select(unplaced.search_id, sa.func.count()).group_by(unplaced.search_id)

        def work(connection: sa.Connection) -> dict[int, Summary]:
            ids = connection.execute(sa.select(schema.searches.c.id)).scalars().all()
            by_state: dict[int, dict[str, int]] = {}
            for search_id, state, count in connection.execute(states):
                by_state.setdefault(search_id, {})[state] = count
            bests = {row[0]: row[1] for row in connection.execute(best.group_by(trials.search_id))}
            counts = {row[0]: row[1] for row in connection.execute(kept)}
            return {each: Summary(by_state.get(each, {}), bests.get(each), counts.get(each, 0)) for each in ids}

        return self.read(work)

    def progress(self) -> tuple[Any, ...]:
        """What is the same again as long as no search has begun and no trial has begun, ended or lost its model."""
        trials, group = schema.trials.c, (schema.trials.c.search_id, schema.trials.c.state)
        counted = sa.func.count(), sa.func.sum(trials.number), sa.func.count(trials.model_path)
        states = sa.select(*group, *counted).group_by(*group)

        def work(connection: sa.Connection) -> tuple[Any, ...]:
            searches = connection.execute(sa.select(sa.func.count()).select_from(schema.searches)).scalar()
            return searches, *sorted(tuple(row) for row in connection.execute(states))

        return self.read(work)

    # Image lists

    def image_list(self, data_hash: str, task: str, split: str) -> ImageList:
        """The images of a split in the order of stored probabilities.

        Raises: StoreError where the store has no such list.
        """
        query = sa.select(schema.image_lists).filter_by(data_hash=data_hash, task=task, split=split)
        row = self.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise StoreError(f"the store holds no image list of {task} {split} for data {data_hash}")
        return ImageList(tuple(row.paths), tuple(row.patients), tuple(row.studies), np.array(row.labels, np.int64))

    # Trials

    def trials(self, search_id: int | None = None, number: int | None = None, first: int = 0) -> list[Trial]:
        """Trials by search and number, or from a first number on, in the order in which they were proposed."""
        query = sa.select(schema.trials).order_by(schema.trials.c.search_id, schema.trials.c.number)
        if search_id is not None:
            query = query.where(schema.trials.c.search_id == search_id)
        if number is not None:
            query = query.where(schema.trials.c.number == number)
        if first:
            query = query.where(schema.trials.c.number >= first)
        return self.read(lambda connection: [Trial(**row) for row in connection.execute(query).mappings()])

    def histories(self, trial_ids: Sequence[int] | None = None) -> dict[int, dict[str, list[float | None]]]:
        """Trial -> metric -> one value an epoch (None where an epoch lacks it); all trials where none are named."""
        table = schema.histories
        query = sa.select(table).order_by(table.c.trial_id, table.c.epoch)
        found: dict[int, dict[str, list[float | None]]] = {}
        for row in self._of_trials(query, table.c.trial_id, trial_ids):
            history = found.setdefault(row.trial_id, {})
            for metric, value in row.metrics.items():
                values = history.setdefault(metric, [])
                values += [None] * (row.epoch - len(values)) + [value]
        return found

    def measures(self, level: str | None = None, metric: str | None = None) -> list[tuple[int, Measure]]:
        """All trials' metrics, or those of one level (image or study) or of one name, with their trial's id."""
        wanted = {"level": level, "metric": metric}
        query = sa.select(schema.metrics).filter_by(**{name: each for name, each in wanted.items() if each is not None})
        rows = self.read(lambda connection: connection.execute(query).all())
        return [(row[0], Measure(*row[1:])) for row in rows]

    def probabilities(self, trial_id: int, split: str) -> np.ndarray | None:
        """(images, classes) float32 in image order, classes 1 or 14; None where none are stored."""
        return self.all_probabilities([trial_id], split).get(trial_id)

    def all_probabilities(self, trial_ids: Sequence[int], split: str) -> dict[int, np.ndarray]:
        """Trial -> its probabilities as `probabilities` gives them, in the given order; trials without are left out."""
        table = schema.probabilities
        query = sa.select(table).where(table.c.split == split)
        rows = {row.trial_id: row for row in self._of_trials(query, table.c.trial_id, trial_ids)}
        return {each: _array(rows[each]) for each in trial_ids if each in rows}

    def _of_trials(
        self, query: sa.Select[Any], column: sa.Column[int], trial_ids: Sequence[int] | None
    ) -> list[sa.Row[Any]]:
        """The query's rows of these trials, of all where none are named; databases take so many numbers at a time."""
        if trial_ids is None:
            queries = [query]
        else:
            pieces = (trial_ids[first : first + AT_ONCE] for first in range(0, len(trial_ids), AT_ONCE))
            queries = [query.where(column.in_(piece)) for piece in pieces]
        return self.read(lambda connection: [row for each in queries for row in connection.execute(each)])

    # Imports

    def unplaced(self, search_id: int) -> list[dict[str, str]]:
        """What an import could not place: source, field, content, reason."""
        table = schema.unplaced
        query = sa.select(table.c.source, table.c.field, table.c.content, table.c.reason)
        query = query.where(table.c.search_id == search_id).order_by(table.c.id)
        return self.read(lambda connection: [dict(row) for row in connection.execute(query).mappings()])


def search_named(connection: sa.Connection, name: str) -> Search | None:
    """The search of that name, None where there is none."""
    row = connection.execute(sa.select(schema.searches).filter_by(name=name)).mappings().first()
    return Search(**row) if row else None


def _array(row: Any) -> np.ndarray:
    return np.frombuffer(row.values, "<f4").reshape(-1, row.classes)
