"""Turns: of a search's workers that want the next number, one at a time looks, proposes and claims.

Without turns all propose for the same number, one gets it, and the others' work was for nothing, over and over. Nothing
but speed hangs on them: who waited for too long, or cannot reach the server, goes on without, and claims decide as
ever. SQLite has none: its workers, few and on one machine, lose little.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

PATIENCE = 20.0  # seconds: whoever is stopped in a turn of its own holds up the others


@contextmanager
def turn(engine: sa.Engine, search_id: int, patience: float = PATIENCE) -> Iterator[bool]:
    """Run the block while no other is run for that search, on any machine; whether that was to be had.

    Args:
        patience: seconds to wait for it.
    """
    with ExitStack() as stack:
        yield engine.dialect.name == "postgresql" and _take(engine, search_id, patience, stack)


def _take(engine: sa.Engine, search_id: int, patience: float, stack: ExitStack) -> bool:
    """Whether the turn was taken, which ends with the stack."""
    key = sa.func.hashtext("results_turns"), search_id
    with ExitStack() as taking:
        try:
            connection = taking.enter_context(engine.connect())
            taking.callback(_give_back, connection)
            connection.execute(sa.select(sa.func.set_config("lock_timeout", f"{1e3 * patience:.0f}ms", True)))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(*key)))
        except SQLAlchemyError:  # the server is away, or somebody's turn is long
            return False
        stack.push(taking.pop_all())
        return True


def _give_back(connection: sa.Connection) -> None:
    with suppress(SQLAlchemyError):  # a lost connection, or one that idled for too long, has given it back already
        connection.rollback()
