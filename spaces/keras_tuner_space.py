"""A space as Keras Tuner's HyperParameters, and its values back to a configuration.

The architecture comes first; what is an architecture's own, or conditional, stands in Keras Tuner's conditional scopes,
so that its oracles draw and compare active parameters only. Names are those of `Space.engine_name`.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from plumbing.errors import SpaceError
from spaces.declaration import AtLeast, Choice, Configuration, Parameter, Real, Space, Value, Whole, propose

ARCHITECTURE = "architecture"


def to_hyperparameters(space: Space) -> Any:
    """The space as `keras_tuner.HyperParameters`, nothing drawn yet.

    Raises: SpaceError where a condition hangs on a real number, whose values cannot be listed.
    """
    from spaces.tensorflow_runtime import keras_tuner

    found = keras_tuner().HyperParameters()
    found.Choice(ARCHITECTURE, list(space.architectures))
    for architecture, declared in space.parameters.items():
        for parameter in declared:
            scopes = _scopes(space, architecture, parameter)
            if all(values for _, values in scopes):  # narrowed so that it never holds: the parameter is gone
                with ExitStack() as stack:
                    for parent, values in scopes:
                        stack.enter_context(found.conditional_scope(parent, values))
                    _register(found, space.engine_name(architecture, parameter), parameter)
    return found


def from_values(space: Space, values: Mapping[str, Any]) -> dict[str, Value]:
    """The configuration that Keras Tuner's values mean; values of inactive parameters are passed over.

    Raises: SpaceError naming the first active parameter that has no value.
    """

    def ask(name: str, parameter: Parameter) -> Value:
        if values.get(name) is None:
            raise SpaceError(f"Keras Tuner gave no {name}; give {parameter.told()}")
        if isinstance(parameter, Real):
            # A logarithmic draw at either end can miss it by a last bit.
            return min(max(float(values[name]), parameter.low), parameter.high)
        return values[name]

    return propose(space, ask)


def to_values(space: Space, configuration: Configuration) -> dict[str, Value]:
    """Keras Tuner's values of a configuration, the inverse of `from_values`."""
    values: dict[str, Value] = {}

    def ask(name: str, parameter: Parameter) -> Value:
        values[name] = configuration[parameter.name]
        return values[name]

    propose(space, ask)
    return values


def _scopes(space: Space, architecture: str, parameter: Parameter) -> list[tuple[str, list[Value]]]:
    """Parent's name and its values for which the parameter is active, outermost first."""
    if parameter.when is not None:
        # Keras Tuner nests a scope only under the very scopes of its parent, so the architecture is not asked again.
        parent = space.parameter(architecture, parameter.when.parameter)
        own = (space.engine_name(architecture, parent), _active(parent, parameter.when))
        return [*_scopes(space, architecture, parent), own]
    if space.engine_name(architecture, parameter) != parameter.name:
        return [(ARCHITECTURE, [architecture])]
    return []


def _active(parent: Parameter, when: AtLeast) -> list[Value]:
    """The parent's values for which the condition holds."""
    if isinstance(parent, Real):
        raise SpaceError(f"{parent.name} is real: Keras Tuner's conditions hang on listed values; declare it whole")
    values = parent.choices if isinstance(parent, Choice) else range(parent.low, parent.high + 1, parent.step)
    return [value for value in values if when.holds({parent.name: value})]


def _register(found: Any, name: str, parameter: Parameter) -> None:
    if isinstance(parameter, Choice):
        found.Choice(name, list(parameter.choices), ordered=_ordered(parameter))
    elif isinstance(parameter, Whole):
        step = None if parameter.log else parameter.step
        found.Int(name, parameter.low, parameter.high, step=step, sampling=_sampling(parameter))
    else:
        found.Float(name, parameter.low, parameter.high, sampling=_sampling(parameter))


def _ordered(choice: Choice) -> bool:
    """Keras Tuner takes an order of numbers only."""
    return choice.ordered and not any(isinstance(value, str | bool) for value in choice.choices)


def _sampling(parameter: Real | Whole) -> str:
    return "log" if parameter.log else "linear"
