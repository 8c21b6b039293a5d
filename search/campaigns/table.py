"""The rows of `search.status` as text, as wide as the terminal is."""

import textwrap
from collections.abc import Sequence

from plumbing.text import printable, shorten
from results.list import aligned
from search.campaigns.rows import Row, seconds_left
from search.progress import duration

STATES = ("running", "failed", "pruned", "finished")
FIRST = ("search", "trials", "left", "best", "trials/h", "last trial")
HEADER = (*FIRST, "workers", *STATES)
LEAST_NAME = 12  # signs that are left of a name


def as_text(rows: Sequence[Row], one_by_one: bool, width: int | None = None, height: int | None = None) -> str:
    """The searches as a table, why some were ended before they were done, and all in a line.

    Args:
        one_by_one: whether they run one after another, so that the time left is known of all.
        width, height: of a terminal; where all rows do not fit, those under way are shown.
    """
    if not rows:
        return "no searches yet"
    text = "\n".join([_table(rows, width), *_ends(rows, width), _all(rows, one_by_one)])
    if height is None or text.count("\n") + 1 < height:
        return text
    under_way = [row for row in rows if row.seen and not row.is_over]
    last = _all(rows, one_by_one)
    return f"{_table(under_way, width)}\nunder way; {last}" if under_way else last


def _table(rows: Sequence[Row], width: int | None) -> str:
    """A line a search; where the terminal is too narrow two, and names without their middle."""
    cells = [_cells(row) for row in rows]
    table = aligned([HEADER, *cells])
    if width is None or _width(table) <= width:
        return table
    first = [each[: len(FIRST)] for each in cells]
    others = _width(aligned([FIRST, *(("", *each[1:]) for each in first)])) - len(FIRST[0])
    names = (shorten(each[0], max(width - others, LEAST_NAME)) for each in first)
    head, *lines = aligned([FIRST, *((name, *each[1:]) for name, each in zip(names, first, strict=True))]).splitlines()
    folded = (f"{line}{_counts(row)}" for line, row in zip(lines, rows, strict=True))
    return "\n".join([head, *folded])


def _width(text: str) -> int:
    return max(len(line) for line in text.splitlines())


def _counts(row: Row) -> str:
    """The second line of a search."""
    if row.seen is None:
        return ""
    counts = (f"{state} {row.seen.states.get(state, 0)}" for state in STATES)
    return f"\n  workers {row.seen.workers}, {', '.join(counts)}"


def _cells(row: Row) -> tuple[str, ...]:
    left = "stopped" if row.end else "done" if row.is_done else None
    if row.seen is None:
        return (row.name, f"0/{row.asked}", left or "-", *("-" for _ in HEADER[3:]))
    seen = row.seen
    return (
        row.name,
        f"{row.ended}/{row.asked}" if row.asked is not None else f"{row.ended} so far",
        left or ("-" if row.seconds_left is None else duration(row.seconds_left)),
        "-" if seen.best is None else f"{seen.best:.4f}",
        "-" if seen.pace is None else f"{seen.pace:.3g}" if seen.pace < 100 else f"{seen.pace:.0f}",
        "-" if seen.last_seconds is None else f"{seen.last_seconds:.1f} s",
        str(seen.workers),
        *(str(seen.states.get(state, 0)) for state in STATES),
    )


def _ends(rows: Sequence[Row], width: int | None) -> list[str]:
    """Why searches were ended before they were done, a line for each reason."""
    names: dict[str, list[str]] = {}
    for row in rows:
        if row.end:
            names.setdefault(row.end, []).append(row.name)
    lines = [printable(f"{', '.join(each)}: {reason}") for reason, each in names.items()]
    if width is None:
        return lines
    return [textwrap.fill(line, width, subsequent_indent="  ", break_on_hyphens=False) for line in lines]


def _all(rows: Sequence[Row], one_by_one: bool) -> str:
    searches = [row for row in rows if not row.seen or row.seen.kind == "search"]
    done, stopped = sum(row.is_done for row in searches), sum(bool(row.end) for row in searches)
    ended, asked = sum(row.ended for row in searches), sum(row.asked or row.ended for row in searches)
    told = f", {stopped} stopped" if stopped else ""
    line = f"{done} of {len(searches)} searches done{told}, {ended} of {asked} trials"
    left = seconds_left(searches) if one_by_one else None
    return f"{line}, about {duration(left)} left" if left else line
