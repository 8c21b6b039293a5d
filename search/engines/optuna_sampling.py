"""Optuna's samplers, one made for each trial, and our parameters as Optuna's distributions.

Samplers see an ordered choice (a cut's depth, a batch size) as a whole number, its place in the order, so that they
know which values are near; the study in the store shows the value itself.
"""

import importlib.util
import warnings
from typing import Any, TypeGuard

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.trial import FrozenTrial

from plumbing.errors import UsageError
from plumbing.seeds import seed_of
from spaces.declaration import Ask, Choice, Parameter, Real, Value
from spaces.optuna_space import distribution_of

SAMPLERS = ("tpe", "random", "qmc", "nsga2", "gp")


class QMCByNumber(optuna.samplers.QMCSampler):
    """Quasi-Monte Carlo whose point is indexed by the trial's number; Optuna's own counts calls in the storage."""

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        self._number = trial.number
        return super().sample_relative(study, trial, search_space)

    def _find_sample_id(self, study: Any, search_space: Any = None) -> int:
        return self._number


def make_sampler(name: str, search_seed: int, number: int, attempt: int = 0) -> optuna.samplers.BaseSampler:
    """A sampler for one trial; `attempt` counts redraws of a repeated configuration."""
    seed = seed_of("sampler", search_seed, number, attempt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
        if name == "qmc":
            # One seed for the search: the points of one sequence are told apart by their index.
            return QMCByNumber(seed=seed_of("sampler", search_seed), scramble=True)
        if name == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed)
        if name == "gp":
            return optuna.samplers.GPSampler(seed=seed)
        return optuna.samplers.RandomSampler(seed=seed)


def check_sampler(name: str) -> None:
    """Raises: UsageError where the sampler is not offered, or needs a package that is absent."""
    if name not in SAMPLERS:
        raise UsageError(f"--sampler {name} is not one of optuna's here; give one of {', '.join(SAMPLERS)}")
    if name == "gp" and importlib.util.find_spec("torch") is None:
        raise UsageError("--sampler gp needs torch, which is not installed; pip install torch, or give --sampler tpe")


def as_sampled(parameter: Parameter, value: Value) -> tuple[Value, BaseDistribution]:
    """The value and its distribution as samplers see them."""
    if _is_scale(parameter):
        return parameter.choices.index(value), IntDistribution(0, len(parameter.choices) - 1)
    return value, distribution_of(parameter)


def as_chosen(parameter: Parameter, sampled: Value) -> Value:
    """The value behind what samplers see."""
    return parameter.choices[int(sampled)] if _is_scale(parameter) else sampled


def suggester(trial: optuna.Trial) -> Ask:
    """What `spaces.declaration.propose` asks, answered by an Optuna trial."""

    def ask(name: str, parameter: Parameter) -> Value:
        if _is_scale(parameter):
            return parameter.choices[trial.suggest_int(name, 0, len(parameter.choices) - 1)]
        if isinstance(parameter, Real):
            return trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
        if isinstance(parameter, Choice):
            chosen = trial.suggest_categorical(name, parameter.choices)
            assert chosen is not None  # no parameter offers None
            return chosen
        return trial.suggest_int(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)

    return ask


def _is_scale(parameter: Parameter) -> TypeGuard[Choice]:
    return isinstance(parameter, Choice) and parameter.ordered and len(parameter.choices) > 1
