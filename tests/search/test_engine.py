"""Optuna's proposals: by batch and by number, equal to a plain sequential loop's where a batch is one trial."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from plumbing.errors import StoreError
from plumbing.seeds import generator_of
from results.records import FAILED, FINISHED, Trial
from search.engines import Proposal
from search.engines.optuna_engine import OptunaEngine
from search.engines.optuna_sampling import make_sampler, suggester
from spaces.declaration import Real, Space, Value, propose
from tests.search.proposing import SEED, SMALL, SPACE, request_of, stored_trial

MakeEngine = Callable[..., OptunaEngine]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'results.db'}"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[MakeEngine]:
    made = []

    def make(batch_trials: int, name: str = "one", **more: Any) -> OptunaEngine:
        given = {"sampler": "tpe", "batch_trials": batch_trials, "name": name} | more
        made.append(OptunaEngine(request_of(tmp_path, **given)))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return stored_trial(tmp_path_factory.mktemp("pattern"))


def value_of(configuration: dict[str, Value], number: int) -> float:
    """A smooth objective with noise of the number's own."""
    rate = float(configuration.get("lr", 1e-3))
    return 1 - abs(float(f"{rate:e}".split("e")[1]) + 3) / 5 + generator_of("noise", number).random() / 10


def ended(pattern: Trial, proposal: Proposal, fails: bool = False) -> Trial:
    if fails:
        return replace(pattern, number=proposal.number, state=FAILED, reason="nan")
    return replace(
        pattern, number=proposal.number, state=FINISHED, value=value_of(proposal.configuration, proposal.number)
    )


def run(made: OptunaEngine, pattern: Trial, trials: int, fails: frozenset[int] = frozenset()) -> list[dict[str, Value]]:
    """Propose and tell until there are so many trials; their configurations."""
    found = []
    while batch := made.propose(trials, {}):
        for proposal in batch:
            found.append(proposal.configuration)
            made.tell(ended(pattern, proposal, proposal.number in fails), [0.5, value_of(proposal.configuration, 0)])
    made.save()
    return found


def test_a_batch_of_one_proposes_as_a_plain_sequential_seeded_loop_of_tpe(engine: MakeEngine, pattern: Trial) -> None:
    study = optuna.create_study(direction="maximize")
    expected = []
    for number in range(16):  # TPE draws at random for its first ten trials
        study.sampler = make_sampler("tpe", SEED, number)
        trial = study.ask()
        expected.append(propose(SPACE, suggester(trial)))
        study.tell(trial, value_of(expected[-1], number))
    assert run(engine(1), pattern, 16) == expected


@pytest.mark.parametrize("batch_trials", [2, 4, 5])
def test_every_batch_size_is_deterministic_and_begins_as_all_others(
    engine: MakeEngine, pattern: Trial, batch_trials: int
) -> None:
    first, again = (run(engine(batch_trials, name), pattern, 16) for name in ("one", "again"))
    assert first == again
    assert first[:10] == run(engine(1, "single"), pattern, 10)  # no result matters before TPE has ten


def test_trials_of_one_batch_do_not_know_each_others_results_but_those_of_batches_before(
    engine: MakeEngine, pattern: Trial
) -> None:
    def proposals(name: str, best: int) -> list[dict[str, Value]]:
        made, found = engine(4, name), []
        while batch := made.propose(20, {}):
            found += [proposal.configuration for proposal in batch]
            for proposal in batch:
                trial = ended(pattern, proposal)
                made.tell(replace(trial, value=9.0) if proposal.number == best else trial, [0.5])
        return found

    known = proposals("known", -1)
    for best in range(12, 16):  # all of batch 3
        assert proposals(f"best {best}", best)[:16] == known[:16]
    worst = min(range(12, 16), key=lambda number: value_of(known[number], number))
    assert proposals("worst is best", worst)[16:] != known[16:]


