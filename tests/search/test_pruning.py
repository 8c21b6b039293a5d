"""Pruned trials: Optuna's own decisions, taken alike after any kill."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from plumbing.errors import UsageError
from results.records import FINISHED, Trial
from search.engines.optuna_engine import PRUNERS, OptunaEngine, check
from search.engines.optuna_pruning import make_pruner
from search.engines.optuna_sampling import make_sampler, suggester
from spaces.declaration import Value, propose
from tests.search.proposing import EPOCHS, SEED, SPACE, curve_of, ended, request_of, run, stored_trial

MakeEngine = Callable[..., OptunaEngine]
REAL_PRUNERS = [each for each in PRUNERS if each != "none"]
BY_PRUNER = pytest.mark.parametrize("pruner", REAL_PRUNERS)


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return stored_trial(tmp_path_factory.mktemp("pattern"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[MakeEngine]:
    made = []

    def make(pruner: str, name: str = "one", **more: Any) -> OptunaEngine:
        given = {"sampler": "random"} | more
        made.append(OptunaEngine(request_of(tmp_path, name=name, pruner=pruner, **given)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def told(engine: OptunaEngine) -> list[tuple[str, int, dict[str, Any]]]:
    """State, epochs and attributes of each trial that the engine was told of."""
    return [(each.state.name, len(each.intermediate_values), each.system_attrs) for each in engine._told]


@BY_PRUNER
def test_one_by_one_the_engine_prunes_as_a_plain_loop_of_optuna(
    engine: MakeEngine, pattern: Trial, pruner: str
) -> None:
    """The plain study has the seed for its name, from which Hyperband draws brackets."""
    study = optuna.create_study(direction="maximize", study_name=str(SEED), pruner=make_pruner(pruner, EPOCHS))
    expected = []
    for number in range(24):
        study.sampler = make_sampler("random", SEED, number)
        trial = study.ask()
        curve = curve_of(propose(SPACE, suggester(trial)))
        epochs, pruned = 0, False
        while epochs < EPOCHS and not pruned:
            epochs += 1
            trial.report(curve[epochs - 1], epochs)
            pruned = epochs < EPOCHS and trial.should_prune()
        state = optuna.trial.TrialState.PRUNED if pruned else optuna.trial.TrialState.COMPLETE
        study.tell(trial, None if pruned else max(curve), state=state)
        expected.append((state.name, epochs))
    ours = engine(pruner, batch_trials=1)
    run(ours, pattern, 24)
    assert [(state, epochs) for state, epochs, _ in told(ours)] == expected
    assert {state for state, _ in expected} == {"COMPLETE", "PRUNED"}  # else this would show nothing


@BY_PRUNER
@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("stop", [6, 13, 16])
def test_an_engine_opened_again_prunes_and_proposes_as_one_that_was_never_closed(
    engine: MakeEngine, pattern: Trial, pruner: str, sampler: str, stop: int
) -> None:
    whole = engine(pruner, "whole", sampler=sampler)
    proposals = run(whole, pattern, 20)
    killed = engine(pruner, "killed", sampler=sampler)
    assert run(killed, pattern, stop) == proposals[:stop]
    killed.save()
    again = engine(pruner, "killed", sampler=sampler)
    assert run(again, pattern, 20) == proposals[stop:]
    assert told(again) == told(whole)


@BY_PRUNER
def test_the_order_in_which_trials_of_a_batch_train_changes_no_decision(
    engine: MakeEngine, pattern: Trial, pruner: str
) -> None:
    forwards, backwards = engine(pruner, "forwards"), engine(pruner, "backwards")
    run(forwards, pattern, 16)
    while batch := backwards.propose(16, {}):
        ends = {proposal.number: ended(backwards, pattern, proposal) for proposal in reversed(batch)}
        for proposal in batch:
            backwards.tell(*ends[proposal.number])
    assert told(backwards) == told(forwards)


@BY_PRUNER
def test_pruning_saves_epochs_and_leaves_the_best_trial(engine: MakeEngine, pattern: Trial, pruner: str) -> None:
    pruning, plain = engine(pruner, "pruning"), engine("none", "plain")
    for each in (pruning, plain):
        run(each, pattern, 32)
    values = [[trial.value for trial in each._told if trial.state.name == "COMPLETE"] for each in (pruning, plain)]
    assert max(values[0]) == pytest.approx(max(values[1]), abs=0.05)
    assert sum(epochs for _, epochs, _ in told(pruning)) < 0.8 * sum(epochs for _, epochs, _ in told(plain))


def test_a_pruned_trial_stands_in_the_study_with_its_epochs_and_last_value(
    engine: MakeEngine, pattern: Trial, tmp_path: Path
) -> None:
    ours = engine("median")
    run(ours, pattern, 16)
    ours.save()
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'results.db'}")
    trials = optuna.load_study(study_name="one", storage=storage).trials
    storage.engine.dispose()
    pruned = [trial for trial in trials if trial.state == optuna.trial.TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        assert trial.value == list(trial.intermediate_values.values())[-1]
        assert list(trial.intermediate_values) == list(range(1, len(trial.intermediate_values) + 1))
        assert len(trial.intermediate_values) < EPOCHS


def test_hyperbands_brackets_hang_on_the_seed_not_on_the_name(engine: MakeEngine, pattern: Trial) -> None:
    first, second, other = engine("hyperband", "a"), engine("hyperband", "b"), engine("hyperband", "c", search_seed=9)
    for each in (first, second, other):
        run(each, pattern, 20)
    assert told(first) == told(second)
    assert [each[:2] for each in told(first)] != [each[:2] for each in told(other)]


def test_ordered_choices_are_whole_numbers_for_samplers_and_themselves_in_the_study(
    engine: MakeEngine, pattern: Trial
) -> None:
    ours = engine("none")
    (first, *_) = run(ours, pattern, 4)
    known, shown = ours._known[0], ours._told[0]
    assert shown.params["augmentation"] == first.configuration["augmentation"]
    level: Value = known.params["augmentation"]
    assert isinstance(level, int)
    parameter = SPACE.parameter(str(first.configuration["architecture"]), "augmentation")
    assert parameter.choices[level] == first.configuration["augmentation"]  # type: ignore[union-attr]
    assert isinstance(known.params["optimizer"], str)  # which has no order


@pytest.mark.parametrize("sampler", ["nsga2", "gp"])
def test_a_pruner_is_refused_with_a_sampler_that_learns_nothing_from_pruned_trials(
    sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # as if torch were there
    with pytest.raises(UsageError, match=f"--sampler {sampler} learns nothing from pruned trials"):
        check(sampler, "median")


def test_an_unknown_pruner_is_refused() -> None:
    with pytest.raises(UsageError, match="--pruner best is not one of optuna's here; give one of none, median"):
        check("tpe", "best")


def test_nothing_is_pruned_in_the_first_batch_which_has_nothing_to_be_compared_with(
    engine: MakeEngine, pattern: Trial
) -> None:
    ours = engine("successive-halving")
    assert {ended(ours, pattern, proposal)[0].state for proposal in ours.propose(4, {})} == {FINISHED}
