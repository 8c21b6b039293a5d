"""What a rebuilt report takes over: only what would be made from the same, whoever made it."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.recall import Recall


class Counted:
    """A sum of a table, and how often it was made."""

    def __init__(self) -> None:
        self.times = 0

    def of(self, table: pd.DataFrame) -> Callable[[], float]:
        def make() -> float:
            self.times += 1
            return float(table["a"].sum())

        return make


def test_equal_tables_are_not_made_from_again_and_changed_ones_are() -> None:
    recall, counted, table = Recall(), Counted(), pd.DataFrame({"a": [1.0, np.nan], "b": ["x", None]})

    first = recall("sum", [table, 3], counted.of(table))
    again = recall("sum", [table.copy(), 3], counted.of(table))
    assert (first, again, counted.times) == (1.0, 1.0, 1)

    more = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]})
    assert recall("sum", [more, 3], counted.of(more)) == 3.0
    assert recall("sum", [table, 3], counted.of(table)) == 1.0  # the last alone is kept
    assert counted.times == 3


@pytest.mark.parametrize(
    "other",
    [
        [pd.DataFrame({"a": [1, 2]}, index=[1, 2])],
        [pd.DataFrame({"a": [1.0, 2.0]})],
        [pd.DataFrame({"c": [1, 2]})],
        [pd.DataFrame({"a": [1, 2]}), 0],
        [None],
    ],
)
def test_anything_else_is_not_the_same(other: list[object]) -> None:
    recall = Recall()
    recall("name", [pd.DataFrame({"a": [1, 2]})], lambda: "first")

    assert recall("name", other, lambda: "second") == "second"
    assert recall("another", other, lambda: "third") == "third"


class AtOnce(Executor):
    """A helper that makes all that it is asked for before it gives the answer."""

    def submit(self, make: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_running_or_notify_cancel()
        done.set_result(make(*arguments, **named))
        return done


class Never(Executor):
    """A helper that comes to nothing."""

    def submit(self, make: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        return Future()


def test_what_a_helper_has_begun_is_taken_from_it() -> None:
    recall, counted, table = Recall(AtOnce()), Counted(), pd.DataFrame({"a": [1.0]})

    recall.begin("sum", [table], counted.of(table))
    assert recall("sum", [table], lambda: pytest.fail("made twice")) == 1.0
    recall.begin("sum", [table], counted.of(table))
    assert counted.times == 1


def test_what_a_helper_begun_from_other_tables_is_not_taken() -> None:
    recall, counted = Recall(AtOnce()), Counted()
    before, after = pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [2.0]})

    recall.begin("sum", [before], counted.of(before))

    assert recall("sum", [after], counted.of(after)) == 2.0


def test_what_no_helper_has_come_to_is_made_here() -> None:
    recall, counted, table = Recall(Never()), Counted(), pd.DataFrame({"a": [1.0]})

    recall.begin("sum", [table], counted.of(table))

    assert recall("sum", [table], counted.of(table)) == 1.0
