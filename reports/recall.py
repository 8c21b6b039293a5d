"""What was made before, given again where it would be made from the same: a rebuilt report makes only what changed."""

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

import pandas as pd

Made = TypeVar("Made")


class Recall:
    """The last result under each name, and what it was made from.

    A result's name is that of its kind. `made_from` is all that `make` reads: data frames, and what `==` compares.
    Neither it nor the result may be changed afterwards.
    """

    def __init__(self, helpers: Executor | None = None) -> None:
        """Args: helpers: processes that make what is begun; they are handed `make` and hand its result back."""
        self._helpers = helpers
        self._kept: dict[Hashable, tuple[Sequence[object], object]] = {}
        self._begun: dict[Hashable, tuple[Sequence[object], Future[Any]]] = {}

    def begin(self, name: Hashable, made_from: Sequence[object], make: Callable[[], object]) -> None:
        """Have a helper make what will be asked for, if it is not known and there are helpers."""
        if self._helpers is not None and not _holds(self._kept, name, made_from):
            self._begun[name] = made_from, self._helpers.submit(make)

    def __call__(self, name: Hashable, made_from: Sequence[object], make: Callable[[], Made]) -> Made:
        """The last result of that name where it was made from the same, else a helper's or `make()`."""
        if not _holds(self._kept, name, made_from):
            self._kept[name] = made_from, self._made(name, made_from, make)
        return self._kept[name][1]  # type: ignore[return-value]  # what make() gave under this name

    def _made(self, name: Hashable, made_from: Sequence[object], make: Callable[[], Made]) -> Made:
        begun, result = _holds(self._begun, name, made_from), self._begun.pop(name, None)
        if not begun or result is None or result[1].cancel():  # no helper has come to it yet
            return make()
        return result[1].result()  # type: ignore[no-any-return]


def _holds(known: dict[Hashable, tuple[Sequence[object], Any]], name: Hashable, made_from: Sequence[object]) -> bool:
    if name not in known:
        return False
    before = known[name][0]
    return len(before) == len(made_from) and all(map(_equal, before, made_from))


def _equal(before: object, after: object) -> bool:
    if isinstance(before, pd.DataFrame):
        return before is after or (isinstance(after, pd.DataFrame) and before.equals(after))
    return before == after
