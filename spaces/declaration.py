"""What may vary, declared once as plain data; Optuna's suggestions and Keras Tuner's HyperParameters are made from it.

A parameter is active when its condition holds; a configuration holds exactly the active parameters, plus
`architecture`. `propose` walks a space in declared order and asks an engine for each active parameter, so an
engine is one function `(name, parameter) -> value`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from plumbing.errors import SpaceError

Value = str | int | float | bool
Configuration = Mapping[str, Value]


@dataclass(frozen=True)
class AtLeast:
    """The condition that another parameter, declared before, is at least `least`."""

    parameter: str
    least: int

    def holds(self, configuration: Configuration) -> bool:
        value = configuration.get(self.parameter)
        return isinstance(value, int | float) and value >= self.least


@dataclass(frozen=True)
class Real:
    """A real number in [low, high]; `log`: evenly spread over orders of magnitude."""

    name: str
    low: float
    high: float
    log: bool = False
    when: AtLeast | None = None

    def holds(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def told(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Whole:
    """A whole number low, low + step, ..., high; `log`: evenly spread over orders of magnitude (step 1)."""

    name: str
    low: int
    high: int
    step: int = 1
    log: bool = False
    when: AtLeast | None = None

    def holds(self, value: object) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def told(self) -> str:
        steps = f" in steps of {self.step}" if self.step > 1 else ""
        return f"a whole number from {self.low} to {self.high}{steps}"


@dataclass(frozen=True)
class Choice:
    """One of a few values; `ordered`: they lie on a scale, as the depth of a cut does."""

    name: str
    choices: tuple[Value, ...]
    ordered: bool = False
    when: AtLeast | None = None

    def holds(self, value: object) -> bool:
        return any(type(value) is type(choice) and value == choice for choice in self.choices)

    def told(self) -> str:
        return "one of " + ", ".join(repr(choice) for choice in self.choices)


Parameter = Real | Whole | Choice
KINDS: Mapping[str, type[Real] | type[Whole] | type[Choice]] = {"real": Real, "whole": Whole, "choice": Choice}
Ask = Callable[[str, Parameter], Value]


def kind_of(parameter: Parameter) -> str:
    """The parameter's kind as plain data: `real`, `whole` or `choice`."""
    return type(parameter).__name__.lower()


