"""Keras Tuner proposes: its own oracles, over the declared space or a user's HyperModel.

Exact resume. Our store is the truth. An oracle starts empty in each process and is told the ended trials again, batch
by batch in the order of their numbers, before it proposes anew; each of its draws is then the one that it would have
made had nothing stopped it. Its directory, RUNS/keras_tuner/NAME, is made from the same ended trials, each file whole:
it reloads in a notebook, and can be deleted at any time.
"""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from plumbing.errors import UsageError
from results.records import FINISHED, Trial
from search.engines import Proposal, Request
from search.engines.keras_tuner_values import DeclaredValues, Kept, OwnValues, Values
from search.engines.tried import key_of
from spaces.declaration import Configuration

SAMPLERS = ("bayesian", "random", "hyperband", "grid")
PRUNERS = ("none",)


def check(sampler: str, pruner: str) -> None:
    """Raises: UsageError where one is not offered, or they do not go together."""
    if sampler not in SAMPLERS:
        raise UsageError(f"--sampler {sampler} is not one of keras-tuner's; give one of {', '.join(SAMPLERS)}")
    if pruner not in PRUNERS:
        raise UsageError(f"--pruner {pruner}: Keras Tuner has no pruners; give --sampler hyperband, or --engine optuna")


def check_one_by_one(sampler: str) -> NoReturn:
    """Raises: UsageError, because an oracle hears of trials in the order in which it proposed them."""
    raise UsageError("--workers above --batch-trials needs --engine optuna")


def make(request: Request) -> "KerasTunerEngine":
    """The engine. Raises: UsageError, StoreError."""
    return KerasTunerEngine(request)


class KerasTunerEngine:
    """Proposals of one search by one of Keras Tuner's oracles."""

    def __init__(self, request: Request) -> None:
        """Make the oracle, which knows of no trial yet, and claim its directory.

        Raises: UsageError; StoreError where the directory is somebody else's.
        """
        from search.engines.keras_tuner_oracles import Steering, make_oracle
        from search.engines.keras_tuner_project import Project

        check(request.sampler, request.pruner)
        self.request = request
        self.kept: Kept = OwnValues(request.own_model) if request.own_model else DeclaredValues(request.space)
        self.project = Project(request.folder / "keras_tuner" / request.name)
        self.project.claim(request)
        hyperparameters = self.kept.hyperparameters()
        enqueued = [self.kept.values(each, hyperparameters) for each in request.enqueued]
        self.steering = Steering(request.search_seed, self._normal, self._left, enqueued)
        self.oracle = make_oracle(request.sampler, hyperparameters, request.objective, request.epochs, self.steering)
        self._batch: dict[int, Any] = {}
        self._told: dict[int, str] = {}  # number -> state in our store

    def close(self) -> None:
        """Nothing is held open."""

    def propose(self, trials: int, stored: Mapping[int, Configuration]) -> list[Proposal]:
        """What is left of the batch that the next trial to be told of lies in; empty where nothing is left to try."""
        size, done = self.request.batch_trials, len(self._told)
        first = done // size * size
        numbers = range(done, min(first + size, trials))
        self.steering.fast = first == done and all(number in stored for number in range(first, first + size))
        for number in numbers:
            if number not in self._batch:
                trial = self._ask(number, number - first, stored.get(number))
                if trial.status != "RUNNING":
                    break
                self._batch[number] = trial
        return [self._proposal(number, self._batch[number]) for number in numbers if number in self._batch]

    def propose_one(self, number: int, knows: Collection[int], begun: Mapping[int, Configuration]) -> Proposal | None:
        """Raises: UsageError, see `check_one_by_one`."""
        check_one_by_one(self.request.sampler)

    def _ask(self, number: int, place: int, stored: Configuration | None) -> Any:
        """Keras Tuner's next trial. `place`: in the batch, as each of several tuners has one trial at a time."""
        self.steering.number = number
        self.steering.stored = None if stored is None else self._values(stored)
        with _quiet():
            return self.oracle.create_trial(f"tuner{place}")

    def prunes(self, number: int, values: Sequence[float]) -> bool:
        """Never: Hyperband ends trials by giving them few epochs."""
        return False

    def may_go_on(self) -> Collection[int]:
        """The trials that Hyperband may promote."""
        return {int(each) for each in self.oracle.waiting()} if self.request.sampler == "hyperband" else ()

    def tell(self, trial: Trial, objective_by_epoch: Sequence[float]) -> None:
        """End the next trial for the oracle, each epoch of it being a step."""
        told = self._batch.pop(trial.number)
        with _quiet():
            for epoch, value in enumerate(objective_by_epoch):
                self.oracle.update_trial(told.trial_id, {self.request.objective: value}, step=epoch)
            told.status = "COMPLETED" if trial.state == FINISHED else "FAILED"
            told.message = trial.reason
            self.kept.bring_up(told.hyperparameters, trial)
            self.oracle.end_trial(told)
        self._told[trial.number] = trial.state
        if not self._batch:
            self.project.snapshot(self.oracle)

    def save(self, last: bool = True) -> None:
        """Write what was told into the directory; nothing before it was told of all that ended in earlier runs.

        Raises: StoreError where it cannot be written.
        """
        if len(self._told) >= self.request.ended:
            self.project.write()

    # Values and configurations

    def _proposal(self, number: int, trial: Any) -> Proposal:
        values = trial.hyperparameters.values
        configuration = self.kept.configuration(values)
        if self.request.sampler != "hyperband":
            return Proposal(number, configuration)
        parent = int(values["tuner/trial_id"]) if "tuner/trial_id" in values else None
        epochs = int(values["tuner/epochs"])
        goes_on = parent is not None and self._told[parent] == FINISHED
        return Proposal(number, configuration, epochs, parent if goes_on else None, epochs < self.request.epochs)

    def _values(self, configuration: Configuration) -> Values:
        return self.kept.values(configuration, self.oracle.hyperparameters)

    def _normal(self, values: Values) -> Values | None:
        configuration = self.kept.configuration(values)
        return self._values(configuration) if self.request.allowed(configuration) else None

    def _left(self, number: int) -> Values | None:
        ended = self.oracle.trials.values()
        tried = {key_of(self.kept.configuration(trial.hyperparameters.values)) for trial in ended}
        return self.kept.one_left(tried, self.request.allowed, self.request.search_seed, number)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of Keras Tuner's old calls, and of a Gaussian process whose fit met a bound."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(currentThread|getName)\(\) is deprecated", DeprecationWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
