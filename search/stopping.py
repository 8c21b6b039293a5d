"""When a search stops before it has as many trials as asked for, and what the engine itself took of its time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from results.records import FINISHED, Trial


@dataclass(frozen=True)
class Stopping:
    """Reasons to stop, looked at between batches.

    Attributes:
        seconds: begin no batch after so many since `started`, by the monotonic clock.
        no_gain: stop once so many ended trials in a row, in the order of their numbers, have not raised the best value
            among finished ones. Trials that were given fewer epochs than the search allows, as in Hyperband's first
            rounds, are not counted.
    """

    seconds: float | None = None
    no_gain: int | None = None
    started: float = field(default_factory=time.monotonic)


def is_over(stopping: Stopping) -> bool:
    """Whether its seconds have passed."""
    return stopping.seconds is not None and time.monotonic() - stopping.started >= stopping.seconds


def reason_to_stop(stopping: Stopping, ended: Sequence[Trial], epochs: int) -> str | None:
    """Why to stop, for a person; None where there is no reason.

    Args:
        ended: the trials of earlier batches, in the order of their numbers. epochs: that the search allows a trial.
    """
    if is_over(stopping):
        return f"--timeout {stopping.seconds:g} s is over; the same command goes on"
    since = trials_without_gain(ended, epochs)
    if stopping.no_gain is not None and since >= stopping.no_gain:
        return f"the last {since} trials gained nothing (--stop-when-no-gain {stopping.no_gain})"
    return None


def trials_without_gain(ended: Sequence[Trial], epochs: int) -> int:
    """How many trials of so many epochs came after the one that last raised the best value."""
    best, since = None, 0
    for trial in ended:
        gained = trial.state == FINISHED and trial.value is not None and (best is None or trial.value > best)
        best, since = (trial.value, 0) if gained else (best, since + (trial.fit_epochs == epochs))
    return since


class Clock:
    """Adds up the seconds spent inside it, as `now` tells them."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now, self.seconds = now, 0.0

    def __enter__(self) -> None:
        self._entered = self.now()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds += self.now() - self._entered
