"""Who works on which trial.

A worker joins a search, gives a sign of life now and then, and claims a trial before it trains it. Each attempt at a
trial is a row of its own, numbered from 1: the fencing token. A result is written only in a transaction that ends the
attempt's own open row, so of several attempts one alone can write, and a worker that comes back too late is refused.
An attempt is taken over where its worker was silent for longer than its patience (`lost`), where its process is seen
to have ended (`gone`), or where it gave the trial back (`released`). All times are the database's own.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from plumbing.processes import host, identity, is_gone
from results import schema
from results.records import FAILED, RUNNING, NewTrial, Trial, utc_now

LOST, GONE, RELEASED = "lost", "gone", "released"  # outcomes of an attempt that wrote nothing
PATIENCE = 60.0  # seconds of silence after which a worker counts as dead
BEATS = 4  # signs of life within that time


class TrialTakenOver(Exception):
    """Another worker has taken the trial over; this one's result is not written."""


@dataclass(frozen=True)
class Claim:
    """The right to write one trial's result, as long as nobody took it over.

    Attributes:
        shared: an earlier attempt was lost to silence, so its worker may still write files of this trial.
        suspect: a worker died of it, or while it had it under way.
    """

    trial: Trial
    attempt: int
    worker_id: int
    shared: bool = False
    suspect: bool = False


@dataclass(frozen=True)
class WorkerRow:
    """A worker as the store knows it.

    Attributes:
        joined, heartbeat: seconds of the epoch by the database's clock. silent: seconds since the last sign of life.
        alive: it has not left, was not silent for longer than its patience, and is not seen from here to have ended.
        trials: how many it has under way.
    """

    id: int
    search_id: int
    host: str
    process: int
    joined: float
    heartbeat: float
    silent: float
    alive: bool
    trials: int


class clock(FunctionElement[float]):  # noqa: N801  # an SQL function
    """The database's time, in seconds of the epoch."""

    type = sa.Float(53)
    inherit_cache = True


