"""Transactions that outlive restarts of the database's server.

The rule. A store that was opened has worked. So where a connection is lost later, or none can be made, the server is
away for a while: the transaction is run again as a whole, after pauses that grow, for up to `PATIENCE` seconds. So is
one that another was preferred to (deadlock, lock time-out, serialization), at once the first time.

A transaction whose COMMIT was never answered may have been committed, and must not be run twice. So each that writes
begins by putting its number into the row of its own in `results_transactions`. Run again, it first waits there until
the database has ended the earlier attempt; where its number is in the row, that attempt was committed, and what it
found is returned.

SQLite has no server to lose: there everything is run once.
"""

import random
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, OperationalError

from plumbing.errors import StoreError
from plumbing.text import printable
from results import schema

PATIENCE = 120.0  # seconds in all that a transaction waits for a server
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds
# Workers must not come back all at the same moment. Not Python's own generator: what trials draw must not hang on this.
JITTER = random.SystemRandom()
# SQLSTATE: serialization failure, deadlock, lock not available within the time-out.
CONFLICTS = frozenset({"40001", "40P01", "55P03"})

Found = TypeVar("Found")


def reason(error: DBAPIError) -> str:
    """What the database says, in one line."""
    return " ".join(str(error.orig).split())


def shown(url: sa.URL) -> str:
    """The URL without its password."""
    return url.render_as_string(hide_password=True)


class Unreadable(StoreError):
    """The database cannot be read now. Attributes: reason, as the database gives it."""

    def __init__(self, url: sa.URL, error: DatabaseError) -> None:
        self.reason = reason(error)
        super().__init__(f"--store {shown(url)}: cannot be read: {self.reason}")


def unwritable(url: sa.URL, error: DatabaseError) -> StoreError:
    """The error of a store that opened but refuses to be written."""
    return StoreError(f"--store {shown(url)}: cannot be written: {reason(error)}; free it or give another store")


def passes(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed later: the server is away, or another transaction was in the way."""
    return is_away(error) or getattr(error.orig, "sqlstate", None) in CONFLICTS


def is_away(error: DBAPIError) -> bool:
    """Whether the connection was lost, or none could be made: then PostgreSQL gives no SQLSTATE."""
    unmade = isinstance(error, OperationalError) and error.statement is None
    return error.connection_invalidated or (unmade and getattr(error.orig, "sqlstate", "") is None)


class Database:
    """An engine's transactions; see the module's head. Threads may share it; one at a time writes."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._writer, self._number = uuid.uuid4().hex, 0
        self._one_writes = threading.Lock()

    def read(self, work: Callable[[sa.Connection], Found]) -> Found:
        """What `work` finds, which only reads; it is called again where the connection is lost.

        Raises: Unreadable where the database cannot be read.
        """

        def once() -> Found:
            with self.engine.connect() as connection:
                return work(connection)

        try:
            return persistently(once, self.engine.url)
        except DatabaseError as error:
            raise Unreadable(self.engine.url, error) from None

    def write(self, work: Callable[[sa.Connection], Found]) -> Found:
        """Run `work` in one transaction and return what it found; it may be called again, but is committed once.

        Raises: StoreError where the database refuses to be written: full, read-only, damaged, gone. A broken key stays
            the IntegrityError that it is, for the writer to judge. What `work` raises undoes its transaction.
        """
        with self._one_writes:
            self._number += 1
            found: list[Found] = []

            def once() -> Found:
                with self.engine.execution_options(immediate=True).begin() as connection:
                    if not self._is_committed(connection):
                        found[:] = [work(connection)]
                return found[0]

            try:
                return persistently(once, self.engine.url)
            except IntegrityError:
                raise
            except DatabaseError as error:
                raise unwritable(self.engine.url, error) from None

    def close(self) -> None:
        """Give the database's connections back."""
        if self._number and self.engine.dialect.name == "postgresql":
            self._forget_transactions()
        self.engine.dispose()

    def _is_committed(self, connection: sa.Connection) -> bool:
        """Whether an earlier attempt at this transaction was committed; else note that this one will be."""
        if connection.dialect.name != "postgresql":
            return False
        row = schema.transactions
        note = postgresql.insert(row).values(writer=self._writer, number=self._number)
        note = note.on_conflict_do_update(
            index_elements=[row.c.writer], set_={"number": self._number}, where=row.c.number < self._number
        )
        return connection.execute(note.returning(row.c.number)).first() is None

    def _forget_transactions(self) -> None:
        """Remove the row of this writer; a server that is away keeps it, to no harm."""
        own = sa.delete(schema.transactions).where(schema.transactions.c.writer == self._writer)
        try:
            with self.engine.begin() as connection:
                connection.execute(own)
        except DBAPIError:
            return


def persistently(once: Callable[[], Found], url: sa.URL, may_pass: Callable[[DBAPIError], bool] = passes) -> Found:
    """What `once` gives, called again and again while the server is away; who waits is told so once, and when it ended.

    Args:
        may_pass: whether to try again after an error.
    Raises: what `once` raises for another reason, or still after `PATIENCE` seconds.
    """
    begun, pause, told = time.monotonic(), 0.0, False
    while True:
        try:
            found = once()
        except DBAPIError as error:
            waited = time.monotonic() - begun
            if not may_pass(error) or waited + pause > PATIENCE:
                raise
            if pause and not told and is_away(error):
                told = True
                _tell(url, f"is away, trying again for {PATIENCE:.0f} seconds: {reason(error)}")
        else:
            if told:
                _tell(url, f"is back after {time.monotonic() - begun:.0f} seconds")
            return found
        time.sleep(pause * JITTER.uniform(0.5, 1))
        pause = min(2 * pause or FIRST_PAUSE, LONGEST_PAUSE)


def _tell(url: sa.URL, text: str) -> None:
    print(printable(f"--store {shown(url)}: {text}"), file=sys.stderr, flush=True)
