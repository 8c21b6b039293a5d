"""Progress of long work, on stderr; nothing is drawn where stderr is no terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Advance = Callable[[int], None]


@cache
def console() -> "Console":
    """The one console on stderr: bars within bars are drawn together only on the same one."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Advance]:
    """A bar that moves by `advance(steps)` and goes away at the end."""
    if not sys.stderr.isatty():
        yield lambda steps: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # What is printed meanwhile is drawn above the bar, unless it goes to a file or a pipe, where it must arrive.
    on_screen = sys.stdout.isatty()
    with Progress(*columns, console=console(), transient=True, redirect_stdout=on_screen) as progress:
        task = progress.add_task(description, total=total)
        yield lambda steps: progress.advance(task, steps)
