"""Optuna's study in the store, which several processes may fill at once.

One process at a time adds trials. It asks how many the database holds and adds those from there on; the transaction
that adds a trial fails where it would not get its own number, so that each is there once, in the order of numbers, even
where a lock was lost to a restart of the database. What could not be added, because the database was out of reach or
another process was at it, is added next time.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from plumbing.errors import StoreError
from plumbing.files import locked_if_free
from results.connection import hide_password, postgresql_arguments, sqlite_path
from results.reconnect import persistently
from search.engines import Request

# How long to wait for another process that makes tables or adds trials: it takes a few seconds, or was stopped.
PATIENCE_SECONDS, BETWEEN_SECONDS = 60.0, 0.05
TABLES = "optuna tables"


class NumberTaken(Exception):
    """Another process has added the trial meanwhile."""


class WholeTrials(RDBStorage):
    """Optuna's storage for trials that are added whole, each under the number that it brings.

    Optuna's own asks the database before each epoch's value whether the trial has one already, which a trial just made
    cannot have, and before each parameter whether the study's other trials declare it alike, which ours do: a search
    whose space changed is refused before. Without asking, fifty trials take a quarter of a second in place of one.
    """

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Any
    ) -> models.TrialModel:
        """Raises: NumberTaken, which undoes the transaction."""
        prepared = super()._get_prepared_new_trial(study_id, template_trial, session)
        if template_trial is not None and prepared.number != template_trial.number:
            raise NumberTaken
        return prepared

    def _set_trial_param_without_commit(
        self,
        session: Any,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,
    ) -> None:
        text = distribution_to_json(distribution)
        row = models.TrialParamModel(
            trial_id=trial_id, param_name=param_name, param_value=param_value_internal, distribution_json=text
        )
        session.add(row)

    def _set_trial_intermediate_value_without_commit(
        self, session: Any, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        model = models.TrialIntermediateValueModel
        value, kind = model.intermediate_value_to_stored_repr(intermediate_value)
        session.add(model(trial_id=trial_id, step=step, intermediate_value=value, intermediate_value_type=kind))


class StoredStudy:
    """A search's study in the database, and how many trials it is known to hold.

    Attributes:
        trials: that it held when it was opened.
    """

    def __init__(self, request: Request) -> None:
        """Open the study, or make it.

        Raises: StoreError where it is somebody else's, the database is of another Optuna, or cannot be reached.
        """
        self.url, self.name = request.url, request.name
        shown = f"--store {hide_password(request.url)}"

        def once() -> None:
            with alone(request.url, TABLES, wait=True) as held, _own_errors():
                if not held:
                    raise StoreError(
                        f"{shown}: another process has been making Optuna's tables for {PATIENCE_SECONDS:g} s; end it"
                    )
                self.storage = WholeTrials(request.url, _engine_settings(request.url))
                self.study = optuna.create_study(
                    storage=self.storage, study_name=request.name, direction="maximize", load_if_exists=True
                )
                self.trials = self.study.get_trials(deepcopy=False)

        try:
            if request.fresh:
                once()
            else:  # it was there before: a server that is away is waited for
                persistently(once, sa.make_url(request.url))
        except (RuntimeError, optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
            raise StoreError(f"{shown}: Optuna cannot open it: {error}; give another store") from None
        if request.fresh and self.trials:
            raise StoreError(
                f"an Optuna study named {request.name}, not ours, is in the store already; give another --name"
            )
        self._held = len(self.trials)

    def close(self) -> None:
        """Give the database's connections back."""
        self.storage.engine.dispose()

    def add(self, trials: Sequence[FrozenTrial], last: bool) -> None:
        """Add those that the study lacks of its first trials.

        Args:
            trials: in the order of their numbers, from 0 on.
            last: they are not added at another time: wait for others, and do not pass over errors.
        Raises: StoreError where it is the last time and the database refuses, or another process holds the study.
        """
        if self._held >= len(trials):
            return

        def once() -> None:
            with alone(self.url, f"optuna study {self.name}", wait=last) as held, _own_errors():
                if held:
                    self._add(trials)
                elif last:
                    raise StoreError(
                        f"--store: another process has held Optuna's study for {PATIENCE_SECONDS:g} s; "
                        "end it and resume"
                    )

        try:
            if last:  # a server that is away is waited for
                persistently(once, sa.make_url(self.url))
            else:
                once()
        except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
            if last:
                reason = str(error.__cause__ or error).splitlines()[0]
                raise StoreError(f"--store: Optuna's study cannot be written: {reason}; free it and resume") from None

    def _add(self, trials: Sequence[FrozenTrial]) -> None:
        while (held := self._count()) < len(trials):
            with suppress(NumberTaken):
                for trial in trials[held:]:
                    self.study.add_trial(trial)
        self._held = held

    def _count(self) -> int:
        rows = models.TrialModel
        counted = sa.select(sa.func.count()).select_from(rows).where(rows.study_id == self.study._study_id)
        with self.storage.engine.connect() as connection:
            return int(connection.execute(counted).scalar_one())


@contextmanager
def _own_errors() -> Iterator[None]:
    """Let the database's own errors through, by which it is known whether it is away."""
    try:
        yield
    except optuna.exceptions.StorageInternalError as error:
        if isinstance(error.__cause__, DBAPIError):
            raise error.__cause__ from None
        raise


def _engine_settings(url: str) -> dict[str, Any]:
    """SQLAlchemy's settings for Optuna: with a server, few connections, each tried before it is used again."""
    if sqlite_path(url) is not None:
        return {}
    arguments = postgresql_arguments(sa.make_url(url))
    return {"pool_pre_ping": True, "pool_size": 1, "max_overflow": 2, "connect_args": arguments}


@contextmanager
def alone(url: str, what: str, wait: bool) -> Iterator[bool]:
    """Hold one of a database's locks, which is freed when its holder dies; whether it is held.

    Args:
        what: the lock's name; in a SQLite file all names are one lock.
        wait: for another holder, up to `PATIENCE_SECONDS`: a process that was stopped keeps it.
    """
    over = time.monotonic() + (PATIENCE_SECONDS if wait else 0)
    while True:
        with _lock_if_free(url, what) as held:
            if held or time.monotonic() >= over:
                yield held
                return
        time.sleep(BETWEEN_SECONDS)


@contextmanager
def _lock_if_free(url: str, what: str) -> Iterator[bool]:
    path = sqlite_path(url)
    if path is not None:
        with locked_if_free(path.with_name(f"{path.name}.lock")) as held:
            yield held
        return
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=postgresql_arguments(sa.make_url(url)))
    with engine.begin() as connection:
        asked = sa.text("SELECT pg_try_advisory_xact_lock(hashtext(:what))")
        yield bool(connection.execute(asked, {"what": what}).scalar_one())
