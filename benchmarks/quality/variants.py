"""What is tried in place of our defaults, without a change of the engines."""

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from plumbing.seeds import seed_of
from search.engines import Engine, Request
from search.engines.optuna_engine import OptunaEngine
from spaces.declaration import Choice, Parameter, Real, Space, Value, propose

ARCHITECTURE = "architecture"


class VariedTPE(OptunaEngine):
    """Our Optuna engine with other settings of TPE.

    Attributes:
        settings: of `TPESampler`; None where they are the engine's own.
        sobol: so many first trials are points of a scrambled Sobol sequence in place of random ones.
    """

    def __init__(self, request: Request, settings: Mapping[str, Any] | None = None, sobol: int = 0) -> None:
        super().__init__(request)
        self.settings, self.sobol, self._attempt = settings, sobol, 0

    def _draw(self, seen: list[FrozenTrial]) -> FrozenTrial | None:
        self._attempt = 0
        return super()._draw(seen)

    def _ask(self, trials: list[FrozenTrial], sampler: optuna.samplers.BaseSampler) -> FrozenTrial:
        attempt, self._attempt = self._attempt, self._attempt + 1
        number = len(trials)
        if attempt == 0 and number < self.sobol:
            return self._frozen(point(self.space, self._points[number]))
        if self.settings is not None and isinstance(sampler, optuna.samplers.TPESampler):
            seed = seed_of("sampler", self.request.search_seed, number, attempt)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler = optuna.samplers.TPESampler(seed=seed, **self.settings)
        return super()._ask(trials, sampler)

    @cached_property
    def _points(self) -> NDArray[np.float64]:
        """(2^n, names) in [0, 1)."""
        seed = seed_of("sobol", self.request.search_seed)
        sequence = qmc.Sobol(len(names_of(self.space)), scramble=True, rng=seed)
        return np.asarray(sequence.random_base2(max(0, self.sobol - 1).bit_length()))


def names_of(space: Space) -> list[str]:
    """The names under which an engine knows the space's parameters, in declared order."""
    found = [ARCHITECTURE]
    for architecture, declared in space.parameters.items():
        found += [space.engine_name(architecture, parameter) for parameter in declared]
    return list(dict.fromkeys(found))


def point(space: Space, shares: Sequence[float] | NDArray[np.float64]) -> dict[str, Value]:
    """The configuration at a point of the unit cube, a coordinate a name; those of inactive parameters are unused."""
    of_name = dict(zip(names_of(space), shares, strict=True))
    return propose(space, lambda name, parameter: _at(parameter, float(of_name[name])))


def _at(parameter: Parameter, share: float) -> Value:
    """The value below which lies that share, in [0, 1), of the parameter's range."""
    if isinstance(parameter, Choice):
        return parameter.choices[int(share * len(parameter.choices))]
    if isinstance(parameter, Real):
        if parameter.log:
            return float(parameter.low * (parameter.high / parameter.low) ** share)
        return float(parameter.low + share * (parameter.high - parameter.low))
    if parameter.log:
        below, above = parameter.low - 0.5, parameter.high + 0.5
        ratio: float = (above / below) ** share
        return round(below * ratio)
    steps = (parameter.high - parameter.low) // parameter.step + 1
    return parameter.low + parameter.step * int(share * steps)


def lean_bayesian(request: Request) -> Engine:
    """Our Keras Tuner engine with its Bayesian oracle, by `LeanRegressor`: to the same last bit and in less time."""
    from benchmarks.quality.lean_regressor import lean
    from search.engines.keras_tuner_engine import KerasTunerEngine

    engine = KerasTunerEngine(request)
    engine.oracle.gpr = lean(engine.oracle.gpr)
    return engine
