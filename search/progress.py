"""What a person sees while a search runs, on stderr: a live line in a terminal, and a line for each ended trial."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from plumbing.progress import console
from results.records import FINISHED, PRUNED, Trial


class SearchProgress:
    """Trial, epoch, best so far, time left."""

    def __init__(
        self, objective: str, trials: int, done: int, epochs: int, best: float | None, quiet: bool = False
    ) -> None:
        self.objective, self.trials, self.done, self.epochs, self.best = objective, trials, done, epochs, best
        self.ran, self.quiet = 0, quiet
        self.started = time.monotonic()
        self.console = console()
        columns = (TextColumn("trial"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"))
        self.live: Any = (
            Progress(*columns, console=self.console, transient=True) if sys.stderr.isatty() and not quiet else None
        )

    def __enter__(self) -> "SearchProgress":
        if self.live:
            self.task = self.live.add_task("", total=self.trials, completed=self.done)
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def after_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Show an epoch's end."""
        if self.live:
            text = f"epoch {epoch + 1}/{self.epochs}  {self.objective} {metrics[self.objective]:.3f}  {self._outlook()}"
            self.live.update(self.task, description=text)

    def after_trial(self, trial: Trial, done: int, best: float | None) -> None:
        """Show a trial's end, `trial` being as the store has it.

        Args:
            done, best: how many have ended by now, and the best value of them, other processes' too.
        """
        self.done, self.best = done, best
        self.ran += 1
        if trial.state == FINISHED and trial.value is not None:
            ended = f"{self.objective} {trial.value:.3f} in {trial.epochs_trained} epochs"
        elif trial.state == PRUNED:
            ended = f"pruned after {trial.epochs_trained} epochs at {self.objective} {trial.value:.3f}"
        else:
            ended = f"failed: {trial.reason}"
        head = f"trial {trial.number} ({trial.architecture})"
        line = f"{head}: {ended}, {trial.seconds:.1f} s  [{self.done}/{self.trials}]  "
        if not self.quiet:
            self.console.print(line + self._outlook(), markup=False, soft_wrap=True)
        if self.live:
            self.live.update(self.task, completed=self.done, description=self._outlook())

    def _outlook(self) -> str:
        best = "" if self.best is None else f"best {self.best:.3f}"
        if self.ran == 0 or self.done >= self.trials:
            return best
        left = (time.monotonic() - self.started) / self.ran * (self.trials - self.done)
        return f"{best}  about {duration(left)} left"


def duration(seconds: float) -> str:
    """Seconds for a person.

    >>> duration(42.0), duration(200.0), duration(9000.0)
    ('42 s', '3 min', '2 h 30 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
