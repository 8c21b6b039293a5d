"""Workers kept at a search until it is over, and its progress told: whatever runs them, processes here or Ray."""

import math
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from plumbing.errors import SearchFailed, UserError
from results import claims
from results.records import RUNNING, utc_now
from search.loop import SearchRun, progress_of
from search.models import better
from search.workers.known import first_missing

LOOK_SECONDS = 0.5
LAST_SECONDS = 60.0  # that workers have to end by themselves once all trials have ended
DEATHS = 3  # of a trial's workers, after which it is failed; of workers that had begun nothing, after which all end
INTERRUPTED = 130
AWAY = -1000  # a process's code where it did not die itself, but was lost with its node
OWN = "search.worker: "  # what a worker's own last line begins with


class Process(Protocol):
    """A worker somewhere.

    Attributes:
        label: under which it joins.
    """

    label: str

    def code(self) -> int | None:
        """How it ended, as an exit code, negative for a signal, or AWAY; None while it runs."""

    def said(self) -> str:
        """The last line of its stderr."""

    def told(self) -> Mapping[str, Any] | None:
        """What it said of itself at a good end."""

    def stop(self) -> None:
        """End it, soon."""


def coordinate(run: SearchRun, start: Callable[[int, str], Process], workers: int) -> None:
    """Keep so many workers at the search; what they did is counted in the run's ledger and clock.

    A worker that dies is replaced. A trial whose workers died three times is failed: it would likely kill the next.

    Args:
        start: begins the worker of a place, counted from 0, under a label.
    Raises: SearchFailed, UserError where a worker ended by one, or where workers die before they begin a trial.
    """
    coordination = _Coordination(run, start)
    left = run.trials - len(coordination.ended)
    # One even where none is left: a kill may have kept the last trials from the engine's own storage.
    coordination.keep(range(max(min(workers, left), 1)))


class _Coordination:
    def __init__(self, run: SearchRun, start: Callable[[int, str], Process]) -> None:
        self.run, self.start = run, start
        self.killed_by = Counter[int]()  # trial id -> workers that died of it, or beside it
        self.processes: dict[int, Process] = {}
        self.deaths = 0
        self.complete_at = time.monotonic()
        trials = run.store.trials(run.search.id)
        self.ended = {trial.number for trial in trials if trial.state != RUNNING}
        self.bar = progress_of(run, trials)

    def keep(self, places: Sequence[int]) -> None:
        """Until all have ended well."""
        with self.bar:
            try:
                for place in places:
                    self.processes[place] = self.start(place, uuid.uuid4().hex)
                while self.processes and not self._is_overdue():
                    time.sleep(LOOK_SECONDS)
                    self._show()
                    for place, process in list(self.processes.items()):
                        self._look(place, process)
            finally:
                for process in self.processes.values():
                    process.stop()
            self._show()

    def _is_overdue(self) -> bool:
        """Whether all trials ended some time ago, and who is left is stopped, or waits for a place at Ray."""
        if len(self.ended) < self.run.trials:
            self.complete_at = time.monotonic()
        return time.monotonic() - self.complete_at > LAST_SECONDS

    def _show(self) -> None:
        """Tell of the trials that ended since."""
        for trial in self.run.store.trials(self.run.search.id, first=first_missing(self.ended)):
            if trial.state != RUNNING and trial.number not in self.ended:
                self.ended.add(trial.number)
                self.bar.after_trial(trial, len(self.ended), better(self.bar.best, trial))

    def _look(self, place: int, process: Process) -> None:
        code = process.code()
        if code is None:
            return
        del self.processes[place]
        if code == 0:
            self._count(process.told())
        elif code == INTERRUPTED:
            raise KeyboardInterrupt
        elif code in (1, 2) and process.said().startswith(OWN):  # libraries call exit(1) too
            raise _as_error(code, process.said().removeprefix(OWN))
        else:
            self._died(process, code)
            self.processes[place] = self.start(place, uuid.uuid4().hex)

    def _count(self, told: Mapping[str, Any] | None) -> None:
        if told is not None:
            self.run.clock.seconds += told["engine_seconds"]
            self.run.setting.source.cache.ledger.add(**told["features"])

    def _died(self, process: Process, code: int) -> None:
        """A worker died: give its trials back, and fail one that workers died of three times.

        Raises: SearchFailed where workers keep dying without having begun one.
        """
        how = f"by signal {-code}" if AWAY < code < 0 else process.said() or f"with exit code {code}"
        store = self.run.store
        under_way, had = store.write(lambda connection: claims.reap(connection, process.label))
        self.bar.console.print(f"a worker died ({how}): another takes up its trials", markup=False)
        if code == AWAY:
            return
        self.killed_by.update(under_way)
        reason = f"its worker died {DEATHS} times, at last {how} (out of memory?)"
        for trial_id in under_way:
            if self.killed_by[trial_id] >= DEATHS:
                store.write(partial(claims.give_up, trial_id=trial_id, reason=reason, finished=utc_now()))
        self.deaths = 0 if had else self.deaths + 1
        if self.deaths >= DEATHS:
            raise SearchFailed(f"workers die before they begin a trial, the last {how} (out of memory?)")


def _as_error(code: int, said: str) -> Exception:
    """What a worker ended by."""
    return SearchFailed(said) if code == 1 else UserError(said)


def remaining(seconds: float | None, started: float) -> float | None:
    """What is left of a time-out, at least a moment; None where there is none.

    >>> remaining(None, 0.0)
    """
    return None if seconds is None else max(seconds - (time.monotonic() - started), math.ulp(1.0))
