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

from plumbing.seeds import generator_of, seed_of

LEAST_TRIALS = 10
TOP_SHARE, LEAST_TOP = 0.1, 5  # PED-ANOVA's best trials: a tenth, five at least, as Optuna advises
TREES = 64  # of fANOVA's forest, as Optuna has it
SHUFFLES = 19
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
    told = [scope_table(scope) for scope in scopes(study) if refusal(scope) is None]
    return pd.concat(told, ignore_index=True) if told else pd.DataFrame(columns=COLUMNS)


def scope_table(scope: Scope, trees: int = TREES) -> pd.DataFrame:
    """The importances of one scope, of which nothing is refused; see `importance_table`.

    Args:
        trees: of fANOVA's forest; it takes that many times as long.
    """
    own = _scope_importances(scope, trees)
    rows = [(scope.name, name.removeprefix(f"{scope.name}."), len(scope.trials), *own[name]) for name in own]
    return pd.DataFrame(rows, columns=COLUMNS)


def _scope_importances(scope: Scope, trees: int) -> dict[str, tuple[float, float]]:
    """Parameter -> its importance by fANOVA and by PED-ANOVA, by their mean, greatest first."""
    study = _study_of(scope)
    by_fanova = _importances(study, scope.parameters, FanovaImportanceEvaluator(n_trees=trees, seed=seed_of("fanova")))
    by_ped_anova = _by_ped_anova(study, scope.parameters)
    found = {name: (by_fanova.get(name, math.nan), by_ped_anova.get(name, math.nan)) for name in scope.parameters}

    def mean(name: str) -> float:
        known = [value for value in found[name] if not math.isnan(value)]
        return sum(known) / len(known) if known else 0.0

    return {name: found[name] for name in sorted(found, key=mean, reverse=True)}


def by_chance(scope: Scope, shuffles: int = SHUFFLES) -> dict[str, float]:
    """Parameter -> the greatest PED-ANOVA importance that it has with the trials' values shuffled, NaN where none.

    A parameter that decides nothing has a greater one itself once in `shuffles` + 1 times: in twenty.

    Source: Altmann, Tolosi, Sander and Lengauer 2010, Bioinformatics 26(10):1340-1347 (importances with the outcome
        permuted); Barnard 1963, Journal of the Royal Statistical Society B 25(2):294 (so few permutations).
    """
    study, generator, found = _study_of(scope), generator_of("importances by chance"), dict[str, float]()
    trials = study.get_trials(deepcopy=False)  # the study's own, so that values can be set: a copy takes longest of all
    values = [trial.value or 0.0 for trial in trials]
    for _ in range(shuffles):
        for trial, value in zip(trials, generator.permutation(values).tolist(), strict=True):
            trial.value = value
        for name, importance in _by_ped_anova(study, scope.parameters).items():
            found[name] = max(found.get(name, 0.0), importance)
    return {name: found.get(name, math.nan) for name in scope.parameters}


def _study_of(scope: Scope) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    study.add_trials([_on_drawn_scale(trial, scope.parameters) for trial in scope.trials])
    return study


def _by_ped_anova(study: optuna.Study, parameters: Sequence[str]) -> dict[str, float]:
    values = [trial.value or 0.0 for trial in study.get_trials(deepcopy=False)]
    share = max(TOP_SHARE, LEAST_TOP / len(values))
    if not _top_is_not_all(values, share):
        return {}
    return _importances(study, parameters, PedAnovaImportanceEvaluator(target_quantile=share))


def _importances(
    study: optuna.Study, parameters: Sequence[str], evaluator: BaseImportanceEvaluator
) -> dict[str, float]:
    try:
        return get_param_importances(study, evaluator=evaluator, params=list(parameters))
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
