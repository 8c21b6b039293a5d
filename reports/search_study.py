"""A stored search as an Optuna study in memory, whichever engine proposed it: for Optuna's importances and plots."""

from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from plumbing.errors import SpaceError, StoreError
from results.records import FAILED, FINISHED, PRUNED, RUNNING, SEARCH, Search, Trial
from results.store import Store
from spaces.declaration import Configuration, Parameter, Space, Value, check_configuration, propose
from spaces.optuna_space import distribution_of

STATES = {FINISHED: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL}
LOG_FACTOR = 100  # a range seen to span more is taken to be logarithmic

Parameters = dict[str, tuple[Value, BaseDistribution]]


def study_of(store: Store, search: Search) -> optuna.Study:
    """The search's ended trials, in the order of their numbers.

    A trial's number in the store is its user attribute `number`; its intermediate values are the objective by epochs
    trained. A finished trial without a value has failed, as it has for Optuna. One that another went on from is left
    out: the other is the same training, further on.

    Raises: StoreError where it is an import, or confirms a search.
    """
    if search.kind != SEARCH:
        raise StoreError(f"{search.name} is of kind {search.kind}, which was not searched for; give a search")
    every = store.trials(search.id)
    continued = {trial.continues for trial in every if trial.state == FINISHED}
    trials = [trial for trial in every if trial.state != RUNNING and trial.number not in continued]
    histories = store.histories([trial.id for trial in trials])
    parameters = parameters_of(search, trials)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name=search.name, direction="maximize")
    for trial, named in zip(trials, parameters, strict=True):
        objective = histories.get(trial.id, {}).get(search.objective or "", ())
        study.add_trial(_frozen(trial, named, objective))
    return study


def _frozen(trial: Trial, named: Parameters, objective: Sequence[float | None]) -> FrozenTrial:
    state = STATES[trial.state]
    if state == TrialState.COMPLETE and trial.value is None:
        state = TrialState.FAIL
    return create_trial(
        state=state,
        value=None if state == TrialState.FAIL else trial.value,
        params={name: value for name, (value, _) in named.items()},
        distributions={name: distribution for name, (_, distribution) in named.items()},
        intermediate_values={epoch: value for epoch, value in enumerate(objective, start=1) if value is not None},
        user_attrs={"number": trial.number},
    )


def parameters_of(search: Search, trials: Sequence[Trial]) -> list[Parameters]:
    """Each trial's active parameters under the names that engines know, with their distributions.

    Where the search's space is none of our declarations, as with a user's own Keras model, the distributions are what
    the trials show.
    """
    configurations = [trial.configuration for trial in trials]
    try:
        space = Space.from_json(search.settings.get("space") or {})
        for configuration in configurations:
            check_configuration(space, configuration)
    except SpaceError:
        return _as_seen(configurations)
    return [_as_declared(space, configuration) for configuration in configurations]


def _as_declared(space: Space, configuration: Configuration) -> Parameters:
    found: Parameters = {}

    def ask(name: str, parameter: Parameter) -> Value:
        value = configuration[parameter.name]
        found[name] = value, distribution_of(parameter)
        return value

    propose(space, ask)
    return found


def _as_seen(configurations: Sequence[Configuration]) -> list[Parameters]:
    values: dict[str, list[Value]] = {}
    for configuration in configurations:
        for name, value in configuration.items():
            values.setdefault(name, []).append(value)
    distributions: Mapping[str, BaseDistribution] = {name: seen_distribution(seen) for name, seen in values.items()}
    return [{name: (value, distributions[name]) for name, value in each.items()} for each in configurations]


def seen_distribution(values: Sequence[Value]) -> BaseDistribution:
    """The narrowest distribution that holds the values.

    >>> seen_distribution([3, 5]), seen_distribution(["a", "b", "a"])
    (IntDistribution(high=5, log=False, low=3, step=1), CategoricalDistribution(choices=('a', 'b')))
    >>> seen_distribution([1e-4, 0.1])
    FloatDistribution(high=0.1, log=True, low=0.0001, step=None)
    """
    kinds = {type(value) for value in values}
    if not kinds <= {int, float}:
        return CategoricalDistribution(tuple(dict.fromkeys(values)))
    numbers = [value for value in values if isinstance(value, int | float)]
    low, high = min(numbers), max(numbers)
    log = low > 0 and high > LOG_FACTOR * low
    return IntDistribution(int(low), int(high), log=log) if kinds == {int} else FloatDistribution(low, high, log=log)
