"""This process as a worker of a search: it gives signs of life, claims trials, and hears which were taken from it."""

import math
import threading
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from types import TracebackType

from plumbing.errors import StoreError
from results import claims
from results.claims import BEATS, PATIENCE, Claim, Wish
from results.store import Store
from results.turns import turn


class Worker:
    """A worker while the block runs; what it has under way at the end is given back.

    Args:
        patience: seconds of silence after which others may take its trials over. label: by which the command that
            began this process knows it.
    """

    def __init__(self, store: Store, search_id: int, patience: float = PATIENCE, label: str | None = None) -> None:
        self.store, self.search_id, self.patience, self.label = store, search_id, patience, label
        self._lost: frozenset[tuple[int, int]] = frozenset()
        self._ended = threading.Event()

    def __enter__(self) -> "Worker":
        self.id = self.store.write(
            lambda connection: claims.join(connection, self.search_id, self.patience, self.label)
        )
        self._touched, self._cut_off = time.monotonic(), -math.inf
        self._beating = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._beating.join()
        if kind is None:
            self._leave()
        else:
            with suppress(StoreError):  # what ended the block is told; silence will tell others the same
                self._leave()

    def take(self, wish: Wish) -> list[Claim]:
        """Claim trials; see `results.claims.take`."""
        believed = replace(wish, believe_silence=self._was_in_touch())
        return self.store.write(lambda connection: claims.take(connection, self.id, self.search_id, believed))

    def turn(self) -> AbstractContextManager[bool]:
        """Run the block while no other worker of the search is in its turn; see `results.turns`."""
        return turn(self.store.engine, self.search_id)

    def has_lost(self, claim: Claim) -> bool:
        """Whether a trial is known to have been taken over: the next sign of life tells."""
        return (claim.trial.id, claim.attempt) in self._lost

    def _beat(self) -> None:
        while not self._ended.wait(self.patience / BEATS):
            # Where the database stays away, training goes on: the trial's end will tell whether it was taken over.
            with suppress(StoreError):
                self._lost = self.store.write(lambda connection: claims.beat(connection, self.id))
                self._note_touch()

    def _note_touch(self) -> None:
        if self._is_late():
            self._cut_off = time.monotonic()
        self._touched = time.monotonic()

    def _is_late(self) -> bool:
        """Whether the last sign of life is longer ago than it should be."""
        return time.monotonic() - self._touched > 2 * self.patience / BEATS

    def _was_in_touch(self) -> bool:
        """Whether this worker was in touch all along; else the others' silence may be the database's or its own."""
        return not self._is_late() and time.monotonic() - self._cut_off > self.patience

    def _leave(self) -> None:
        self.store.write(lambda connection: claims.leave(connection, self.id))
