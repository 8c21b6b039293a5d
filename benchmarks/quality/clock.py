"""A search by many workers on a simulated clock: each training takes the seconds that a table has recorded.

A proposal and all else that a search does take no time, and all workers are equally fast.
"""

import heapq
import tempfile
import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.replay import BLANK, OBJECTIVE, search_seed
from benchmarks.tables.recorded import RecordedTable
from results.records import FINISHED
from search.engines import Engine, Proposal, Request, engine_module
from spaces.declaration import Configuration

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Simulated:
    """The trials of a search, by number: a shorter search is its first trials, since none knows of one after it.

    Attributes:
        workers: how many there were.
        values: what the search saw. regrets: the table's best mean over seeds, less the configuration's.
        begun, ended: in seconds from the search's start.
    """

    workers: int
    values: tuple[float, ...]
    regrets: tuple[float, ...]
    begun: tuple[float, ...]
    ended: tuple[float, ...]

    @cached_property
    def regret_by_trials(self) -> Floats:
        """(trials,) true regret of what looks best after so many trials; of equal ones the first is picked."""
        values = np.asarray(self.values)
        better = np.r_[True, values[1:] > np.maximum.accumulate(values)[:-1]]
        picked = np.maximum.accumulate(np.where(better, np.arange(len(values)), 0))
        return np.asarray(self.regrets)[picked]

    def regret_at(self, seconds: Floats, before: float) -> Floats:
        """(moments,) the same of the trials that have ended by then.

        Args:
            seconds: (moments,). before: the regret while none has ended.
        """
        ended = np.asarray(self.ended) <= seconds[:, None] * (1 + 1e-12)
        picked = np.where(ended, self.values, -np.inf).argmax(axis=1)
        return np.where(ended.any(axis=1), np.asarray(self.regrets)[picked], before)

    def seconds(self, trials: int) -> float:
        """That a search of so many trials takes."""
        return max(self.ended[:trials])

    def idle_share(self, trials: int) -> float:
        """Of its workers' time."""
        busy = sum(self.ended[:trials]) - sum(self.begun[:trials])
        return 1 - busy / (self.workers * self.seconds(trials))


def simulate(table: RecordedTable, repeat: int, sampler: str, workers: int, trials: int, batches: bool) -> Simulated:
    """Search the table.

    Args:
        repeat: gives the search's seed and, modulo the table's seeds, that of its trainings.
        batches: of as many trials as there are workers, who wait for the last of each; else a worker that is free
            begins the next trial at once, which knows what has ended by then.
    """
    engine = _engine(table, repeat, sampler, workers)
    try:
        search = _Search(engine, table, repeat % table.seeds)
        (search.by_batches if batches else search.one_by_one)(workers, trials)
    finally:
        engine.close()
    return Simulated(workers, *map(tuple, (search.values, search.regrets, search.begun, search.ended)))


class _Search:
    """One search under way."""

    def __init__(self, engine: Engine, table: RecordedTable, seed: int) -> None:
        self.engine, self.table, self.seed = engine, table, seed
        self.configurations: dict[int, Configuration] = {}
        self.values: list[float] = []
        self.regrets: list[float] = []
        self.begun: list[float] = []
        self.ended: list[float] = []

    def one_by_one(self, workers: int, trials: int) -> None:
        running: list[tuple[float, int]] = []
        known: set[int] = set()
        now = 0.0
        for number in range(trials):
            while running and (len(running) == workers or running[0][0] <= now):
                now, ended = heapq.heappop(running)
                self.tell([ended])
                known.add(ended)
            proposal = self.engine.propose_one(number, known, self.configurations)
            if proposal is None:
                return
            self.train(proposal, now)
            heapq.heappush(running, (self.ended[number], number))

    def by_batches(self, workers: int, trials: int) -> None:
        now = 0.0
        while batch := self.engine.propose(trials, {}):
            for proposal in batch:
                self.train(proposal, now)
            now = max(self.ended)
            self.tell([each.number for each in batch])

    def train(self, proposal: Proposal, now: float) -> None:
        configuration = self.configurations[proposal.number] = proposal.configuration
        self.values.append(float(self.table.objective(configuration, self.seed).max()))
        self.regrets.append(self.table.best_mean - self.table.mean_final(configuration))
        self.begun.append(now)
        self.ended.append(now + self.table.seconds(configuration, self.seed))

    def tell(self, numbers: Collection[int]) -> None:
        for number in numbers:
            value = self.values[number]
            trial = replace(
                BLANK, number=number, state=FINISHED, value=value, configuration=self.configurations[number]
            )
            self.engine.tell(trial, [value])


def _engine(table: RecordedTable, repeat: int, sampler: str, workers: int) -> Engine:
    folder = Path(_folder().name)
    made: Any = engine_module("optuna")
    engine: Engine = made.make(
        Request(
            url=f"sqlite:///{folder}/simulated.db",
            folder=folder,
            name=uuid.uuid4().hex,  # no proposal depends on it
            space=table.space,
            sampler=sampler,
            pruner="none",
            objective=OBJECTIVE,
            search_seed=search_seed(table, repeat),
            batch_trials=workers,
            epochs=table.epochs,
            fresh=True,
        )
    )
    return engine


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """One for all searches of a process: making Optuna's tables takes as long as a search."""
    return tempfile.TemporaryDirectory()
