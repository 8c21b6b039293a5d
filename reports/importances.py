"""Which parameters decide the objective: fANOVA and PED-ANOVA, side by side, of a search as an Optuna study.

fANOVA tells the share of the objective's variance, over the whole space, that a parameter explains alone; PED-ANOVA how
far the best trials' values of a parameter differ from all trials'. Each is normalised to 1 within a scope: all trials,
with the parameters that all of them have, and each architecture's own trials, with theirs. Parameters on a logarithmic
scale are taken by their logarithm, as they were drawn; Optuna's fANOVA would take them as they are.

Source: Hutter, Hoos and Leyton-Brown 2014, ICML (fANOVA); Watanabe, Bansal and Hutter 2023, arXiv:2304.10255
(PED-ANOVA); both as Optuna has them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from plumbing.seeds import seed_of

LEAST_TRIALS = 10
TOP_SHARE, LEAST_TOP = 0.1, 5  # PED-ANOVA's best trials: a tenth, five at least, as Optuna advises
ALL, ARCHITECTURE = "all trials", "architecture"
COLUMNS = ["scope", "parameter", "trials", "fanova", "ped_anova"]


@dataclass(frozen=True)
class Scope:
    """Finished trials that importances are told of, and the parameters that all of them have and that vary."""

    name: str
    trials: Sequence[FrozenTrial]
    parameters: Sequence[str]


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The study's finished trials."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def shared_parameters(trials: Sequence[FrozenTrial]) -> list[str]:
    """The parameters that all trials have, in declared order, without those that are fixed."""
    first = trials[0].distributions if trials else {}
    return [
        name
        for name, distribution in first.items()
        if not distribution.single() and all(name in trial.params for trial in trials)
    ]


def scopes(study: optuna.Study) -> list[Scope]:
    """All trials; then, where there are several, each architecture's."""
    trials = finished(study)
    found = [Scope(ALL, trials, shared_parameters(trials))]
    architectures = list(dict.fromkeys(str(trial.params.get(ARCHITECTURE)) for trial in trials))
    for name in architectures if len(architectures) > 1 else ():
        own = [trial for trial in trials if str(trial.params.get(ARCHITECTURE)) == name]
        found.append(Scope(name, own, [each for each in shared_parameters(own) if each != ARCHITECTURE]))
    return found


def refusal(scope: Scope) -> str | None:
    """Why nothing is told of the scope, None where something is."""
    number = len(scope.trials)
    if number < LEAST_TRIALS:
        return f"{scope.name}: {number} finished, {LEAST_TRIALS} are needed"
    if len({trial.value for trial in scope.trials}) == 1:
        return f"{scope.name}: all {number} finished have the same value, nothing decides it"
    if not scope.parameters:
        return f"{scope.name}: no parameter that all {number} finished have varies"
    return None


def importance_sentence(study: optuna.Study) -> str:
    """How many trials the importances of each scope rest on, or why there are none; one line."""
    found = scopes(study)
    refused = [refusal(scope) for scope in found]
    if all(refused):
        return f"No importances, {refused[0]}."
    told = [f"{scope.name}: {len(scope.trials)} finished, {len(scope.parameters)} parameters" for scope in found]
    return f"Importances rest on {'; '.join(why or line for why, line in zip(refused, told, strict=True))}."


def importance_table(study: optuna.Study) -> pd.DataFrame:
    """The importances of each scope that enough trials stand for, the most important first.

    Returns: scope, parameter (an architecture's own without its prefix), trials, fanova, ped_anova; NaN where a method
        could not tell: PED-ANOVA where its best trials are all, fANOVA where no tree splits.
    """
    rows = []
    for scope in scopes(study):
        if refusal(scope) is None:
            own = _scope_importances(scope)
            rows += [(scope.name, name.removeprefix(f"{scope.name}."), len(scope.trials), *own[name]) for name in own]
    return pd.DataFrame(rows, columns=COLUMNS)


def _scope_importances(scope: Scope) -> dict[str, tuple[float, float]]:
    """Parameter -> its importance by fANOVA and by PED-ANOVA, by their mean, greatest first."""
    study = optuna.create_study(direction="maximize")
    study.add_trials([_on_drawn_scale(trial, scope.parameters) for trial in scope.trials])
    by_fanova = _importances(study, scope, FanovaImportanceEvaluator(seed=seed_of("fanova")))
    share = max(TOP_SHARE, LEAST_TOP / len(scope.trials))
    by_ped_anova: dict[str, float] = {}
    if _top_is_not_all([trial.value or 0.0 for trial in scope.trials], share):
        by_ped_anova = _importances(study, scope, PedAnovaImportanceEvaluator(target_quantile=share))
    found = {name: (by_fanova.get(name, math.nan), by_ped_anova.get(name, math.nan)) for name in scope.parameters}

    def mean(name: str) -> float:
        known = [value for value in found[name] if not math.isnan(value)]
        return sum(known) / len(known) if known else 0.0

    return {name: found[name] for name in sorted(found, key=mean, reverse=True)}


def _importances(study: optuna.Study, scope: Scope, evaluator: BaseImportanceEvaluator) -> dict[str, float]:
    try:
        return get_param_importances(study, evaluator=evaluator, params=list(scope.parameters))
    except RuntimeError:  # fANOVA's, where no tree of its forest splits
        return {}


def _top_is_not_all(values: Sequence[float], share: float) -> bool:
    """Whether the best share, ties with its last included, leaves some out: else PED-ANOVA has nothing to compare."""
    cutoff = sorted(values, reverse=True)[math.ceil(share * len(values)) - 1]
    return cutoff > min(values)


def _on_drawn_scale(trial: FrozenTrial, names: Sequence[str]) -> FrozenTrial:
    """The trial with these parameters only, logarithmic ones by their logarithm."""
    scaled = {name: _scaled(trial.params[name], trial.distributions[name]) for name in names}
    return create_trial(
        value=trial.value,
        params={name: value for name, (value, _) in scaled.items()},
        distributions={name: distribution for name, (_, distribution) in scaled.items()},
    )


def _scaled(value: Any, distribution: BaseDistribution) -> tuple[Any, BaseDistribution]:
    if not isinstance(distribution, FloatDistribution | IntDistribution) or not distribution.log:
        return value, distribution
    low, high = math.log(distribution.low), math.log(distribution.high)
    return min(max(math.log(value), low), high), FloatDistribution(low, high)
