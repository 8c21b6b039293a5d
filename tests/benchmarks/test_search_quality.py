"""Replayed searches: deterministic, picking what the search would pick, every epoch counted once; their statistics."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import optuna
import pytest

from benchmarks.quality import contestants
from benchmarks.quality.contestants import CONTESTANTS, Contestant, Job
from benchmarks.quality.plain import plain_optuna
from benchmarks.quality.replay import BLANK, Ledger, MakeEngine, Run, replay
from benchmarks.quality.statistics import at_budgets, over_repeats, over_tables, rank_differences, wins
from benchmarks.quality.variants import VariedTPE, names_of, point
from benchmarks.tables.recorded import RecordedTable, choice, scale
from plumbing.seeds import generator_of
from results.records import FINISHED, Trial
from search.engines import Engine, Proposal, Request, engine_module
from search.models import best_trials
from spaces.declaration import AtLeast, Choice, Configuration, Real, Space, Whole, check_configuration

AXES = (scale("lr", *range(7)), choice("optimizer", "adam", "sgd"), choice("units", 0, 64, 256, ordered=True))
EPOCHS = 9


@pytest.fixture
def table() -> RecordedTable:
    """Curves that rise to a level of each configuration's own, with noise of each seed's own."""
    draw = generator_of("a table")
    level, noise = draw.random((42, 1, 1)), draw.normal(0, 0.05, (42, 3, EPOCHS))
    values = level * np.linspace(0.5, 1, EPOCHS) + noise
    seconds = np.cumsum(draw.random((42, 3, EPOCHS)), axis=2)
    return RecordedTable("drawn", AXES, values, seconds)


def optuna_engine(request: Request) -> Engine:
    made: Engine = engine_module("optuna").make(request)
    return made


def without_time(run: Run) -> Run:
    return replace(run, engine_seconds=0.0)


@pytest.mark.parametrize("settings", [{}, {"sampler": "random"}, {"pruner": "hyperband"}, {"batch_trials": 1}])
def test_a_replay_is_the_same_again(table: RecordedTable, settings: dict[str, str]) -> None:
    first, again = (replay(optuna_engine, table, 1, 16, **settings) for _ in range(2))  # type: ignore[arg-type]
    assert without_time(first) == without_time(again)
    assert without_time(first) != without_time(replay(optuna_engine, table, 2, 16, **settings))  # type: ignore[arg-type]


class Written:
    """An engine that proposes what was written down, and keeps what it was told."""

    def __init__(self, batches: Sequence[Sequence[Proposal]], pruned: dict[int, int] | None = None) -> None:
        self.batches, self.pruned, self.told = list(batches), pruned or {}, [(BLANK, [0.0])]
        self.told.clear()

    def propose(self, trials: int, stored: object) -> list[Proposal]:
        return list(self.batches.pop(0)) if self.batches else []

    def prunes(self, number: int, values: Sequence[float]) -> bool:
        return self.pruned.get(number) == len(values)

    def tell(self, trial: Trial, objective_by_epoch: Sequence[float]) -> None:
        self.told.append((trial, list(objective_by_epoch)))

    def close(self) -> None:
        """Nothing is held open."""


def configuration(rate: int, optimizer: str = "adam") -> dict[str, int | str]:
    return {"architecture": "drawn", "lr": rate, "optimizer": optimizer, "units": 64}


def made(engine: Written) -> MakeEngine:
    return lambda request: engine  # type: ignore[return-value]


def test_a_promoted_trial_pays_its_own_epochs_only_and_a_pruned_one_those_it_trained(table: RecordedTable) -> None:
    one, two = configuration(1), configuration(2)
    first = [Proposal(0, one, epochs=3, resumable=True), Proposal(1, two)]
    engine = Written([first, [Proposal(2, one, epochs=9, continues=0)]], pruned={1: 4})
    run = replay(made(engine), table, 0, 9)
    elapsed = table.seconds_by_epoch(one, 0)
    pruned = table.seconds_by_epoch(two, 0)[3]
    assert run.epochs == (3, 3 + 4, 3 + 4 + 6)
    assert run.seconds == pytest.approx((elapsed[2], elapsed[2] + pruned, elapsed[8] + pruned))
    assert run.duplicates == 0
    assert [len(values) for _, values in engine.told] == [3, 4, 9]
    assert [trial.state for trial, _ in engine.told] == [FINISHED, "pruned", FINISHED]


def test_a_pruned_trial_is_never_picked_however_good(table: RecordedTable) -> None:
    rates = sorted(range(7), key=lambda rate: -max(table.objective(configuration(rate), 0)[:5]))
    proposals = [Proposal(number, configuration(rate)) for number, rate in enumerate(rates[:2])]
    run = replay(made(Written([proposals], pruned={0: 5})), table, 0, 9)
    assert run.regrets[-1] == pytest.approx(table.best_mean - table.mean_final(configuration(rates[1])))


def test_a_configuration_begun_anew_is_a_duplicate(table: RecordedTable) -> None:
    batch = [Proposal(number, configuration(rate)) for number, rate in enumerate((1, 2, 1))]
    assert replay(made(Written([batch])), table, 0, 9).duplicates == 1


class Watched(VariedTPE):
    """Keeps the trials that it was told of."""

    trials: list[tuple[Trial, Configuration]]

    def tell(self, trial: Trial, objective_by_epoch: Sequence[float]) -> None:
        self.trials.append((trial, self._configuration(self._drafts[trial.number])))
        super().tell(trial, objective_by_epoch)


@pytest.mark.parametrize("pruner", ["none", "median"])
def test_what_is_picked_is_what_the_search_would_pick_and_its_regret_is_never_negative(
    table: RecordedTable, pruner: str
) -> None:
    found: list[tuple[Trial, Configuration]] = []

    def make(request: Request) -> Engine:
        engine = Watched(request)
        engine.trials = found
        return engine

    run = replay(make, table, 4, 24, pruner=pruner)
    configurations = {trial.number: each for trial, each in found}
    for trials in range(1, 25):
        (best,) = best_trials([trial for trial, _ in found][:trials], 1)
        assert run.regrets[trials - 1] == table.best_mean - table.mean_final(configurations[best.number])
        assert best.value == max(table.objective(configurations[best.number], 4 % 3))
    assert min(run.regrets) >= 0
    assert run.kept == run.regrets  # trained to the end


def test_the_whole_grid_tried_ends_with_the_best_of_the_searchs_own_seed(table: RecordedTable) -> None:
    run = replay(optuna_engine, table, 1, 99, sampler="random")
    assert len(run.regrets) == 42
    best = table.values[:, 1].max(axis=1).argmax()
    assert run.regrets[-1] == pytest.approx(table.best_mean - table.means[best])


def test_settings_of_the_engine_itself_are_the_engine_itself(table: RecordedTable) -> None:
    """Else variants would differ from the default by more than what varies."""
    same = partial(VariedTPE, settings={"multivariate": True, "group": True})
    assert without_time(replay(same, table, 3, 24)) == without_time(replay(optuna_engine, table, 3, 24))


def test_a_sobol_start_lies_inside_the_space_and_covers_it_evenly() -> None:
    space = Space(
        {
            "one": (Choice("cut", (1, 2)), Real("lr", 1e-5, 1e-1, log=True), Whole("blocks", 2, 8, step=2)),
            "two": (Choice("cut", (1, 2)), Whole("units", 4, 64, log=True, when=AtLeast("cut", 2))),
        }
    )
    assert names_of(space) == ["architecture", "cut", "one.lr", "one.blocks", "two.units"]
    corners = [np.full(5, share) for share in (0.0, np.nextafter(1, 0))]
    for shares in (*corners, *generator_of("points").random((200, 5))):
        check_configuration(space, point(space, shares))
    assert point(space, corners[0]) == {"architecture": "one", "cut": 1, "lr": 1e-5, "blocks": 2}
    assert point(space, corners[1]) == {"architecture": "two", "cut": 2, "units": 64}


def test_a_plain_optuna_study_is_the_same_again_and_counts_what_it_repeats(table: RecordedTable) -> None:
    first, again = (plain_optuna(optuna.samplers.RandomSampler, table, 1, 60) for _ in range(2))
    assert without_time(first) == without_time(again)
    assert first.duplicates >= 60 - 42
    assert first.epochs[-1] == 60 * EPOCHS


def test_before_any_trial_has_finished_the_regret_is_that_of_chance(table: RecordedTable) -> None:
    ledger = Ledger(table, 0)
    ledger.note(configuration(1), 2, finished=False)
    assert ledger.run(0.0).regrets == pytest.approx((table.best_mean - table.means.mean(),))


def test_lean_predictions_are_scikit_learns_to_the_last_bit() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern

    from benchmarks.quality.lean_regressor import lean

    plain = GaussianProcessRegressor(Matern(0.7, nu=2.5), optimizer=None, normalize_y=True, alpha=1e-4)
    draw = generator_of("points")
    known = draw.random((30, 6))
    values = np.sin(3 * known).sum(axis=1)
    fast = lean(plain).fit(known, values)
    plain.fit(known, values)
    for queries in (*draw.random((50, 1, 6)), known[:1], known):
        for ours, theirs in zip(*(each.predict(queries, return_std=True) for each in (fast, plain)), strict=True):
            assert ours.tobytes() == theirs.tobytes()


def test_regret_at_a_budget_is_that_of_the_last_trial_that_had_ended() -> None:
    regrets, spent = np.array([[3.0, 2.0, 1.0]]), np.array([[10.0, 20.0, 40.0]])
    assert at_budgets(regrets, spent, np.array([5.0, 10.0, 39.0, 99.0]), 7.0).tolist() == [[7.0, 3.0, 2.0, 1.0]]


def test_ranks_and_wins_tell_the_better_one_and_equal_ones_apart() -> None:
    regrets = generator_of("regrets").random((3, 5, 8))
    regrets[1] = regrets[0] / 2
    regrets[2] = regrets[0]
    same, better, equal = rank_differences(regrets, 0)
    assert (same.low, same.high, equal.low, equal.high) == (0, 0, 0, 0)
    assert (better.value, better.low, better.high) == (-1.5, -1.5, -1.5)
    assert [each.value for each in wins(regrets, 0)] == [0, 1, 0]


def test_intervals_cover_the_true_mean_about_as_often_as_they_say() -> None:
    draw = generator_of("samples")
    tables = [over_tables(draw.normal(draw.normal(0, 1, (12, 1)), 1, (12, 6)), draws=300) for _ in range(100)]
    repeats = [over_repeats(draw.normal(0, 1, 30), draws=300) for _ in range(100)]
    for intervals in (tables, repeats):
        assert 85 <= sum(each.low < 0 < each.high for each in intervals) <= 100


def test_contestants_ask_for_tables_that_exist_and_a_job_runs(
    table: RecordedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {name for each in CONTESTANTS.values() for name in each.tables} <= set(contestants.ALL)
    monkeypatch.setattr(contestants, "table_named", lambda name: table)
    monkeypatch.setattr(contestants, "CONTESTANTS", {"tpe": Contestant(CONTESTANTS["tpe"].replay)})
    monkeypatch.setattr(contestants, "TRIALS", 9)
    run = contestants.run_job(Job(0, "tpe", "drawn"))
    assert len(run.regrets) == 9
    assert run.engine_seconds > 0
