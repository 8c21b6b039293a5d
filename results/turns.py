"""Turns: of a search's workers that want the next number, one at a time looks, proposes and claims.

Without turns all propose for the same number, one gets it, and the others' work was for nothing, over and over. Nothing
but speed hangs on them: who waited for too long, or cannot reach the server, goes on without, and claims decide as
ever. SQLite has none: its workers, few and on one machine, lose little.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

PATIENCE = 5.0  # seconds: whoever is stopped in a turn of its own holds up the others


@contextmanager
def turn(engine: sa.Engine, search_id: int, patience: float = PATIENCE) -> Iterator[None]:
    """While the block runs, no other is run for that search, on any machine, but by those who waited for too long.

    Args:
        patience: seconds to wait.
    """
    with ExitStack() as stack:
        if engine.dialect.name == "postgresql":
            with suppress(OperationalError):  # the server is away, or somebody's turn is long
                connection = stack.enter_context(engine.connect())
                stack.callback(_give_back, connection)
                connection.execute(sa.select(sa.func.set_config("lock_timeout", f"{1e3 * patience:.0f}ms", True)))
                key = sa.func.hashtext("results_turns"), search_id
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(*key)))
        yield


def _give_back(connection: sa.Connection) -> None:
    with suppress(OperationalError):  # a lost connection has given the turn back already
        connection.rollback()
