"""What was made before, given again where it would be made from the same: a rebuilt report makes only what changed."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import pandas as pd

Made = TypeVar("Made")


class Recall:
    """The last result under each name, and what it was made from."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[Sequence[object], object]] = {}

    def __call__(self, name: Hashable, made_from: Sequence[object], make: Callable[[], Made]) -> Made:
        """The last result of that name where it was made from the same, else `make()`.

        Args:
            name: of one kind of result. made_from: all that `make` reads: data frames, and what `==` compares. Neither
                it nor the result may be changed afterwards.
        """
        kept = self._kept.get(name)
        if kept is None or not _same(kept[0], made_from):
            kept = self._kept[name] = made_from, make()
        return kept[1]  # type: ignore[return-value]  # what make() gave under this name


def _same(before: Sequence[object], after: Sequence[object]) -> bool:
    return len(before) == len(after) and all(map(_equal, before, after))


def _equal(before: object, after: object) -> bool:
    if isinstance(before, pd.DataFrame):
        return isinstance(after, pd.DataFrame) and before.equals(after)
    return before == after
