"""The results store.

What is atomic: each method that writes is one transaction. A trial's result (state, history, metrics, probabilities)
appears whole or not at all, and once it is there it stays: `finish_trial` refuses a trial that is no longer running.
Who may write: any number of processes; which of them a trial's result is told by results/claims.py.
What a reader sees after a kill: every committed trial whole, and the trial under way as `running`, without result.
While a server restarts: each method waits and goes on, and what it writes is there once (results/reconnect.py).
"""

from typing import Any

from results.connection import open_engine
from results.reading import Reading
from results.writing import Writing


class Store(Reading, Writing):
    """Searches and trials in a database; see the module's head for its guarantees."""

    @classmethod
    def open(cls, url: str, create: bool = False, has_worked: bool = False) -> "Store":
        """Raises: StoreError where the store is absent (unless `create`), foreign, newer or unwritable.

        Args:
            has_worked: somebody has it open; a server that is away is waited for.
        """
        return cls(open_engine(url, create, has_worked))

    def __reduce__(self) -> tuple[Any, ...]:
        """Handed to another process, which opens the store for itself."""
        return Store.open, (self.engine.url.render_as_string(hide_password=False), False, True)
