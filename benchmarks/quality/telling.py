"""The figures as Markdown tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOMENTS = ("20 trials", "50 trials", "seconds of 20 trainings")


def told(figures: Mapping[str, Any]) -> str:
    """All tables, each under its title."""
    return "\n".join(line for part in _parts(figures) for line in (*part, ""))


def _parts(figures: Mapping[str, Any]) -> Iterator[list[str]]:
    for title, found in figures.items():
        if isinstance(found, Mapping) and "tables" in found:
            yield [f"### {title}", f"{found['tables']} tables x {found['repeats']} repeats", "", *_ranked(found)]
    rows = [[family, _interval(found)] for family, found in figures["default against random, by family"].items()]
    yield ["### default against random, by family, 50 trials", "", *_table(("family", "won less lost"), rows)]
    costs = figures["duplicates and engine"]
    names = ("duplicates", "duplicates on ours", "engine seconds")
    yield _table(("", *names), [[name, *(found[each] for each in names)] for name, found in costs.items()])
    for table, found in figures["mean regret"].items():
        rows = [[name, *each] for name, each in found.items()]
        yield [f"### {table}", "", *_table(("", "10", "20", "30", "50 trials"), rows)]
    for table, of_table in figures["pruners"].items():
        columns = list(next(iter(of_table.values())))
        rows = [[name, *(_interval(found[each]) for each in columns)] for name, found in of_table.items()]
        yield [f"### pruners, {table}", "", *_table(("", *columns), rows)]
    yield [f"Keras Tuner's Bayesian oracle as it is: {figures['as it is']}"]


def _ranked(found: Mapping[str, Any]) -> list[str]:
    columns = list(next(iter(found["50 trials"].values())))
    heads = ["", *(f"{column}, {moment}" for moment in MOMENTS for column in columns)]
    names = list(found["50 trials"])
    rows = [[name, *(_interval(found[moment][name][each]) for moment in MOMENTS for each in columns)] for name in names]
    return _table(heads, rows)


def _interval(found: Any) -> str:
    if not isinstance(found, list):
        return str(found)
    return f"{found[0]:+g} ({found[1]:+g}, {found[2]:+g})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]
