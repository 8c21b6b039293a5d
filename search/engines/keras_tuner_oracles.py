"""Keras Tuner's oracles, steered: what a search adds to them so that a kill costs nothing and nothing is tried twice.

They propose as they do by themselves, apart from this:

- Enqueued configurations go first; configurations that are not allowed, or were tried, are drawn again.
- The seed is set after construction: their own constructors take 0 for "no seed".
- They write no file: `keras_tuner_project` writes all of them whole, from what has ended.
- While stored trials are told again, their configurations stand. The Bayesian oracle then takes them without fitting
  its Gaussian process, which takes seconds a trial, and moves its generator on by what the fit would have drawn.
- Hyperband takes a failed trial for the worst of its round: by itself it waits for another, which never comes, and so
  loses a promotion or a bracket's last round. Where the space is used up it promotes out of smaller rounds.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from plumbing.seeds import seed_of
from search.engines.keras_tuner_values import OWN, Values
from spaces.tensorflow_runtime import keras_tuner

RUNNING, FAILED, COMPLETED = "RUNNING", "FAILED", "COMPLETED"
# Random draws before the Gaussian process. Keras Tuner's default is three times the number of hyperparameters: in the
# default space all fifty trials of a search would be random.
INITIAL_POINTS = 10
REDRAWS = 100
FACTOR = 3


@dataclass
class Steering:
    """What an oracle is told beside results.

    Attributes:
        seed: of the search. number: of the trial that is being proposed.
        normal: values as the search keeps them, to the last bit; None where they are not allowed.
        left: values that were not tried, given the number; None where none are left.
        enqueued: values that go first. stored: values of the trial as it was begun before, None where it
            was not; by themselves they stand. fast: take stored values without asking the Gaussian process.
    """

    seed: int
    normal: Callable[[Values], Values | None]
    left: Callable[[int], Values | None]
    enqueued: Sequence[Values] = ()
    number: int = 0
    stored: Values | None = None
    fast: bool = False


class Steered:
    """What is added to every oracle; goes before the oracle's class among the bases."""

    steering: Steering

    def save(self) -> None:
        """Nothing: see the module's head."""

    def _save_trial(self, trial: Any) -> None:
        """Nothing: see the module's head."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        response: dict[str, Any] = super().populate_space(trial_id)  # type: ignore[misc]
        if response["status"] == RUNNING:
            response["values"] = self._standing(response["values"])
        return response

    def _standing(self, values: Values) -> Values:
        """The values as the search keeps them: the stored ones where the trial was begun before."""
        own = {name: value for name, value in values.items() if name.startswith(OWN)}
        plain = {name: value for name, value in values.items() if name not in own}
        stored = self.steering.stored
        return {**((self.steering.normal(plain) or plain) if stored is None else stored), **own}

    def _random_values(self) -> Values | None:
        if (enqueued := self._enqueued()) is not None:
            return dict(enqueued)
        for _ in range(REDRAWS):
            values: Values | None = super()._random_values()  # type: ignore[misc]
            if values is None:  # too many draws in a row were tried before
                break
            normal = self.steering.normal(values)
            if normal is not None and not self._duplicate(normal):  # type: ignore[attr-defined]
                return normal
        return self.steering.left(self.steering.number)

    def _enqueued(self) -> Values | None:
        """The next values that go first."""
        return next((each for each in self.steering.enqueued if not self._duplicate(each)), None)  # type: ignore[attr-defined]

    @contextmanager
    def _draws_apart(self) -> Iterator[None]:
        """Random draws inside leave the oracle's own sequence where it was."""
        own: Any = self
        before, own._seed_state = own._seed_state, seed_of("redraw", self.steering.seed, self.steering.number)
        try:
            yield
        finally:
            own._seed_state = before


class RandomOracle(Steered, keras_tuner().oracles.RandomSearchOracle):  # type: ignore[misc]
    """Random search."""


class GridOracle(Steered, keras_tuner().oracles.GridSearchOracle):  # type: ignore[misc]
    """Every combination, in Keras Tuner's order."""


