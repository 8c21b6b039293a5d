"""What a campaign's TOML file asks for: `docs/campaign.md` describes it.

Any option of `search.run` may be given, by its name without the dashes; a list makes a search of each of its elements.
Here the file's own shape is checked; `search.campaigns.checked` puts each search through the rules of `search.run`.
"""

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plumbing.errors import UsageError
from search.campaigns.shares import share_trials

TOP = ("name", "store", "runs", "report", "budget", "defaults", "search")
BUDGET = ("trials", "hours", "gpu-hours")
OURS = {
    "name": "a search's name is made from its part, architecture and engine; tell two apart by `label`",
    "store": "one store holds the campaign; put it at the top of the file",
    "runs": "one folder serves the campaign; put it at the top of the file",
    "timeout": "give `hours` in [budget]",
    "explain": "python -m search.campaign FILE --explain does it",
    "help": "see docs/campaign.md",
}
DEFAULT_ENGINE, DEFAULT_RUNS = "optuna", "runs"

Value = str | int | float | bool | list[str]  # of an option; a list repeats it


@dataclass(frozen=True)
class Budget:
    """What all searches together may take; None: as much as they ask for.

    Attributes:
        hours: that searches run, by the clock. gpu_hours: the same times each search's workers, one GPU a worker.
    """

    trials: int | None = None
    hours: float | None = None
    gpu_hours: float | None = None


@dataclass(frozen=True)
class Item:
    """One search of a campaign.

    Attributes:
        place: where the file asks for it. asked: trials that it asks for. trials: that the budget leaves it.
        priority: higher ones go first.
        options: of `search.run`, by name; those that the campaign gives are left out.
    """

    name: str
    place: str
    asked: int
    trials: int
    priority: float
    options: Mapping[str, Value]


@dataclass(frozen=True)
class Campaign:
    """The file, with what the command line gave in its place.

    Attributes:
        items: in the order in which they run. report: folder of the report, None where none is asked for.
    """

    path: Path
    name: str
    store: str | None
    runs: Path
    report: Path | None
    budget: Budget
    items: tuple[Item, ...]


def read_campaign(path: Path, given: Mapping[str, Any] | None = None) -> Campaign:
    """The campaign of a file.

    Args:
        given: `store`, `runs`, `report`, and options of all searches (`data`, `workers`) that go before the file's own.
    Raises: UsageError naming file, place, key and the mend.
    """
    over = {name: value for name, value in (given or {}).items() if value is not None}
    tables = _parsed(path)
    try:
        _check_keys("the file's top", tables, TOP)
        top = {key: _text(f"the file's top: {key}", tables[key]) for key in TOP[:4] if key in tables} | over
        budget = _budget(_table("budget", tables))
        of_all = {key: value for key, value in over.items() if key not in TOP}
        items = _shared(_items(_searches(tables), _table("defaults", tables), of_all), budget.trials)
    except _Wrong as wrong:
        raise UsageError(f"{path}: {wrong}") from None
    name = str(top.get("name", path.stem))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(f"{path}: name = {name!r}: give letters, digits, dot, dash and underscore, at most 100")
    return Campaign(
        path=path,
        name=name,
        store=top.get("store"),
        runs=Path(top.get("runs", DEFAULT_RUNS)),
        report=Path(top["report"]) if "report" in top else None,
        budget=budget,
        items=items,
    )


class _Wrong(Exception):
    """What is wrong in a file, and the mend."""


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; docs/campaign.toml is one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}") from None


def _budget(table: Mapping[str, Any]) -> Budget:
    _check_keys("[budget]", table, BUDGET)
    trials = _whole("[budget]: trials", table["trials"]) if "trials" in table else None
    hours = {key: _positive(f"[budget]: {key}", table[key]) for key in BUDGET[1:] if key in table}
    return Budget(trials, hours.get("hours"), hours.get("gpu-hours"))


