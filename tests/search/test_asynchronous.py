"""Proposals one by one: pure functions of what a trial knows; several processes that fill one study."""

import heapq
import json
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from plumbing.errors import StoreError, UsageError
from plumbing.seeds import generator_of
from results.records import FINISHED, PRUNED, Trial
from search.engines import Proposal, engine_module
from search.engines.optuna_engine import SAMPLERS, OptunaEngine
from search.engines.optuna_pruning import NOTING
from search.engines.optuna_study import NumberTaken, alone
from spaces.declaration import Configuration, Value
from tests.postgres import started_server
from tests.search.conftest import REPOSITORY
from tests.search.proposing import EPOCHS, FEW, SMALL, curve_of, ended, request_of, stored_trial

MakeEngine = Callable[..., OptunaEngine]
ONE_BY_ONE = [each for each in SAMPLERS if each not in ("nsga2", "gp")]  # gp needs torch
REAL_PRUNERS = ("median", "percentile", "successive-halving", "hyperband")


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return stored_trial(tmp_path_factory.mktemp("pattern"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[MakeEngine]:
    made = []

    def make(name: str = "one", sampler: str = "tpe", **more: Any) -> OptunaEngine:
        made.append(OptunaEngine(replace(request_of(tmp_path, sampler, name=name), **more)))
        return made[-1]

    yield make
    for each in made:
        each.close()


@dataclass(frozen=True)
class Step:
    """A trial of an asynchronous search: what it knew, what it is, how it ended."""

    knows: frozenset[int]
    proposal: Proposal
    trial: Trial
    curve: Sequence[float]

    @property
    def number(self) -> int:
        return self.proposal.number


def configurations(steps: Sequence[Step]) -> dict[int, dict[str, Value]]:
    return {each.number: each.proposal.configuration for each in steps}


def search(engine: OptunaEngine, pattern: Trial, trials: int, workers: int, fails: Collection[int] = ()) -> list[Step]:
    """Trials of durations drawn by number, a worker beginning the next as soon as it is free."""
    steps: list[Step] = []
    running: list[tuple[float, int]] = []
    knows: set[int] = set()
    now = 0.0
    while len(steps) < trials:
        if len(running) == workers:
            now, number = heapq.heappop(running)
            engine.tell(steps[number].trial, steps[number].curve)
            knows.add(number)
        proposal = engine.propose_one(len(steps), frozenset(knows), configurations(steps))
        if proposal is None:
            break
        steps.append(Step(frozenset(knows), proposal, *ended(engine, pattern, proposal, proposal.number in fails)))
        heapq.heappush(running, (now + generator_of("time", proposal.number).random(), proposal.number))
    for _, number in sorted(running):
        engine.tell(steps[number].trial, steps[number].curve)
    return steps


def again(engine: OptunaEngine, step: Step, begun: Mapping[int, Configuration]) -> Proposal | None:
    """What the engine proposes in the step's place, told beforehand what the step knew."""
    return engine.propose_one(step.number, step.knows, {n: each for n, each in begun.items() if n < step.number})


@pytest.mark.parametrize("sampler", ONE_BY_ONE)
def test_a_proposal_is_the_same_in_whatever_order_trials_were_told(
    engine: MakeEngine, pattern: Trial, sampler: str
) -> None:
    steps = search(engine("first", sampler), pattern, 24, workers=6, fails=(3, 11))
    assert any(each.knows != frozenset(range(len(each.knows))) for each in steps)  # else told in order
    assert len({str(each) for each in configurations(steps).values()}) == 24
    other = engine("other", sampler)
    for step in sorted(steps, key=lambda each: generator_of("order", each.number).random()):
        other.tell(step.trial, step.curve)
    assert [again(other, each, configurations(steps)) for each in steps] == [each.proposal for each in steps]


def test_another_process_proposes_the_same(engine: MakeEngine, pattern: Trial, tmp_path: Path) -> None:
    steps = search(engine(), pattern, 20, workers=6)
    file = tmp_path / "steps.json"
    told = [[step.number, step.trial.state, step.trial.value, list(step.curve)] for step in steps]
    file.write_text(json.dumps([told, list(configurations(steps).values()), sorted(steps[-1].knows)]))
    code = """
import json, sys
from dataclasses import replace
from pathlib import Path
from search.engines.optuna_engine import OptunaEngine
from tests.search.proposing import request_of, stored_trial
folder = Path(sys.argv[1])
told, configurations, knows = json.loads((folder / "steps.json").read_text())
engine, pattern = OptunaEngine(request_of(folder, "tpe", name="other")), stored_trial(folder)
for number, state, value, curve in told:
    if number in knows:
        configuration = configurations[number]
        engine.tell(replace(pattern, number=number, state=state, value=value, configuration=configuration), curve)
number = len(configurations) - 1
print(json.dumps(engine.propose_one(number, knows, dict(enumerate(configurations[:number]))).configuration))
"""
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert json.loads(found.stdout) == steps[-1].proposal.configuration


@pytest.mark.parametrize("sampler", ONE_BY_ONE)
@pytest.mark.parametrize("pruner", ["none", "hyperband"])
def test_a_trial_that_knows_the_batches_before_is_the_one_of_its_batch(
    engine: MakeEngine, pattern: Trial, sampler: str, pruner: str
) -> None:
    batches, single = (
        engine("batches", sampler, pruner=pruner, space=FEW),
        engine("one", sampler, pruner=pruner, space=FEW),
    )
    begun: dict[int, Configuration] = {}
    while batch := batches.propose(24, {}):
        for proposal in batch:
            assert single.propose_one(proposal.number, range(batch[0].number), begun) == proposal
            begun[proposal.number] = proposal.configuration
        for proposal in batch:
            trial, curve = ended(batches, pattern, proposal)
            assert ended(single, pattern, proposal) == (trial, curve)
            for each in (batches, single):
                each.tell(trial, curve)
    assert len(begun) == 24


def with_value(step: Step, value: float) -> tuple[Trial, list[float]]:
    return replace(step.trial, value=value), [value] * EPOCHS


def test_results_that_a_trial_does_not_know_change_nothing_those_that_it_knows_do(
    engine: MakeEngine, pattern: Trial
) -> None:
    steps = search(engine("first"), pattern, 20, workers=6)
    last, begun = steps[-1], configurations(steps)
    unknown = {each.number for each in steps} - last.knows - {last.number}
    assert len(unknown) == 5

    def proposed(name: str, changed: Collection[int]) -> Proposal | None:
        other = engine(name)
        for step in steps[:-1]:
            other.tell(*(with_value(step, 9.0) if step.number in changed else (step.trial, step.curve)))
        return again(other, last, begun)

    assert proposed("unknown", unknown) == last.proposal
    worst = min((each for each in steps if each.number in last.knows), key=lambda each: each.trial.value or 0)
    assert proposed("known", {worst.number}) != last.proposal


def test_tpe_keeps_away_from_what_is_being_trained_elsewhere(engine: MakeEngine, pattern: Trial) -> None:
    """Its constant liar, which is on by default, takes a trial without a result for a bad one."""
    steps = search(engine("first", space=FEW), pattern, 20, workers=1)
    best = max(steps, key=lambda each: each.trial.value or 0).proposal.configuration
    rate = float(best["lr"])

    def distance(centre: float, seed: int) -> float:
        """Of the proposal from the best, in powers of ten, while forty train around a learning rate."""
        made = engine(f"{centre}-{seed}", space=FEW, search_seed=seed)
        for step in steps:
            made.tell(step.trial, step.curve)
        running = {20 + each: {**best, "lr": centre * 1.003**each} for each in range(40)}
        proposal = made.propose_one(60, range(20), configurations(steps) | running)
        assert proposal is not None
        return abs(np.log10(float(proposal.configuration["lr"]) / rate))

    near, far = (sum(distance(centre, seed) for seed in range(8)) for centre in (rate, 1e-5))
    assert near > 1.5 * far


@pytest.mark.parametrize("pruner", REAL_PRUNERS)
def test_a_worker_that_takes_a_trial_over_gets_the_decisions_of_the_first(
    engine: MakeEngine, pattern: Trial, pruner: str
) -> None:
    """It knows more by then, and asks first with all epochs that the dead worker had trained."""
    first, second = (engine(name, "random", pruner=pruner) for name in ("first", "second"))
    steps = search(first, pattern, 40, workers=5)
    assert {PRUNED, FINISHED} == {each.trial.state for each in steps}
    for step in steps:
        second.tell(step.trial, step.curve)
    begun = configurations(steps)
    for step in steps:
        assert second.propose_one(step.number, step.knows, begun) == step.proposal
        curve = curve_of(step.proposal.configuration)
        trained, ends = len(step.curve) // 2, len(step.curve)
        decisions = {
            each: second.prunes(step.number, curve[:each]) for each in range(max(trained, 1), min(ends + 1, EPOCHS))
        }
        assert decisions == {each: each == ends for each in decisions}


@pytest.mark.parametrize("pruner", REAL_PRUNERS)
def test_the_study_of_a_process_that_proposed_nothing_is_the_same(
    engine: MakeEngine, pattern: Trial, pruner: str
) -> None:
    """What Hyperband and successive halving note of a trial is found from its epochs alone."""
    first, second = (engine(name, "random", pruner=pruner) for name in ("first", "second"))
    steps = search(first, pattern, 40, workers=5)
    for step in reversed(steps):
        second.tell(step.trial, step.curve)
    assert noted(second) == noted(first)
    assert any("completed_rung_0" in attributes for *_, attributes in noted(first)) == (pruner in NOTING)


def noted(engine: OptunaEngine) -> list[tuple[str, dict[int, float], dict[str, Any]]]:
    return [(each.state.name, each.intermediate_values, each.system_attrs) for each in engine._told]


def study_of(url: str, name: str = "one") -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(url)
    trials = optuna.load_study(study_name=name, storage=storage).trials
    storage.engine.dispose()
    return trials


def test_the_study_is_filled_in_the_order_of_numbers_as_far_as_they_are_complete(
    engine: MakeEngine, pattern: Trial, url: str
) -> None:
    steps = search(engine("first", "random", url=url), pattern, 5, workers=3)
    made = engine("one", "random", url=url)
    for number, complete in ((0, 1), (2, 1), (4, 1), (1, 3), (3, 5)):
        made.tell(steps[number].trial, steps[number].curve)
        made.save()
        assert [each.number for each in study_of(url)] == list(range(complete))
    assert [each.value for each in study_of(url)] == [each.trial.value for each in steps]


SAVING = """
import json, sys
from dataclasses import replace
from pathlib import Path
from search.engines.optuna_engine import OptunaEngine
from tests.search.proposing import SPACE, request_of, stored_trial
from results.records import FINISHED
folder, url = Path(sys.argv[1]), sys.argv[2]
configurations = json.loads((folder / "configurations.json").read_text())
engine = OptunaEngine(replace(request_of(folder, "random"), url=url))
pattern = stored_trial(Path(sys.argv[3]))
print("ready", flush=True)
sys.stdin.readline()
for number, configuration in enumerate(configurations):
    trial = replace(pattern, number=number, state=FINISHED, value=number / 100, configuration=configuration)
    engine.tell(trial, [0.5, number / 100])
    engine.save(last=False)
engine.save()
engine.close()
"""


def test_processes_that_save_at_once_leave_each_trial_once_and_in_order(
    engine: MakeEngine, pattern: Trial, tmp_path: Path, url: str
) -> None:
    steps = search(engine("source", "random"), pattern, 24, workers=3)
    (tmp_path / "configurations.json").write_text(json.dumps(list(configurations(steps).values())))
    processes = []
    for each in range(3):
        own = tmp_path / f"process-{each}"
        own.mkdir()
        arguments = [sys.executable, "-c", SAVING, str(tmp_path), url, str(own)]
        processes.append(
            subprocess.Popen(arguments, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    trials = study_of(url)
    assert [(each.number, each.value) for each in trials] == [(n, n / 100) for n in range(24)]


def test_a_trial_is_not_added_under_a_number_that_is_taken(engine: MakeEngine, pattern: Trial, url: str) -> None:
    """As where a process was stopped after it counted, and lost its lock to a restart of the database."""
    steps = search(engine("source", "random"), pattern, 3, workers=1)
    late, other = engine("one", "random", url=url), engine("one", "random", url=url)
    for each in (late, other):
        for step in steps:
            each.tell(step.trial, step.curve)
    other.save()
    with pytest.raises(NumberTaken):
        late.study.add_trial(late._told[1])
    late.save()
    assert [each.number for each in study_of(url)] == [0, 1, 2]


def test_what_another_process_kept_from_being_saved_is_saved_the_next_time(
    engine: MakeEngine, pattern: Trial, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = engine("one", "random", url=url)
    search(made, pattern, 2, workers=1)
    monkeypatch.setattr("search.engines.optuna_study.PATIENCE_SECONDS", 0.2)
    with alone(url, "optuna study one", wait=False) as held:
        assert held
        made.save(last=False)
        with pytest.raises(StoreError, match=r"another process has held Optuna's study for 0\.2 s; end it and resume"):
            made.save()
    assert study_of(url) == []
    made.save(last=False)
    assert len(study_of(url)) == 2


def test_a_lost_connection_ends_no_worker_unless_it_is_the_last_save(
    engine: MakeEngine, pattern: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("results.reconnect.PATIENCE", 0.5)
    try:
        with started_server() as server, server.database() as url:
            made = engine("one", "random", url=url)
            search(made, pattern, 3, workers=1)
            server.stop("immediate")
            made.save(last=False)
            with pytest.raises(StoreError, match="Optuna's study cannot be written") as raised:
                made.save()
            assert "\n" not in str(raised.value)
            server.start()
            made.save(last=False)
            assert len(study_of(url)) == 3
            made.close()
    except ImportError as error:
        pytest.skip(f"pgserver, which brings PostgreSQL, is not there for this platform: {error}")


def test_an_engine_opened_again_may_be_told_what_its_study_holds_but_nothing_else_twice(
    engine: MakeEngine, pattern: Trial
) -> None:
    first = engine()
    steps = search(first, pattern, 16, workers=4)
    first.save()
    opened = engine()
    for step in steps:
        opened.tell(step.trial, step.curve)
    assert again(opened, steps[-1], configurations(steps)) == steps[-1].proposal
    with pytest.raises(ValueError, match="trial 3 was told before"):
        first.tell(steps[3].trial, steps[3].curve)


def test_every_configuration_of_a_small_space_is_tried_once_then_none_is_left(
    engine: MakeEngine, pattern: Trial
) -> None:
    steps = search(engine(space=SMALL), pattern, 99, workers=4)
    assert len(steps) == len({str(each) for each in configurations(steps).values()}) == 9


def test_enqueued_configurations_go_first_and_one_that_was_begun_stands(engine: MakeEngine, pattern: Trial) -> None:
    source = list(configurations(search(engine("source", search_seed=99), pattern, 3, workers=1)).values())
    made = engine(enqueued=source[:2])
    found = [made.propose_one(n, (), dict(enumerate(source[:n]))) for n in range(2)]
    assert [each and each.configuration for each in found] == source[:2]
    own, begun = made.propose_one(2, (), dict(enumerate(source[:2]))), made.propose_one(2, (), dict(enumerate(source)))
    assert begun is not None
    assert own is not None
    assert begun.configuration == source[2] != own.configuration


def test_what_another_process_began_under_a_number_is_what_was_told(engine: MakeEngine, pattern: Trial) -> None:
    """Two propose at once, and one was first to store its trial."""
    first, second = engine("first"), engine("second", search_seed=99)
    (lost,), (begun,) = (search(each, pattern, 1, workers=2) for each in (engine("lost"), second))
    assert first.propose_one(0, (), {}) == lost.proposal != begun.proposal
    first.tell(begun.trial, begun.curve)
    assert noted(first) == noted(second)
    assert first._told[0].params == second._told[0].params


def test_a_trial_cannot_know_what_was_not_told_nor_follow_one_that_was_not_begun(
    engine: MakeEngine, pattern: Trial
) -> None:
    made = engine()
    steps = search(made, pattern, 3, workers=1)
    with pytest.raises(ValueError, match="trial 5 cannot know trial 4: it was not told"):
        made.propose_one(5, (0, 4), configurations(steps))
    with pytest.raises(ValueError, match="trial 1 cannot know trial 2"):
        made.propose_one(1, (2,), configurations(steps))
    with pytest.raises(ValueError, match="trial 5: trial 3 before it was not begun"):
        made.propose_one(5, (), configurations(steps))


def test_what_proposes_in_batches_only_is_refused_in_one_line(engine: MakeEngine) -> None:
    with pytest.raises(UsageError, match="--sampler nsga2 proposes whole batches; give --batch-trials as many"):
        engine(sampler="nsga2").propose_one(0, (), {})
    with pytest.raises(UsageError, match="--workers above --batch-trials needs --engine optuna"):
        engine_module("keras-tuner").check_one_by_one("random")
