"""Narrowing a space by a TOML file, or by what a machine can afford.

Tables are `[all]` or `[<architecture>]`; a line is `name = value` (fixed), `name = [choices]` or
`name = { low = ..., high = ..., log = ... }`. An architecture's own table goes before `[all]`. Everything given must
lie inside the declaration.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from plumbing.errors import SpaceError
from spaces.architecture import Architecture
from spaces.declaration import Choice, Parameter, Real, Space, Value, Whole

LARGEST = 2**53  # beyond it whole numbers are not exact as real ones, and TOML's have no bound


def full_parameters(architecture: Architecture) -> tuple[Parameter, ...]:
    """What the architecture may vary at most: its parameters and every cut, as the parameter `frozen`."""
    return (Choice("frozen", tuple(cut.name for cut in architecture.cuts), ordered=True), *architecture.parameters)


def make_space(
    architectures: Sequence[Architecture], narrowing: Mapping[str, Mapping[str, Any]], cheap_cuts: bool
) -> Space:
    """The space of a search: the declarations, narrowed.

    Args:
        narrowing: table name -> parameter name -> what the TOML file says.
        cheap_cuts: offer only each architecture's cheap cuts, unless the narrowing names cuts.
    Raises: SpaceError naming table and parameter where they are unknown or outside the declaration.
    """
    for table in narrowing:
        if table != "all" and table not in {architecture.name for architecture in architectures}:
            known = ", ".join(architecture.name for architecture in architectures)
            raise SpaceError(
                f"--space: table [{table}] is no architecture of this search; give [all] or one of {known}"
            )
    _check_names(architectures, narrowing)
    return Space({architecture.name: _narrowed(architecture, narrowing, cheap_cuts) for architecture in architectures})


def read_narrowing(path: Path) -> dict[str, dict[str, Any]]:
    """The tables of a narrowing file.

    Raises: SpaceError where it cannot be read, is no TOML, or has lines outside a table.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpaceError(f"--space {path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"--space {path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"--space {path}: not TOML: {error}") from None
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise SpaceError(f"--space {path}: {name} stands outside a table; put it under [all] or [<architecture>]")
    return tables


def _check_names(architectures: Sequence[Architecture], narrowing: Mapping[str, Mapping[str, Any]]) -> None:
    names = {architecture.name: {p.name for p in full_parameters(architecture)} for architecture in architectures}
    for table, lines in narrowing.items():
        known = set().union(*names.values()) if table == "all" else names[table]
        for name in lines:
            if name not in known:
                raise SpaceError(f"--space: [{table}] {name} is no parameter; give one of {', '.join(sorted(known))}")


def _narrowed(
    architecture: Architecture, narrowing: Mapping[str, Mapping[str, Any]], cheap_cuts: bool
) -> tuple[Parameter, ...]:
    lines = {**narrowing.get("all", {}), **narrowing.get(architecture.name, {})}
    # Random filters, frozen, learn nothing: offered only where they are asked for.
    if (cheap_cuts or not architecture.has_imagenet) and "frozen" not in lines:
        lines["frozen"] = list(architecture.cheap_cuts)
    return tuple(
        narrow(architecture.name, parameter, lines[parameter.name]) if parameter.name in lines else parameter
        for parameter in full_parameters(architecture)
    )


def narrow(architecture: str, parameter: Parameter, given: Any) -> Parameter:
    """The parameter narrowed to a value, a list of choices or a range.

    Raises: SpaceError where what is given is not inside the declaration.

    >>> narrow("densenet121", Real("lr", 1e-5, 1e-2, log=True), {"low": 1e-4, "high": 1e-3})
    Real(name='lr', low=0.0001, high=0.001, log=True, when=None)
    """
    if isinstance(given, dict):
        return _narrow_range(architecture, parameter, given)
    choices = given if isinstance(given, list) else [given]
    if not choices:
        raise SpaceError(f"--space: {architecture}: {parameter.name} = [] leaves nothing; give {parameter.told()}")
    choices = [_as_declared(parameter, value) for value in choices]
    for value in choices:
        if not parameter.holds(value):
            raise _outside(architecture, parameter, value)
    return Choice(parameter.name, tuple(dict.fromkeys(choices)), _ordered(parameter), parameter.when)


def _narrow_range(architecture: str, parameter: Parameter, given: Mapping[str, Any]) -> Parameter:
    if isinstance(parameter, Choice):
        raise SpaceError(f"--space: {architecture}: {parameter.name} has no range; give {parameter.told()}")
    if unknown := set(given) - {"low", "high", "log"}:
        raise SpaceError(
            f"--space: {architecture}: {parameter.name}: {', '.join(sorted(unknown))}: give low, high, log"
        )
    low, high = given.get("low", parameter.low), given.get("high", parameter.high)
    for bound in (low, high):
        if not parameter.holds(_as_declared(parameter, bound)):
            raise _outside(architecture, parameter, bound)
    if low > high:
        raise SpaceError(f"--space: {architecture}: {parameter.name}: low {low} is above high {high}; swap them")
    log = given.get("log", parameter.log)
    if not isinstance(log, bool):
        raise SpaceError(f"--space: {architecture}: {parameter.name}: log = {log!r}; give true or false")
    if log and (low <= 0 or (isinstance(parameter, Whole) and parameter.step != 1)):
        raise SpaceError(
            f"--space: {architecture}: {parameter.name} cannot be log: it reaches 0 or has steps; leave log out"
        )
    if isinstance(parameter, Whole):
        return replace(parameter, low=int(low), high=int(high), log=log)
    return replace(parameter, low=float(low), high=float(high), log=log)


def _as_declared(parameter: Parameter, value: Any) -> Value:
    """TOML's `1` is a whole number; where a real one is declared it means 1.0."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > LARGEST:
        return value
    if isinstance(parameter, Real):
        return float(value)
    if isinstance(parameter, Choice):
        return next((choice for choice in parameter.choices if type(choice) is float and choice == value), value)
    return value


def _ordered(parameter: Parameter) -> bool:
    return parameter.ordered if isinstance(parameter, Choice) else True


def _outside(architecture: str, parameter: Parameter, value: object) -> SpaceError:
    return SpaceError(
        f"--space: {architecture}: {parameter.name} = {value!r} is outside the space; give {parameter.told()}"
    )
