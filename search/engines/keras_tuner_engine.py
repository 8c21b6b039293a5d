"""Keras Tuner proposes: its own oracles, over the declared space or a user's HyperModel.

Exact resume. Our store is the truth. An oracle starts empty in each process and is told the ended trials again, batch
by batch in the order of their numbers, before it proposes anew; each of its draws is then the one that it would have
made had nothing stopped it. Its directory, RUNS/keras_tuner/NAME, is made from the same ended trials, each file whole:
it reloads in a notebook, and can be deleted at any time.
"""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from plumbing.errors import UsageError
from results.records import FINISHED, Trial
from search.engines import Proposal, Request
from search.engines.tried import key_of, one_left
from spaces.declaration import Configuration
from spaces.keras_tuner_space import from_values, to_hyperparameters, to_values

if TYPE_CHECKING:
    from search.engines.keras_tuner_oracles import Values

SAMPLERS = ("bayesian", "random", "hyperband", "grid")
PRUNERS = ("none",)


def check(sampler: str, pruner: str) -> None:
    """Raises: UsageError where one is not offered, or they do not go together."""
    if sampler not in SAMPLERS:
        raise UsageError(f"--sampler {sampler} is not one of keras-tuner's; give one of {', '.join(SAMPLERS)}")
    if pruner not in PRUNERS:
        raise UsageError(f"--pruner {pruner}: Keras Tuner has no pruners; give --sampler hyperband, or --engine optuna")


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
        self.request, self.space = request, request.space
        self.project = Project(request.folder / "keras_tuner" / request.name)
        self.project.claim(request)
        self.steering = Steering(
            request.search_seed,
            self._normal,
            self._left,
            [self._values(each) for each in request.enqueued],
        )
        hyperparameters = self._hyperparameters()
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
            self._bring_up(told.hyperparameters, trial)
            self.oracle.end_trial(told)
        self._told[trial.number] = trial.state
        if not self._batch:
            self.project.snapshot(self.oracle)

    def save(self) -> None:
        """Write what was told into the directory; nothing before it was told of all that ended in earlier runs.

        Raises: StoreError where it cannot be written.
        """
        if len(self._told) >= self.request.ended:
            self.project.write()

    # Values and configurations

    def _proposal(self, number: int, trial: Any) -> Proposal:
        values = trial.hyperparameters.values
        configuration = self._configuration(values)
        if self.request.sampler != "hyperband":
            return Proposal(number, configuration)
        parent = int(values["tuner/trial_id"]) if "tuner/trial_id" in values else None
        epochs = int(values["tuner/epochs"])
        goes_on = parent is not None and self._told[parent] == FINISHED
        return Proposal(number, configuration, epochs, parent if goes_on else None, epochs < self.request.epochs)

    def _hyperparameters(self) -> Any:
        own = self.request.own_model
        return own.hyperparameters({}, own.space) if own else to_hyperparameters(self.space)

    def _configuration(self, values: "Values") -> dict[str, Any]:
        own = self.request.own_model
        if own is None:
            return from_values(self.space, values)
        plain = {name: value for name, value in values.items() if not name.startswith("tuner/")}
        return {"architecture": own.name, **plain}

    def _values(self, configuration: Configuration) -> "Values":
        if self.request.own_model is None:
            return to_values(self.space, configuration)
        # A trial may have brought up parameters while it was trained, which the oracle learns of at its end.
        known = {each.name for each in self.oracle.hyperparameters.space}
        return {name: value for name, value in configuration.items() if name in known}

    def _normal(self, values: "Values") -> "Values | None":
        configuration = self._configuration(values)
        return self._values(configuration) if self.request.allowed(configuration) else None

    def _bring_up(self, hyperparameters: Any, trial: Trial) -> None:
        """Add what training brought up, so that the oracle tunes it from now on."""
        own = self.request.own_model
        if own is not None and trial.found_parameters is not None:
            values = {name: value for name, value in trial.configuration.items() if name != "architecture"}
            found = own.hyperparameters(values, trial.found_parameters)
            hyperparameters.merge(found.space, overwrite=False)
            hyperparameters.values.update(found.values)

    def _left(self, number: int) -> "Values | None":
        if self.request.own_model is not None:  # Keras Tuner's own rule: it ends after many repeated draws
            return None
        tried = {key_of(self._configuration(trial.hyperparameters.values)) for trial in self.oracle.trials.values()}
        found = one_left(self.space, tried, self.request.allowed, self.request.search_seed, number)
        return None if found is None else self._values(found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of Keras Tuner's old calls, and of a Gaussian process whose fit met a bound."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(currentThread|getName)\(\) is deprecated", DeprecationWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