class BayesianOracle(Steered, keras_tuner().oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    """A Gaussian process with an upper confidence bound."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if self._enqueued() is not None or not self._models():
            return self._random_populate_space()
        if self.steering.fast and self.steering.stored is not None:
            # What the fit would have drawn.
            bounds = self._get_hp_bounds()
            self._random_state.uniform(bounds[:, 0], bounds[:, 1], size=(50, len(bounds)))
            return {"status": RUNNING, "values": dict(self.steering.stored)}
        response = super().populate_space(trial_id)
        if self.steering.stored is None and self._repeats(response["values"]):
            with self._draws_apart():
                return dict(self._random_populate_space())
        return response

    def _models(self) -> bool:
        """Whether enough trials have ended for the Gaussian process."""
        return sum(trial.status == COMPLETED for trial in self.trials.values()) >= self.num_initial_points

    def _repeats(self, values: Values) -> bool:
        return self.steering.normal(values) is None or self._duplicate(values)


class HyperbandByRounds(Steered, keras_tuner().oracles.HyperbandOracle):  # type: ignore[misc]
    """Hyperband, whose rounds end though trials failed."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        failed = [trial for trial in self.trials.values() if trial.status == FAILED]
        for trial in failed:
            trial.status, trial.score = COMPLETED, -math.inf
        try:
            response = super().populate_space(trial_id)
            if response["status"] != RUNNING and (promoted := self._promoted_early(trial_id)) is not None:
                return {"status": RUNNING, "values": promoted}
            return response
        finally:
            for trial in failed:
                trial.status, trial.score = FAILED, None

    def _promoted_early(self, trial_id: str) -> Values | None:
        """Promotes out of a round that can never fill because the space is used up: a third of what it holds.

        By itself Keras Tuner ends there, having trained no configuration further than its first round.
        """
        for bracket in self._brackets:
            rounds = bracket["rounds"]
            for number, (done, following) in enumerate(pairwise(rounds), start=1):
                trials = [self.trials[each["id"]] for each in done]
                if len(following) >= math.ceil(len(done) / self.factor) or any(
                    trial.status != COMPLETED for trial in trials
                ):
                    continue
                selected = {each["past_id"] for each in following}
                best = max((each for each in trials if each.trial_id not in selected), key=lambda each: each.score)
                following.append({"past_id": best.trial_id, "id": trial_id})
                epochs = [self._get_epochs(bracket["bracket_num"], each) for each in (number - 1, number)]
                return {
                    **best.hyperparameters.values,
                    "tuner/trial_id": best.trial_id,
                    "tuner/initial_epoch": epochs[0],
                    "tuner/epochs": epochs[1],
                    "tuner/bracket": bracket["bracket_num"],
                    "tuner/round": number,
                }
        return None

    def waiting(self) -> set[str]:
        """Ids of the trials that may still be promoted."""
        found: set[str] = set()
        for bracket in self._brackets:
            rounds = bracket["rounds"]
            for number, (done, following) in enumerate(pairwise(rounds), start=1):
                if len(following) < self._get_size(bracket["bracket_num"], number):
                    found |= {each["id"] for each in done} - {each["past_id"] for each in following}
        return found


def make_oracle(sampler: str, hyperparameters: Any, objective: str, epochs: int, steering: Steering) -> Any:
    """An oracle of that name, seeded, that has proposed nothing yet.

    Args:
        hyperparameters: the space, as `keras_tuner.HyperParameters`. epochs: most of a trial.
    """
    aim = keras_tuner().Objective(objective, "max")
    seed = seed_of("sampler", steering.seed)
    common = {
        "objective": aim,
        "hyperparameters": hyperparameters,
        "seed": seed,
        "max_consecutive_failed_trials": 2**31,  # the search has its own rule
    }
    if sampler == "hyperband":
        oracle: Any = HyperbandByRounds(max_epochs=epochs, factor=FACTOR, hyperband_iterations=None, **common)
    elif sampler == "bayesian":
        oracle = BayesianOracle(max_trials=None, num_initial_points=INITIAL_POINTS, **common)
        oracle._random_state = np.random.RandomState(seed)
    elif sampler == "grid":
        oracle = GridOracle(max_trials=None, **common)
    else:
        oracle = RandomOracle(max_trials=None, **common)
    oracle.seed = oracle._seed_state = seed  # a seed of 0 was taken for none
    if sampler == "bayesian":
        oracle.gpr = oracle._make_gpr()
    oracle.verbose, oracle.steering = 0, steering
    return oracle
