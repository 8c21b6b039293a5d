"""Who gets how much where a budget holds less than was asked for."""

from collections.abc import Sequence
from itertools import groupby

LEAST_SECONDS = 60.0  # a search of less would hardly begin


def share_trials(asked: Sequence[int], priorities: Sequence[float], budget: int | None) -> list[int]:
    """How many trials each search gets: one each; then, the highest priority first, one after another in turn.

    Args:
        asked: by each search. priorities: descending. budget: in all, at least as many as there are searches.

    >>> share_trials([5, 9, 9], [1, 0, 0], 10), share_trials([5, 9, 9], [0, 0, 0], 12)
    ([5, 3, 2], [4, 4, 4])
    >>> share_trials([5, 9, 2], [0, 0, 0], None)
    [5, 9, 2]
    """
    if budget is None or sum(asked) <= budget:
        return list(asked)
    given = [1] * len(asked)
    left = budget - len(asked)
    for _, places in groupby(range(len(asked)), key=lambda place: priorities[place]):
        equals = list(places)
        while left and (hungry := [place for place in equals if given[place] < asked[place]]):
            for place in hungry[:left]:
                given[place] += 1
            left -= min(left, len(hungry))
    return given


def share_seconds(left: float, searches: int) -> float:
    """How long the next of so many searches of one priority may run: an equal share of what is left, a minute at least.

    >>> share_seconds(600, 4), share_seconds(100, 4), share_seconds(20, 4)
    (150.0, 60.0, 20)
    """
    return min(left, max(left / searches, LEAST_SECONDS))
