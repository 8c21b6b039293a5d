"""Searches by many workers on a simulated clock: no worker does two things at once, and none knows the future."""

from typing import Any

import numpy as np
import pytest

from benchmarks.quality.clock import Simulated, simulate
from benchmarks.tables.recorded import RecordedTable, choice, scale
from plumbing.seeds import generator_of
from search.engines.optuna_engine import OptunaEngine

AXES = (scale("lr", *range(7)), choice("optimizer", "adam", "sgd"), choice("units", 0, 64, 256, ordered=True))
WAYS = [(workers, batches) for workers in (1, 3, 8) for batches in (False, True)]


@pytest.fixture
def table() -> RecordedTable:
    """Values and durations that hang on the configuration."""
    draw = generator_of("a table")
    values, seconds = draw.random((42, 1, 1)), draw.random((42, 1, 1)) + 0.1
    noise = draw.normal(0, 0.05, (42, 3, 1))
    return RecordedTable("drawn", AXES, values + noise, np.broadcast_to(seconds, (42, 3, 1)))


@pytest.mark.parametrize(("workers", "batches"), WAYS)
def test_workers_train_one_trial_at_a_time_and_batches_wait_for_their_last(
    table: RecordedTable, workers: int, batches: bool
) -> None:
    run = simulate(table, 0, "tpe", workers, 24, batches)
    begun, ended = np.array(run.begun), np.array(run.ended)
    under_way = [int(((begun <= moment) & (ended > moment)).sum()) for moment in begun]
    assert max(under_way) == workers
    if batches:
        for first in range(workers, 24, workers):
            assert set(begun[first : first + workers]) == {ended[:first].max()}
    else:
        assert set(begun[workers:]) <= set(ended)
    assert -1e-12 < run.idle_share(24) < 1
    assert run.seconds(24) == ended.max()


def test_a_trial_knows_all_that_has_ended_when_it_begins_and_nothing_else(
    table: RecordedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[int, set[int]] = {}

    class Watched(OptunaEngine):
        def propose_one(self, number: int, knows: Any, begun: Any) -> Any:
            known[number] = set(knows)
            return super().propose_one(number, knows, begun)

    monkeypatch.setattr("search.engines.optuna_engine.OptunaEngine", Watched)
    run = simulate(table, 0, "tpe", 5, 24, batches=False)
    for number, begun in enumerate(run.begun):
        assert known[number] == {each for each, ended in enumerate(run.ended[:number]) if ended <= begun}


def test_one_worker_is_the_same_both_ways_and_random_search_finds_the_same_with_any_number(
    table: RecordedTable,
) -> None:
    assert simulate(table, 1, "tpe", 1, 20, batches=False) == simulate(table, 1, "tpe", 1, 20, batches=True)
    random = [simulate(table, 1, "random", workers, 20, batches) for workers, batches in WAYS]
    assert len({each.values for each in random}) == 1
    assert len({each.ended for each in random}) > 1
    tpe = [simulate(table, 1, "tpe", workers, 20, batches) for workers, batches in WAYS]
    assert len({each.values for each in tpe}) > 1


def test_regret_is_that_of_the_best_so_far_by_trials_and_of_the_best_that_has_ended_by_time() -> None:
    run = Simulated(2, (0.5, 0.7, 0.7, 0.9), (4.0, 2.0, 9.0, 1.0), (0, 0, 1, 2), (1.0, 4.0, 2.0, 3.0))
    assert run.regret_by_trials.tolist() == [4, 2, 2, 1]
    assert run.regret_at(np.array([0.5, 1.0, 2.5, 3.0, 9.0]), 7.0).tolist() == [7, 4, 9, 1, 1]
    assert run.seconds(2) == run.seconds(4) == 4
    assert run.idle_share(4) == pytest.approx(1 - 7 / 8)