def test_a_trial_knows_the_configurations_before_it_in_its_own_batch(engine: MakeEngine, pattern: Trial) -> None:
    """Else a batch of a small space would try one configuration twice."""
    found = run(engine(5, space=SMALL), pattern, 99)
    assert len(found) == len({str(each) for each in found}) == 9
    assert engine(5, space=SMALL).propose(99, {}) == []


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "nsga2"])
@pytest.mark.parametrize("told", [0, 3, 4, 14])
def test_an_engine_opened_again_proposes_what_is_left_of_the_batch_as_it_was(
    engine: MakeEngine, pattern: Trial, told: int, sampler: str
) -> None:
    whole = run(engine(4, "whole", sampler=sampler), pattern, 16, frozenset({2, 5}))
    killed = engine(4, "killed", sampler=sampler)
    assert run(killed, pattern, told, frozenset({2, 5})) == whole[:told]
    batch = engine(4, "killed", sampler=sampler).propose(16, {})
    assert [each.number for each in batch] == list(range(told, told // 4 * 4 + 4))
    assert [each.configuration for each in batch] == whole[told : told // 4 * 4 + 4]
    assert run(engine(4, "killed", sampler=sampler), pattern, 16, frozenset({2, 5})) == whole[told:]


def test_what_was_told_but_not_saved_is_proposed_again(engine: MakeEngine, pattern: Trial) -> None:
    first = engine(2)
    batch = first.propose(4, {})
    for proposal in batch:
        first.tell(ended(pattern, proposal), [0.5])
    assert engine(2).propose(4, {}) == batch
    assert [each.number for each in first.propose(4, {})] == [2, 3]


def test_enqueued_configurations_go_first_in_their_order(engine: MakeEngine, pattern: Trial) -> None:
    enqueued = run(engine(1, "source", search_seed=99), pattern, 3)
    made = engine(2, enqueued=enqueued)
    assert [each.configuration for each in made.propose(5, {})] == enqueued[:2]
    for proposal in made.propose(5, {}):
        made.tell(ended(pattern, proposal), [0.5])
    third, fourth = made.propose(5, {})
    assert third.configuration == enqueued[2] != fourth.configuration


def test_the_study_in_the_store_holds_every_ended_trial_once_with_its_epochs(
    engine: MakeEngine, pattern: Trial, url: str
) -> None:
    configurations = run(engine(4), pattern, 6, frozenset({1}))
    again = engine(4)
    again.propose(6, {})
    again.save()  # nothing is left to save
    storage = optuna.storages.RDBStorage(url)
    trials = optuna.load_study(study_name="one", storage=storage).trials
    storage.engine.dispose()
    assert [trial.number for trial in trials] == list(range(6))
    for number, (trial, configuration) in enumerate(zip(trials, configurations, strict=True)):
        assert trial.state.name == ("FAIL" if number == 1 else "COMPLETE")
        assert trial.value == (None if number == 1 else value_of(configuration, number))
        assert trial.intermediate_values == {1: 0.5, 2: value_of(configuration, 0)}
        assert propose(SPACE, lambda name, parameter, trial=trial: trial.params[name]) == configuration  # type: ignore[misc]


def test_an_objective_that_is_no_number_is_kept_as_such(engine: MakeEngine, pattern: Trial, url: str) -> None:
    made = engine(1)
    (proposal,) = made.propose(1, {})
    made.tell(ended(pattern, proposal), [float("nan"), 0.5])
    made.save()
    again = engine(1)
    assert str(again.study.trials[0].intermediate_values) == "{1: nan, 2: 0.5}"


def test_a_study_of_somebody_else_is_refused(engine: MakeEngine, pattern: Trial) -> None:
    run(engine(1), pattern, 1)
    with pytest.raises(StoreError, match="an Optuna study named one, not ours, is in the store already"):
        engine(1, fresh=True)


def test_a_real_parameter_needs_no_enumeration(engine: MakeEngine, pattern: Trial) -> None:
    space = Space({"small": (Real("lr", 0.1, 0.2),)})
    assert len({str(each) for each in run(engine(4, space=space), pattern, 12)}) == 12


def test_a_configuration_that_was_begun_stands_where_the_sampler_would_propose_otherwise_now(
    engine: MakeEngine, pattern: Trial
) -> None:
    other = run(engine(1, "other", search_seed=99), pattern, 2)
    made = engine(4)
    plain = [each.configuration for each in made.propose(4, {})]
    found = [each.configuration for each in made.propose(4, {1: other[1]})]
    assert found[0] == plain[0]
    assert found[1] == other[1] != plain[1]
