"""Two searches, or repeats of two, side by side: which may be compared, and the best of each for what was paid."""

import fnmatch
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbing.errors import StoreError, UsageError
from results.curves import (
    UNITS,
    BestSoFar,
    Means,
    best_so_far,
    mean_differences,
    means,
    shared_budget,
    steps,
    values_at,
)
from results.metrics import Floats
from results.records import CONFIRM, ENSEMBLE, FINISHED, RUNNING, SEARCH, Search, Trial
from results.store import Store

SHARES = (0.25, 0.5, 1.0)  # of the smaller budget
FEW = 5  # repeats, below which a bootstrap's intervals are too narrow


@dataclass(frozen=True)
class Side:
    """The searches of one side, each with its trials."""

    label: str
    searches: Mapping[str, Search]
    trials: Mapping[str, Sequence[Trial]]

    def curves(self, unit: str) -> list[BestSoFar]:
        """One a search."""
        return [best_so_far(trials, unit) for trials in self.trials.values()]


@dataclass(frozen=True)
class Point:
    """Both sides and their difference where as much was paid, or each at its own end (`unit` None).

    Attributes:
        share: of the smaller budget. at: what was paid, in the unit.
        a, b, difference: at one cost.
    """

    unit: str | None
    share: float | None
    at: float | None
    a: Means
    b: Means
    difference: Means


def side_of(store: Store, label: str) -> Side:
    """The searches that a name, a pattern or a comma list of these means.

    Raises: StoreError where one means no search. UsageError where one is an import or has no finished trial.
    """
    stored = {search.name: search for search in store.searches()}
    searched = [name for name, search in stored.items() if search.kind not in (CONFIRM, ENSEMBLE)]
    chosen: dict[str, Search] = {}
    for pattern in filter(None, map(str.strip, label.split(","))):
        names = [pattern] if pattern in stored else fnmatch.filter(searched, pattern)
        if not names:
            known = ", ".join(stored) or "nothing"
            raise StoreError(f"{pattern}: no such search in the store, which holds {known}")
        chosen |= {name: stored[name] for name in names}
    if not chosen:
        raise UsageError(f"{label!r} names no search; give a name, a pattern or a comma list")
    trials = {}
    for name, search in chosen.items():
        if search.kind != SEARCH:
            raise UsageError(f"{name} is of kind {search.kind}, whose trials were not searched for; give searches")
        trials[name] = store.trials(search.id)
        if not any(trial.state == FINISHED and trial.value is not None for trial in trials[name]):
            raise UsageError(f"{name} has no finished trial; let it run, or leave it out")
    return Side(label, chosen, trials)


def check_comparable(a: Side, b: Side) -> None:
    """Raises: UsageError where a search stands on both sides, or tasks or objectives differ."""
    if both := sorted(set(a.searches) & set(b.searches)):
        raise UsageError(f"{', '.join(both)}: on both sides; give each search to one")
    for word in ("task", "objective"):
        told = _different({name: getattr(search, word) for name, search in _all(a, b)})
        if told:
            raise UsageError(f"searches of different {word}s cannot be compared: {told}; leave some out")


def warnings_of(a: Side, b: Side) -> list[str]:
    """What makes the comparison weaker than it looks, a sentence each."""
    found = []
    everywhere: dict[str, dict[str, Any]] = {
        "data": {name: (search.data_hash or "unknown")[:12] for name, search in _all(a, b)},
        "most epochs a trial": {name: search.settings.get("epochs") for name, search in _all(a, b)},
    }
    for word, values in everywhere.items():
        if told := _different(values):
            found.append(f"{word} differ: {told}.")
    for letter, side in (("A", a), ("B", b)):
        settings = [search.settings for search in side.searches.values()]
        names = sorted({name for each in settings for name in each} - {"seed", "data", "epochs"})
        if odd := [name for name in names if len({_text(each.get(name)) for each in settings}) > 1]:
            found.append(f"{letter}'s searches differ in {', '.join(odd)}: they are no repeats of one another.")
        seeds = [search.seed for search in side.searches.values()]
        if len(set(seeds)) < len(seeds):
            found.append(f"{letter}'s searches share seeds: they do not vary as repeats would.")
        if 1 < len(seeds) < FEW:
            found.append(f"{letter} has {len(seeds)} repeats: intervals of fewer than {FEW} are too narrow.")
    running = [name for side in (a, b) for name, own in side.trials.items() if any(t.state == RUNNING for t in own)]
    if running:
        found.append(f"{', '.join(running)}: trials still marked running are left out.")
    return found


def _all(a: Side, b: Side) -> Iterable[tuple[str, Search]]:
    return [*a.searches.items(), *b.searches.items()]


def _different(values: Mapping[str, Any]) -> str:
    """`a: 1, b: 2`, the first search of each value; empty where all are alike."""
    first = {_text(value): f"{name}: {value}" for name, value in reversed(list(values.items()))}
    return ", ".join(reversed(first.values())) if len(first) > 1 else ""


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def points(a: Side, b: Side) -> list[Point]:
    """Each side at its end, then both at shares of the smaller budget in each unit."""

    def point(unit: str | None, share: float | None, at: float | None, *values: Any) -> Point:
        return Point(unit, share, at, means(values[0], "a"), means(values[1], "b"), mean_differences(*values))

    ends = [np.array([[curve.best[-1]] for curve in side.curves("trials")]) for side in (a, b)]
    found = [point(None, None, None, *ends)]
    for unit in UNITS:
        sides = [side.curves(unit) for side in (a, b)]
        budget = min(shared_budget(curves) for curves in sides)
        for share in SHARES:
            at = share * budget if unit == "seconds" else float(max(int(share * budget), 1))
            found.append(point(unit, share, at, *(values_at(curves, np.array([at])) for curves in sides)))
    return found


def mean_curve(side: Side, letter: str, unit: str) -> tuple[Floats, Means]:
    """Costs up to the side's shared budget, and the means there."""
    curves = side.curves(unit)
    costs = steps(curves)
    return costs, means(values_at(curves, costs), letter)