@dataclass(frozen=True)
class Space:
    """The parameters of each architecture of a search, in declared order.

    An engine sees a parameter under its plain name where all architectures declare it alike, else under
    `architecture.name`: engines refuse one name with two ranges.
    """

    parameters: Mapping[str, tuple[Parameter, ...]]

    @property
    def architectures(self) -> tuple[str, ...]:
        return tuple(self.parameters)

    @property
    def architecture_choice(self) -> Choice:
        return Choice("architecture", self.architectures)

    def engine_name(self, architecture: str, parameter: Parameter) -> str:
        """The name under which an engine knows the parameter."""
        alike = all(parameter in declared for declared in self.parameters.values())
        return parameter.name if alike else f"{architecture}.{parameter.name}"

    def parameter(self, architecture: str, name: str) -> Parameter:
        """The parameter of that name.

        Raises: SpaceError naming the known ones where there is none.
        """
        for parameter in self.parameters[architecture]:
            if parameter.name == name:
                return parameter
        known = ", ".join(parameter.name for parameter in self.parameters[architecture])
        raise SpaceError(f"{architecture} has no parameter {name!r}; give one of {known}")

    def to_json(self) -> dict[str, Any]:
        """The declaration as plain data, for the store."""
        return {
            architecture: [{"kind": kind_of(parameter)} | asdict(parameter) for parameter in declared]
            for architecture, declared in self.parameters.items()
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Space":
        """The space that `to_json` told, also after JSON has made lists of tuples.

        Raises: SpaceError where it is no declaration of a space.
        """
        try:
            return cls({str(name): tuple(_parameter_of(entry) for entry in plain[name]) for name in plain})
        except (KeyError, TypeError, ValueError) as error:
            raise SpaceError(f"no declaration of a space: {error!r}; give what Space.to_json made") from None


def _parameter_of(plain: Mapping[str, Any]) -> Parameter:
    given = dict(plain)
    kind = KINDS[given.pop("kind")]
    if given["when"] is not None:
        given["when"] = AtLeast(**given["when"])
    if "choices" in given:
        given["choices"] = tuple(given["choices"])
    return kind(**given)


def propose(space: Space, ask: Ask) -> dict[str, Value]:
    """A configuration: the architecture first, then each active parameter in declared order.

    >>> space = Space({"small": (Whole("blocks", 2, 3), Whole("filters_3", 16, 32, when=AtLeast("blocks", 3)))})
    >>> propose(space, lambda name, parameter: parameter.choices[0] if name == "architecture" else parameter.low)
    {'architecture': 'small', 'blocks': 2}
    """
    architecture = str(ask("architecture", space.architecture_choice))
    configuration: dict[str, Value] = {"architecture": architecture}
    for parameter in space.parameters[architecture]:
        if parameter.when is None or parameter.when.holds(configuration):
            configuration[parameter.name] = ask(space.engine_name(architecture, parameter), parameter)
    return configuration


def draw(space: Space, generator: np.random.Generator) -> dict[str, Value]:
    """A random configuration, each parameter evenly; whole numbers on a logarithmic scale too."""

    def ask(name: str, parameter: Parameter) -> Value:
        if isinstance(parameter, Real):
            return float(generator.uniform(parameter.low, parameter.high))
        values = _values(parameter)
        return values[int(generator.integers(len(values)))]

    return propose(space, ask)


def check_configuration(space: Space, configuration: Configuration) -> None:
    """Check that the configuration lies inside the space.

    Raises: SpaceError naming the first parameter that is missing, unknown or out of range.
    """
    architecture = configuration.get("architecture")
    if not isinstance(architecture, str) or architecture not in space.parameters:
        raise SpaceError(
            f"architecture {architecture!r} is not in the space; give one of {', '.join(space.parameters)}"
        )
    active = {"architecture"}
    for parameter in space.parameters[str(architecture)]:
        if parameter.when is not None and not parameter.when.holds(configuration):
            continue
        active.add(parameter.name)
        if parameter.name not in configuration:
            raise SpaceError(f"{architecture}: {parameter.name} is missing; give {parameter.told()}")
        if not parameter.holds(configuration[parameter.name]):
            value = configuration[parameter.name]
            raise SpaceError(
                f"{architecture}: {parameter.name} = {value!r} is outside the space; give {parameter.told()}"
            )
    if unknown := set(configuration) - active:
        raise SpaceError(f"{architecture}: no such parameter here: {', '.join(sorted(unknown))}")


def configurations(space: Space) -> Iterator[dict[str, Value]] | None:
    """All configurations of a finite space in declared order, or None where a real parameter makes it infinite."""
    for declared in space.parameters.values():
        if any(isinstance(parameter, Real) and parameter.low < parameter.high for parameter in declared):
            return None
    return _enumerate(space)


def _values(parameter: Parameter) -> tuple[Value, ...]:
    if isinstance(parameter, Choice):
        return parameter.choices
    if isinstance(parameter, Whole):
        return tuple(range(parameter.low, parameter.high + 1, parameter.step))
    return (parameter.low,)


def _enumerate(space: Space) -> Iterator[dict[str, Value]]:
    def extend(configuration: dict[str, Value], rest: tuple[Parameter, ...]) -> Iterator[dict[str, Value]]:
        if not rest:
            yield configuration
            return
        head, tail = rest[0], rest[1:]
        if head.when is not None and not head.when.holds(configuration):
            yield from extend(configuration, tail)
            return
        for value in _values(head):
            yield from extend(configuration | {head.name: value}, tail)

    for architecture, declared in space.parameters.items():
        yield from extend({"architecture": architecture}, declared)
