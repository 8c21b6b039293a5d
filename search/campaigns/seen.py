"""How far searches have come, as the store tells it: one view for whoever asks, wherever they run.

Loads no TensorFlow and no pandas: `search.status` is to answer at once.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from results import schema
from results.claims import workers
from results.connection import open_engine, sqlite_path
from results.reconnect import Database
from results.records import CONFIRM, FAILED, FINISHED, PRUNED, SEARCH

RECENT = 20  # ended trials that the pace is taken from
PAUSE = 600.0  # seconds between two ends, beyond the later trial's own, that count at most: the rest nobody worked


@dataclass(frozen=True)
class Seen:
    """A search in the store.

    Attributes:
        asked: trials that its last command asked for, None where that is not known.
        states: state -> trials. best: the highest objective among finished trials.
        seconds: of all ended trials, summed. last_seconds: of the last one. last_ended: when, UTC, ISO 8601.
        pace: trials an hour, over the last ones; None before the first has ended.
        workers: that gave a sign of life lately.
    """

    name: str
    kind: str
    task: str | None
    engine: str
    objective: str | None
    asked: int | None
    states: Mapping[str, int]
    best: float | None
    seconds: float
    last_seconds: float | None
    last_ended: str | None
    pace: float | None
    workers: int

    @property
    def ended(self) -> int:
        """Trials that need not be run any more."""
        return sum(self.states.get(state, 0) for state in (FINISHED, PRUNED, FAILED))


def seen_so_far(url: str) -> dict[str, Seen]:
    """All searches of a store that may not be there yet: none then. A database that stands empty becomes a store.

    Raises: StoreError where it is no store of ours.
    """
    return look_into(url, create=True) if may_hold_searches(url) else {}


def may_hold_searches(url: str) -> bool:
    """Whether it is worth a look: not where SQLite's file is absent, or empty as it is until its tables are made."""
    path = sqlite_path(url)
    return path is None or (path.exists() and (path.is_dir() or path.stat().st_size > 0))


def look_into(url: str, create: bool = False) -> dict[str, Seen]:
    """All searches of a store and their confirmations by name, oldest first.

    Args:
        create: make it where the database holds none yet.
    Raises: StoreError where there is no store, or none of ours.
    """
    with closing(Database(open_engine(url, create))) as database:
        return database.read(look)


def look(connection: sa.Connection) -> dict[str, Seen]:
    """All searches of a store and their confirmations by name, oldest first."""
    searches = connection.execute(_searches()).all()
    states, ends = (_by_search(connection.execute(query)) for query in (_states(), _recent()))
    alive = _by_search(each for each in workers(connection) if each.alive)
    return {
        each.name: _seen(each, states.get(each.id, []), ends.get(each.id, []), len(alive.get(each.id, [])))
        for each in searches
    }


def _by_search(rows: Iterable[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row.search_id, []).append(row)
    return found


def _seen(search: Any, states: Sequence[Any], ends: Sequence[Any], alive: int) -> Seen:
    bests = [row.best for row in states if row.best is not None]
    begun = min((row.begun for row in states), default=None)
    return Seen(
        name=search.name,
        kind=search.kind,
        task=search.task,
        engine=search.engine,
        objective=search.objective,
        asked=(search.trials or _asked(search.command)) if search.kind == SEARCH else None,
        states={row.state: row.trials for row in states},
        best=max(bests, default=None),
        seconds=sum(row.seconds or 0.0 for row in states),
        last_seconds=ends[0].seconds if ends else None,
        last_ended=ends[0].finished if ends else None,
        pace=_pace([(row.finished, row.seconds or 0.0) for row in ends], begun),
        workers=alive,
    )


def _asked(command: str | None) -> int | None:
    """What the command that began a search gives as `--trials`; stores of before know no later one."""
    try:
        words = shlex.split(command or "")
        return int(words[words.index("--trials") + 1])
    except (ValueError, IndexError):
        return None


def _pace(ends: Sequence[tuple[str, float]], begun: str | None) -> float | None:
    """Trials an hour.

    Args:
        ends: of the last trials when each ended and the seconds that it took, the newest first.
        begun: when the search's first trial was begun.

    >>> _pace([("2026-01-02T00:01:40", 60), ("2026-01-01T00:01:00", 50)], "2026-01-01T00:00:00")  # a night between
    10.0
    """
    moments = [datetime.fromisoformat(end) for end, _ in ends]
    if len(ends) < RECENT and begun is not None:
        moments.append(datetime.fromisoformat(begun))
    gaps = [(later - earlier).total_seconds() for later, earlier in pairwise(moments)]
    worked = sum(min(gap, seconds + PAUSE) for gap, (_, seconds) in zip(gaps, ends, strict=False))
    return len(gaps) * 3600 / worked if worked > 0 else None


def _searches() -> sa.Select[Any]:
    table = schema.searches.c
    columns = table.id, table.name, table.kind, table.task, table.engine, table.objective
    command = table.details["command"].as_string().label("command")
    trials = table.run[("options", "trials")].as_integer().label("trials")
    return sa.select(*columns, command, trials).where(table.kind.in_((SEARCH, CONFIRM))).order_by(table.id)


def _states() -> sa.Select[Any]:
    trials = schema.trials.c
    best = sa.func.max(sa.case((trials.state == FINISHED, trials.value)))
    columns = sa.func.count().label("trials"), best.label("best"), sa.func.sum(trials.seconds).label("seconds")
    begun = sa.func.min(trials.created).label("begun")
    return sa.select(trials.search_id, trials.state, *columns, begun).group_by(trials.search_id, trials.state)


def _recent() -> sa.Select[Any]:
    """The last ended trials of each search, the newest first."""
    trials = schema.trials.c
    newest = (trials.finished.desc(), trials.id.desc())
    place = sa.func.row_number().over(partition_by=trials.search_id, order_by=newest).label("place")
    ended = sa.select(trials.search_id, trials.finished, trials.seconds, place).where(trials.finished.is_not(None))
    numbered = ended.subquery()
    return sa.select(numbered).where(numbered.c.place <= RECENT).order_by(numbered.c.search_id, numbered.c.place)
