"""Compare two searches by their best value so far: against trials, against epochs trained, against seconds.

    python -m search.compare A B [--store URL] [--out PLOT.png] [--json]

A and B each name a search, or several that differ by their seed alone: a comma list or a shell-style pattern such as
`tpe-s*` (in quotes). Then values are means over these repeats, with intervals; see `results.curves`.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbing.command import CommandParser, one_line, run_command
from plumbing.errors import UsageError

if TYPE_CHECKING:  # loaded where they are used: --help needs neither NumPy nor SQLAlchemy
    from results.curves import Means
    from search.comparison import Point, Side

COMMAND = "search.compare"


def as_text(a: "Side", b: "Side", found: Sequence["Point"]) -> str:
    """The comparison as markdown."""
    from search.comparison import warnings_of

    first = next(iter(a.searches.values()))
    lines = [f"# Best {first.objective} so far, {first.task}", ""]
    lines += [f"- {letter}: {_told(side)}" for letter, side in (("A", a), ("B", b))]
    lines += ["", "| after | A | B | A - B |", "|---|---:|---:|---:|"]
    lines += [
        f"| {_place(each)} | {_figure(each.a)} | {_figure(each.b)} | {_figure(each.difference, '+')} |"
        for each in found
    ]
    lines += ["", f"{_meaning(a, b)} Seconds are those of trials, summed: trials side by side each count."]
    return "\n".join([*lines, *(f"Warning: {warning}" for warning in warnings_of(a, b))])


def _told(side: "Side") -> str:
    counts = [len(trials) for trials in side.trials.values()]
    among = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    names = one_line(", ".join(side.searches))
    return f"`{names}`, {among} trials" if len(counts) == 1 else f"{len(counts)} searches of {among} trials: `{names}`"


def _place(point: "Point") -> str:
    if point.unit is None:
        return "all of each"
    at, share = point.at or 0.0, point.share or 0.0
    amount = f"{at:,.0f}" if at >= 10 else f"{at:.2g}"
    return f"{amount} {point.unit.removesuffix('s') if amount == '1' else point.unit} ({100 * share:.0f} %)"


def _figure(means: "Means", sign: str = "") -> str:
    mean, low, high = (float(each[0]) for each in (means.mean, means.low, means.high))
    if mean != mean:
        return "none yet"
    return f"{mean:{sign}.4f}" + (f" ({low:{sign}.4f} to {high:{sign}.4f})" if low == low else "")


def _meaning(a: "Side", b: "Side") -> str:
    from results.intervals import DRAWS

    single = [letter for letter, side in (("A", a), ("B", b)) if len(side.searches) == 1]
    told = []
    if len(single) < 2:
        told.append(
            f"Means over repeats; in brackets the central 95 % of {DRAWS:,} bootstrap draws of repeats"
            f"{'' if single else ', A and B drawn independently'}."
        )
    if single:
        told.append(
            f"No interval for A - B: without repeats under other seeds of {' and '.join(single)} there is none."
        )
    return " ".join(told)


def as_json(a: "Side", b: "Side", found: Sequence["Point"], plot: Path | None) -> dict[str, Any]:
    """The comparison as plain data; null where a value or interval is not defined."""
    from results.curves import UNITS
    from search.comparison import warnings_of

    first = next(iter(a.searches.values()))
    curves = {
        unit: {letter: _plain_curve(side, letter, unit) for letter, side in (("a", a), ("b", b))} for unit in UNITS
    }
    return {
        "task": first.task,
        "objective": first.objective,
        "a": {"label": a.label, "searches": list(a.searches)},
        "b": {"label": b.label, "searches": list(b.searches)},
        "points": [
            {"unit": each.unit, "share": each.share, "at": each.at}
            | {name: _plain(getattr(each, name))[0] for name in ("a", "b", "difference")}
            for each in found
        ],
        "curves": curves,
        "warnings": warnings_of(a, b),
        "plot": None if plot is None else str(plot),
    }


def _plain_curve(side: "Side", letter: str, unit: str) -> list[dict[str, float | None]]:
    from search.comparison import mean_curve

    costs, found = mean_curve(side, letter, unit)
    return [{"at": float(cost), **each} for cost, each in zip(costs, _plain(found), strict=True)]


def _plain(means: "Means") -> list[dict[str, float | None]]:
    columns = {"mean": means.mean, "low": means.low, "high": means.high}
    return [
        {name: float(column[row]) if column[row] == column[row] else None for name, column in columns.items()}
        for row in range(len(means.mean))
    ]


def _check_out(out: Path | None) -> None:
    if out is not None and (out.suffix.lower() != ".png" or out.is_dir()):
        raise UsageError(f"--out {out}: give the name of a file that ends in .png")


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head."""
    from results.connection import DEFAULT_URL

    parser = CommandParser(COMMAND, "Compares two searches, or repeats of two, by their best value so far.")
    parser.add_argument("a", metavar="A", help="a search, or repeats: a comma list, or a pattern such as 'tpe-s*'")
    parser.add_argument("b", metavar="B", help="what it is compared with")
    parser.add_argument("--store", metavar="URL", default=DEFAULT_URL, help="the results store")
    parser.add_argument("--out", metavar="PLOT.png", type=Path, help="draw the curves into this file")
    parser.add_argument("--json", action="store_true", help="one JSON document, curves included")
    options = parser.parse_args(arguments)

    from results.store import Store
    from search.comparison import check_comparable, points, side_of

    _check_out(options.out)
    store = Store.open(options.store)
    try:
        a, b = side_of(store, options.a), side_of(store, options.b)
    finally:
        store.close()
    check_comparable(a, b)
    found = points(a, b)
    if options.out is not None:
        from search.compare_figure import write_figure

        write_figure(a, b, options.out)
    if options.json:
        print(json.dumps(as_json(a, b, found, options.out), indent=2, allow_nan=False))
    else:
        print(as_text(a, b, found) + (f"\n\n{options.out}" if options.out is not None else ""))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
