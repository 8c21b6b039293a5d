"""A search replayed on a recorded table: what it trains is looked up, what it would pick has a known true regret.

Patience is not replayed: a training's end by patience depends on its losses too, so all recorded epochs are trained.
A trial's value is its best epoch's; the valid loss, which ranks epochs of equal value, cannot change it.
"""

import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.tables.recorded import RecordedTable
from plumbing.seeds import seed_of
from results.records import FINISHED, PRUNED, Trial
from search.engines import Engine, Proposal, Request
from search.engines.tried import key_of
from search.stopping import Clock
from spaces.declaration import Configuration

MakeEngine = Callable[[Request], Engine]
BLANK = Trial(**{each.name: None for each in fields(Trial)})  # type: ignore[arg-type]
OBJECTIVE = "val_auc"


@dataclass(frozen=True)
class Run:
    """One replayed search; tuples have an entry for each trial, told after it has ended.

    Attributes:
        regrets: true regret of what the search would pick: the table's best mean over seeds, less the mean over seeds
            of the picked configuration trained to the end.
        kept: the same of the picked model as it is kept, trained for as many epochs as its trial was.
        seconds, epochs: recorded, of all trainings so far.
        duplicates: trials that began a configuration anew that was tried before.
        engine_seconds: processor seconds of all proposals and of telling how they ended.
    """

    regrets: tuple[float, ...]
    kept: tuple[float, ...]
    seconds: tuple[float, ...]
    epochs: tuple[int, ...]
    duplicates: int
    engine_seconds: float


class Ledger:
    """The trainings of one search in the order of their trials' numbers."""

    def __init__(self, table: RecordedTable, repeat: int) -> None:
        self.table, self.seed = table, repeat % table.seeds
        self._tried: set[str] = set()
        self._best = -np.inf
        # Before any trial has finished a search picks as chance does.
        self._regret = self._kept = table.best_mean - float(table.means.mean())
        self._spent, self._epochs, self._duplicates = 0.0, 0, 0
        self._lines: list[tuple[float, float, float, int]] = []

    def curve(self, configuration: Configuration) -> list[float]:
        """The objective after each epoch under the search's own seed."""
        return [float(value) for value in self.table.objective(configuration, self.seed)]

    def note(self, configuration: Configuration, epochs: int, begun_at: int = 0, finished: bool = True) -> float:
        """Note the next trial; its value.

        Args:
            epochs: trained in all. begun_at: of these, by the trial that this one continues. finished: not pruned.
        """
        value = max(self.curve(configuration)[:epochs])
        if finished and value > self._best:  # of equal ones the earliest is picked
            self._best = value
            self._regret = self.table.best_mean - self.table.mean_final(configuration)
            self._kept = self.table.best_mean - mean_after(self.table, configuration, epochs)
        elapsed = [0.0, *map(float, self.table.seconds_by_epoch(configuration, self.seed))]
        self._spent += elapsed[epochs] - elapsed[begun_at]
        self._epochs += epochs - begun_at
        key = key_of(configuration)
        self._duplicates += key in self._tried and begun_at == 0
        self._tried.add(key)
        self._lines.append((self._regret, self._kept, self._spent, self._epochs))
        return value

    def run(self, engine_seconds: float) -> Run:
        """All that was noted."""
        regrets, kept, seconds, epochs = zip(*self._lines, strict=True)
        return Run(regrets, kept, seconds, epochs, self._duplicates, engine_seconds)


def processor_clock() -> Clock:
    """Of this process alone, since others run beside it."""
    return Clock(time.process_time)


def search_seed(table: RecordedTable, repeat: int) -> int:
    """Another one for each table: of one seed, tables of one family would see the same random configurations."""
    return seed_of("replayed search", table.name, repeat)


def mean_after(table: RecordedTable, configuration: Configuration, epochs: int) -> float:
    """The best of the first so many epochs, mean over seeds."""
    return float(np.nanmean(table.values[table.row(configuration), :, :epochs].max(axis=1), dtype=np.float64))


def replay(
    make: MakeEngine,
    table: RecordedTable,
    repeat: int,
    trials: int,
    sampler: str = "tpe",
    pruner: str = "none",
    batch_trials: int = 4,
) -> Run:
    """Replay one of our engines as the loop runs it: a batch is proposed, trained, then told.

    Args:
        repeat: gives the search's seed and, modulo the table's seeds, that of its trainings.
    """
    ledger, clock, folder = Ledger(table, repeat), processor_clock(), Path(_folder().name)
    request = Request(
        url=f"sqlite:///{folder}/replays.db",
        folder=folder,
        name=uuid.uuid4().hex,  # no proposal depends on it
        space=table.space,
        sampler=sampler,
        pruner=pruner,
        objective=OBJECTIVE,
        search_seed=search_seed(table, repeat),
        batch_trials=batch_trials,
        epochs=table.epochs,
        fresh=True,
    )
    engine = make(request)
    trained: dict[int, int] = {}  # number -> epochs in all
    try:
        while batch := _proposed(engine, trials, clock):
            ended = [_trained(engine, each, ledger, trained, clock) for each in batch]
            with clock:
                for trial, values in ended:
                    engine.tell(trial, values)
    finally:
        engine.close()
    return ledger.run(clock.seconds)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """One for all replays of a process: making Optuna's tables takes as long as a search."""
    return tempfile.TemporaryDirectory()


def _proposed(engine: Engine, trials: int, clock: Clock) -> list[Proposal]:
    with clock:
        return engine.propose(trials, {})


def _trained(
    engine: Engine, proposal: Proposal, ledger: Ledger, trained: dict[int, int], clock: Clock
) -> tuple[Trial, list[float]]:
    """The trial as stored when it ended, and its objective by epoch."""
    most = proposal.epochs or ledger.table.epochs
    begun_at = 0 if proposal.continues is None else trained[proposal.continues]
    values = ledger.curve(proposal.configuration)[:most]
    with clock:
        asked = (epochs for epochs in range(begun_at + 1, most) if engine.prunes(proposal.number, values[:epochs]))
        epochs = next(asked, most)
    trained[proposal.number] = epochs
    value = ledger.note(proposal.configuration, epochs, begun_at, finished=epochs == most)
    state = FINISHED if epochs == most else PRUNED
    return replace(BLANK, number=proposal.number, state=state, value=value), values[:epochs]