@compiles(clock, "postgresql")
def _postgresql_clock(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(clock, "sqlite")
def _sqlite_clock(element: Any, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


def now(connection: sa.Connection) -> float:
    """The database's time, in seconds of the epoch."""
    return float(connection.execute(sa.select(clock())).scalar_one())


def join(connection: sa.Connection, search_id: int, patience: float = PATIENCE, label: str | None = None) -> int:
    """Enter this process as a worker of the search; its number.

    Args:
        label: by which the command that began it knows it.
    """
    values = {"search_id": search_id, "host": host(), "process": os.getpid(), "label": label, "identity": identity()}
    times = {"joined": clock(), "heartbeat": clock(), "patience": patience}
    key = connection.execute(sa.insert(schema.workers).values(**values, **times)).inserted_primary_key
    assert key is not None
    return int(key[0])


def beat(connection: sa.Connection, worker_id: int) -> frozenset[tuple[int, int]]:
    """Give a sign of life; trial and attempt of all that was taken over from this worker."""
    table = schema.claims.c
    connection.execute(sa.update(schema.workers).filter_by(id=worker_id).values(heartbeat=clock()))
    taken = sa.select(table.trial_id, table.attempt).where(table.worker_id == worker_id)
    return frozenset((row[0], row[1]) for row in connection.execute(taken.where(table.outcome.in_((LOST, GONE)))))


def leave(connection: sa.Connection, worker_id: int) -> None:
    """Give back what is under way and go."""
    mine = sa.and_(schema.claims.c.worker_id == worker_id, schema.claims.c.outcome.is_(None))
    connection.execute(sa.update(schema.claims).where(mine).values(outcome=RELEASED, ended=clock()))
    connection.execute(sa.update(schema.workers).filter_by(id=worker_id).values(left=clock()))


@dataclass(frozen=True)
class Wish:
    """What a worker would take.

    Attributes:
        numbers: of trials, in the order of preference. new: those that the store may lack: they are stored as running
            first, whether they are then claimed or not, so a batch's configurations stand, whoever proposed them; where
            another stored them meanwhile, its own stand.
        most: so many at once, and not more than a fair share. all_if_alone: all where no other worker lives.
        idle: the worker has nothing under way, so it may take a suspect trial: alone, that it may be known which trial
            workers die of.
        believe_silence: workers count as dead after long silence; not, while this worker was itself cut off just now.
    """

    numbers: Sequence[int]
    new: Sequence[NewTrial] = ()
    most: int = 1
    all_if_alone: bool = False
    idle: bool = True
    believe_silence: bool = True


def take(connection: sa.Connection, worker_id: int, search_id: int, wish: Wish) -> list[Claim]:
    """Claim trials, those that ended or are under way elsewhere left out."""
    store_running(connection, search_id, wish.new)
    table, places = schema.trials, {number: place for place, number in enumerate(wish.numbers)}
    query = sa.select(table).where(table.c.search_id == search_id, table.c.number.in_(wish.numbers))
    rows = connection.execute(query.where(table.c.state == RUNNING)).mappings()
    trials = sorted((Trial(**row) for row in rows), key=lambda trial: places[trial.number])
    if not trials:
        return []
    attempts = _attempts(connection, [trial.id for trial in trials])
    dead: dict[int, str] = {}
    others = 0
    if wish.most > 1 or wish.all_if_alone or any(before[-1].outcome is None for before in attempts.values()):
        dead, others = _others(connection, worker_id, search_id, wish.believe_silence)
    free = [trial for trial in trials if _may_be_free(attempts.get(trial.id, ()), dead)]
    alone = wish.all_if_alone and not others
    most = len(trials) if alone else min(wish.most, -(-len(free) // (others + 1)))
    claimed: list[Claim] = []
    for trial in free:
        before = attempts.get(trial.id, [])
        suspect = not alone and any((each.outcome or dead[each.worker_id]) in (LOST, GONE) for each in before)
        if len(claimed) == most or (suspect and (claimed or not wish.idle)):
            break
        if _end_dead(connection, before, dead):
            lost = any((each.outcome or dead[each.worker_id]) == LOST for each in before)
            claim = Claim(trial, len(before) + 1, worker_id, lost, suspect)
            claimed += [claim] if _claim(connection, claim) else []
        if suspect and claimed:
            break
    return claimed


def reap(connection: sa.Connection, label: str) -> tuple[list[int], int]:
    """End the open attempts of the worker of that label, which has died; their trials, and how many it had in all."""
    table, dead = schema.claims, schema.workers.c
    rows = connection.execute(sa.select(dead.id, dead.identity).where(dead.label == label)).all()
    theirs = table.c.worker_id.in_([row.id for row in rows])
    how = GONE if all(is_gone(row.identity) for row in rows) else LOST
    had = connection.execute(sa.select(sa.func.count()).select_from(table).where(theirs)).scalar_one()
    ended = sa.update(table).where(theirs, table.c.outcome.is_(None)).values(outcome=how, ended=clock())
    return list(connection.execute(ended.returning(table.c.trial_id)).scalars()), int(had)


def give_up(connection: sa.Connection, trial_id: int, reason: str, finished: str) -> None:
    """Fail a trial that is running; who has it under way may not write it.

    Args:
        finished: the time, as the store tells it.
    """
    table, trials = schema.claims, schema.trials
    own = sa.and_(table.c.trial_id == trial_id, table.c.outcome.is_(None))
    connection.execute(sa.update(table).where(own).values(outcome=RELEASED, ended=clock()))
    running = sa.and_(trials.c.id == trial_id, trials.c.state == RUNNING)
    failed = {"state": FAILED, "reason": reason, "seconds": 0.0, "finished": finished}
    connection.execute(sa.update(trials).where(running).values(**failed))


def end_claim(connection: sa.Connection, claim: Claim, outcome: str) -> None:
    """End an attempt, in the transaction that writes its result.

    Raises: TrialTakenOver where the attempt is open no more.
    """
    table = schema.claims
    own = sa.and_(table.c.trial_id == claim.trial.id, table.c.attempt == claim.attempt, table.c.outcome.is_(None))
    if connection.execute(sa.update(table).where(own).values(outcome=outcome, ended=clock())).rowcount != 1:
        raise TrialTakenOver(f"trial {claim.trial.number} was taken over by another worker; this result is not written")


def store_running(connection: sa.Connection, search_id: int, new: Sequence[NewTrial]) -> int:
    """Store trials as running, those whose numbers are taken left out; how many."""
    return _insert_if_free(connection, schema.trials, running_rows(search_id, new)) if new else 0


def running_rows(search_id: int, new: Sequence[NewTrial]) -> list[dict[str, Any]]:
    """Trials that begin now, as rows of their table."""
    common = {"search_id": search_id, "state": RUNNING, "created": utc_now()}
    return [{each.name: getattr(trial, each.name) for each in fields(NewTrial)} | common for trial in new]


def workers(connection: sa.Connection, search_id: int | None = None) -> list[WorkerRow]:
    """The workers of a search, or of all, in the order in which they joined."""
    table, claims = schema.workers.c, schema.claims.c
    under_way = sa.select(sa.func.count()).where(claims.worker_id == table.id, claims.outcome.is_(None))
    silent = clock() - table.heartbeat
    alive = sa.and_(table.left.is_(None), silent <= table.patience)
    columns = (table.id, table.search_id, table.host, table.process, table.joined, table.heartbeat)
    query = sa.select(table.identity, *columns, silent, alive, under_way.scalar_subquery()).order_by(table.id)
    if search_id is not None:
        query = query.where(table.search_id == search_id)
    found = [(its_identity, WorkerRow(*row)) for its_identity, *row in connection.execute(query)]
    return [replace(worker, alive=worker.alive and not is_gone(its_identity)) for its_identity, worker in found]


def _others(
    connection: sa.Connection, worker_id: int, search_id: int, believe_silence: bool
) -> tuple[dict[int, str], int]:
    """Dead workers of the search, each with how that is known; how many others live."""
    table = schema.workers.c
    silent = sa.or_(table.left.is_not(None), clock() - table.heartbeat > table.patience)
    query = sa.select(table.id, table.identity, silent, table.left).where(table.search_id == search_id)
    dead, others = {}, 0
    for other, its_identity, is_silent, left in connection.execute(query.where(table.id != worker_id)):
        if is_gone(its_identity):
            dead[other] = GONE
        elif is_silent and (believe_silence or left is not None):
            dead[other] = LOST
        else:
            others += 1
    return dead, others


def _attempts(connection: sa.Connection, trial_ids: Sequence[int]) -> dict[int, list[Any]]:
    table = schema.claims
    found: dict[int, list[Any]] = {}
    query = sa.select(table).where(table.c.trial_id.in_(trial_ids)).order_by(table.c.attempt)
    for row in connection.execute(query):
        found.setdefault(row.trial_id, []).append(row)
    return found


def _may_be_free(before: Sequence[Any], dead: dict[int, str]) -> bool:
    """Whether nobody's attempt is open, or its worker is dead."""
    return not before or before[-1].outcome is not None or before[-1].worker_id in dead


def _end_dead(connection: sa.Connection, before: Sequence[Any], dead: dict[int, str]) -> bool:
    """End the open attempt of a dead worker; False where it is none any more.

    Its worker may have given a sign of life since: the database looks once more.
    """
    if not before or before[-1].outcome is not None:
        return True
    open_claim, table = before[-1], schema.claims
    how, worker = dead[open_claim.worker_id], schema.workers.c
    own = [table.c.trial_id == open_claim.trial_id, table.c.attempt == open_claim.attempt, table.c.outcome.is_(None)]
    if how == LOST:
        silent = sa.or_(worker.left.is_not(None), clock() - worker.heartbeat > worker.patience)
        own.append(table.c.worker_id.in_(sa.select(worker.id).where(silent)))
    return connection.execute(sa.update(table).where(*own).values(outcome=how, ended=clock())).rowcount == 1


def _claim(connection: sa.Connection, claim: Claim) -> bool:
    """Enter the attempt; False where another has just entered it, or has ended the trial since it was seen running."""
    table, trial = schema.claims, schema.trials.c
    values = (trial.id, sa.literal(claim.attempt), sa.literal(claim.worker_id), clock())
    running = sa.select(*values).where(trial.id == claim.trial.id, trial.state == RUNNING)
    insert = _insert_into(connection, table).from_select(["trial_id", "attempt", "worker_id", "claimed"], running)
    return len(connection.execute(insert.on_conflict_do_nothing().returning(table.c.trial_id)).all()) == 1


def _insert_if_free(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert rows whose keys are not taken; how many were."""
    insert = _insert_into(connection, table).values(list(rows))
    return len(connection.execute(insert.on_conflict_do_nothing().returning(*table.primary_key)).all())


def _insert_into(connection: sa.Connection, table: sa.Table) -> Any:
    """An insert that can pass over rows whose keys are taken."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)
