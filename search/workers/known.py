"""Whose results an asynchronous proposal knew, as it is stored: all trials below a number, and some above."""

from collections.abc import Collection, Mapping
from typing import Any


def compact(numbers: Collection[int]) -> dict[str, Any]:
    """The numbers in few words: of a long search nearly all are below the first that is missing.

    >>> compact({0, 1, 2, 5})
    {'below': 3, 'also': [5]}
    """
    below = first_missing(numbers)
    return {"below": below, "also": sorted(number for number in numbers if number > below)}


def expanded(stored: Mapping[str, Any]) -> frozenset[int]:
    """The numbers that `compact` told.

    >>> sorted(expanded({"below": 3, "also": [5]}))
    [0, 1, 2, 5]
    """
    return frozenset([*range(stored["below"]), *stored["also"]])


def first_missing(numbers: Collection[int]) -> int:
    """The lowest number from 0 on that is not among them.

    >>> first_missing({0, 1, 2, 5})
    3
    """
    return next(number for number in range(len(numbers) + 1) if number not in numbers)
