"""Our parameters as Optuna's distributions."""

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from spaces.declaration import Choice, Parameter, Real


def distribution_of(parameter: Parameter) -> BaseDistribution:
    """The parameter as a study shows it."""
    if isinstance(parameter, Real):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.choices)
    return IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