def _searches(tables: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    searches = tables.get("search", [])
    if not isinstance(searches, list) or not all(isinstance(each, dict) for each in searches):
        raise _Wrong("search must be tables, each headed [[search]] with two brackets")
    if not searches:
        raise _Wrong("it asks for no search; add a table [[search]]")
    return searches


def _items(searches: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any], over: Mapping[str, Any]) -> list[Item]:
    """All searches, in the file's order.

    Raises: _Wrong.
    """
    _check_options("[defaults]", defaults)
    if "label" in defaults:
        raise _Wrong("[defaults]: label tells searches apart; give it in a [[search]]")
    found: dict[str, Item] = {}
    for number, own in enumerate(searches, start=1):
        place = f"[[search]] {number}"
        _check_options(place, own)
        for item in _product(place, {**defaults, **own, **over}):
            if item.name in found:
                first = found[item.name].place
                where = f"twice in {place}" if first == place else f"in {first} and in {place}"
                raise _Wrong(f"{item.name} is asked for {where}; leave one out, or give one [[search]] a label")
            found[item.name] = item
    return list(found.values())


def _shared(items: Sequence[Item], budget: int | None) -> tuple[Item, ...]:
    """In the order in which they run, with as many trials each as the budget leaves them.

    Raises: _Wrong.
    """
    if budget is not None and budget < len(items):
        raise _Wrong(
            f"[budget]: trials = {budget} leaves some of the {len(items)} searches without any; "
            f"give {len(items)} or more, or fewer searches"
        )
    ordered = sorted(items, key=lambda item: -item.priority)
    trials = share_trials([item.asked for item in ordered], [item.priority for item in ordered], budget)
    return tuple(replace(item, trials=count) for item, count in zip(ordered, trials, strict=True))


def _product(place: str, options: dict[str, Any]) -> Iterator[Item]:
    """A search for each combination of what lists hold.

    Raises: _Wrong.
    """
    priority, label = options.pop("priority", 0), options.pop("label", None)
    if isinstance(priority, bool) or not isinstance(priority, int | float) or priority != priority:
        raise _Wrong(f"{place}: priority = {priority!r} is no number; higher ones go first")
    if label is not None:
        _text(f"{place}: label", label)
    for key in ("part", "trials"):
        if key not in options:
            raise _Wrong(f"{place}: no {key}; give it there or in [defaults]")
    axes = {key: value if isinstance(value, list) else [value] for key, value in options.items()}
    several = {key for key, value in options.items() if isinstance(value, list)}
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        trials = _whole(f"{place}: trials", chosen.pop("trials"))
        name = _name(chosen | {"trials": trials}, several, label)
        yield Item(name, place, trials, trials, float(priority), chosen)


def _name(chosen: Mapping[str, Any], several: set[str], label: str | None) -> str:
    """Made from what the search is, so that it stays the same wherever the file asks for it."""
    architecture = chosen.get("architecture", [])
    names = architecture if isinstance(architecture, list) else [architecture]
    told = [chosen["part"], ".".join(map(str, names)), chosen.get("engine", DEFAULT_ENGINE), chosen.get("sampler")]
    for key in sorted(several - {"part", "architecture", "engine", "sampler"}):
        value = chosen[key]
        told.append(f"{key}-{Path(value).stem}" if isinstance(value, str) else f"{key}{value}")
    return re.sub(r"[^A-Za-z0-9._-]", "_", "-".join(str(each) for each in (*told, label) if each))


def _check_options(place: str, table: Mapping[str, Any]) -> None:
    for key, value in table.items():
        if key in OURS:
            raise _Wrong(f"{place}: {key} cannot be given here: {OURS[key]}")
        if value == []:
            raise _Wrong(f"{place}: {key} = [] makes no search; name one or more, or leave it out")
        for each in value if isinstance(value, list) else [value]:
            inner = each if isinstance(each, list) and key == "architecture" else [each]
            if not inner or not all(isinstance(one, str | int | float) for one in inner):
                raise _Wrong(f"{place}: {key} = {each!r}: give text, a number, true or false, or a list of these")


def _check_keys(place: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            raise _Wrong(f"{place}: no such key: {key}; give one of {', '.join(known)}")


def _table(name: str, tables: Mapping[str, Any]) -> Mapping[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise _Wrong(f"{name} must be a table, headed [{name}]")
    return table


def _text(place: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _Wrong(f"{place} = {value!r}: give text")
    return value


def _whole(place: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _Wrong(f"{place} = {value!r}: give a whole number, 1 or more")
    return value


def _positive(place: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise _Wrong(f"{place} = {value!r}: give a number above 0")
    return float(value)
