"""Builds the report again whenever the store has changed, so that an open page follows a running search.

Each build takes over what did not change since the last (`reports.recall`), and is what a build from nothing would be.
A page made here loads itself again until it is told not to, or until the watching ends.
"""

import gc
import signal
import sys
import time
from concurrent.futures import Executor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import sqlalchemy as sa

from plumbing.command import Interrupted
from reports.board import judged_by
from reports.build import made_report, report_files
from reports.folder import Written
from reports.helpers import helpers
from reports.html import Report
from reports.ranking import state_counts
from reports.recall import Recall
from results.reconnect import Unreadable
from results.store import Store

if TYPE_CHECKING:
    from reports.data_look import DataLook

LOOK_SECONDS = 1.0  # from one look at the store to the next
LOCKED_SECONDS = 1  # that a look waits for SQLite's lock; Ctrl-C is not heard meanwhile


def watch(store: Store, out: Path, top: int, look: "DataLook | None" = None) -> NoReturn:
    """Build the report into the folder now and after each change, a line on stdout each time, until Ctrl-C.

    Args:
        top, look: as `reports.build.build_report` takes them.
    Raises: Interrupted at Ctrl-C; the page no longer loads itself again then. OSError where the folder cannot be
        written.
    """
    _wait_briefly(store)
    with helpers() as drawing:
        watcher = Watcher(store, out, top, look, drawing)
        _stop_at_ctrl_c(watcher)
        with suppress(KeyboardInterrupt):
            trouble = _look(watcher, "")
            gc.collect()
            gc.freeze()  # what later reports take over need not be searched for garbage each time
            while not watcher.stopped:
                time.sleep(LOOK_SECONDS)
                trouble = _look(watcher, trouble)
    raise Interrupted(f"{out} holds the report as last built" if watcher.close() else "no report was built yet")


class Watcher:
    """The report of a store in a folder, and what the next one takes over from it."""

    def __init__(
        self, store: Store, out: Path, top: int, look: "DataLook | None" = None, drawing: Executor | None = None
    ) -> None:
        """Args: store, out, top, look: as `reports.build.build_report` takes them. drawing: as `reports.recall.Recall`
        takes it."""
        self.store, self.top, self.look = store, top, look
        self.written, self.recall, self.judge = Written(out), Recall(drawing), judged_by(store)
        self.stopped = False
        self._seen: object = None
        self._report: Report | None = None

    def update(self) -> Report | None:
        """Build the report if the store has changed since the last time, and give it.

        Raises: results.reconnect.Unreadable where the store cannot be read now; the next update makes up for it.
        """
        seen = self.store.progress()  # before the report: what changes while it is built is seen the next time
        if seen == self._seen:
            return None
        report = made_report(self.store, self.top, self.judge, self.recall, self.look)
        self.written.write(report_files(report, self.recall, follow=True))
        self._seen, self._report = seen, report
        return report

    def close(self) -> bool:
        """Leave the last report whole, its page no longer loading itself again; whether there is one."""
        if self._report is None:
            return False
        self.written.write(report_files(self._report, self.recall))
        return True


def _stop_at_ctrl_c(watcher: Watcher) -> None:
    def stop(*_: object) -> None:
        watcher.stopped = True  # Python loses an exception that is raised while it collects an object
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)


def _look(watcher: Watcher, trouble: str) -> str:
    """One update, told in a line; why the store could not be read, where that was not told before."""
    start = time.perf_counter()
    try:
        report = watcher.update()
    except Unreadable as error:
        found = error.reason
        if found != trouble:
            print(f"the store cannot be read now, trying again: {found}", file=sys.stderr, flush=True)
        return found
    if report is not None:
        seconds = time.perf_counter() - start
        states = ", ".join(f"{number} {state}" for state, number in state_counts(report.every_trial).items())
        print(f"{datetime.now():%H:%M:%S}  {states or 'no trials'}; built in {seconds:.1f} s", flush=True)
    return ""


def _wait_briefly(store: Store) -> None:
    """Not the minute that other commands wait for a lock."""
    if store.engine.dialect.name == "sqlite":
        sa.event.listen(
            store.engine, "connect", lambda driver, _: driver.execute(f"PRAGMA busy_timeout = {1000 * LOCKED_SECONDS}")
        )
        store.engine.dispose()  # connections that wait longer
