"""The leaderboards: for each part the best trials, as the published tables have them, and how sure their order is.

    python -m reports.leaderboard [--part PART] [--top N] [--rank-by COLUMN] [--format markdown|csv|json|latex|html]

How trials are ranked stands in `reports.ranking`, and above each table.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, at_least, run_command
from radiographs.parts import TASKS

if TYPE_CHECKING:  # pandas and SQLAlchemy are loaded where they are used: --help needs neither
    from reports.sheets import Sheet

COMMAND = "reports.leaderboard"
FORMATS = ("markdown", "csv", "json", "latex", "html")


def leaderboard_text(sheets: "Sequence[Sheet]", part: str | None = None, form: str = "markdown") -> str:
    """The leaderboards, of that part alone or of all, in one of `FORMATS`.

    Args:
        sheets: as `reports.board.leaderboards` gives them.
    """
    from reports.sheets import WRITERS

    if form == "markdown" and not sheets:
        return f"{part}: the store holds no trials of this part yet.\n" if part else "The store holds no trials yet.\n"
    return WRITERS[form](sheets)


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head."""
    from results.connection import DEFAULT_URL

    parser = CommandParser(COMMAND, "Prints the best trials of each part, and how sure their order is.")
    parser.add_argument("--part", metavar="PART", help=f"one of {', '.join(TASKS)}; without it: all in the store")
    parser.add_argument("--top", metavar="N", type=at_least(1), default=4, help="rows a part; default: 4, as published")
    parser.add_argument("--rank-by", metavar="COLUMN", help="an exported column of numbers; without it: a valid metric")
    parser.add_argument("--columns", metavar="A,B,...", help="exported columns, rank, rank_95, could_be_best")
    parser.add_argument("--group-by", metavar="COLUMN", help="the best of each architecture, augmentation, frozen, ...")
    parser.add_argument("--search", metavar="NAME", help="this search's trials alone")
    parser.add_argument("--since", metavar="TIME", help="trials that ended then or later, as 2026-01-31 (UTC)")
    parser.add_argument("--matrix", action="store_true", help="architectures by parts, the best of each")
    parser.add_argument("--format", choices=FORMATS, default="markdown", help="default: markdown")
    parser.add_argument("--store", metavar="URL", default=DEFAULT_URL, help="the results store")
    options = parser.parse_args(arguments)

    from reports.board import Query, check_query, judged_by, leaderboards
    from reports.confirmed import with_confirmation
    from reports.matrix import matrix
    from reports.sheets import WRITERS
    from results.store import Store
    from results.table import trials_table

    columns = tuple(name.strip() for name in options.columns.split(",")) if options.columns else ()
    query = Query(
        options.part, options.top, options.rank_by, columns, options.group_by, options.search, options.since
    )  # fmt: skip
    check_query(query)
    store = Store.open(options.store)
    try:
        trials = with_confirmation(trials_table(store))
        if options.matrix:
            text = WRITERS[options.format]([matrix(trials, query)])
        else:
            sheets = leaderboards(trials, query, judged_by(store))
            text = leaderboard_text(sheets, query.part, options.format)
    finally:
        store.close()
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
