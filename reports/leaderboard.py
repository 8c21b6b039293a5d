"""The leaderboards: for each part the best trials, as the published tables have them, and how sure their order is.

    python -m reports.leaderboard [--part PART] [--top N] [--rank-by COLUMN] [--format markdown|csv|json|latex|html]

How trials are ranked stands in `reports.ranking`, and above each table.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, at_least, run_command
from plumbing.errors import UsageError
from radiographs.parts import TASKS

if TYPE_CHECKING:  # pandas and SQLAlchemy are loaded where they are used: --help needs neither
    from reports.board import Query
    from reports.sheets import Sheet

COMMAND = "reports.leaderboard"
OWN_COLUMNS = "rank, rank_95, could_be_best, trials (of a group), valid_auc_fresh, test_auc_fresh"
FORMATS = ("markdown", "csv", "json", "latex", "html")


def leaderboard_text(sheets: "Sequence[Sheet]", query: "Query | None" = None, form: str = "markdown") -> str:
    """The leaderboards in one of `FORMATS`.

    Args:
        sheets: as `reports.board.leaderboards` gives them. query: what they are of; None for the whole store.
    """
    from reports.sheets import WRITERS

    if form == "markdown" and not sheets:
        of_part = f" of {query.part}" if query and query.part else ""
        of_part += f" in search {query.search}" if query and query.search else ""
        when = f" that ended on {query.since} or later" if query and query.since else ""
        return f"The store holds no trial{of_part}{when} yet.\n"
    return WRITERS[form](sheets)


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head."""
    from results.connection import DEFAULT_URL

    parser = CommandParser(COMMAND, "Prints the best trials of each part, and how sure their order is.")
    parser.add_argument("--part", metavar="PART", help=f"one of {', '.join(TASKS)}; without it: all in the store")
    parser.add_argument("--top", metavar="N", type=at_least(1), help="rows a part; default: 4, as published")
    parser.add_argument("--rank-by", metavar="COLUMN", help="an exported column of numbers; without it: a valid metric")
    parser.add_argument("--columns", metavar="A,B,...", help=f"exported columns, {OWN_COLUMNS}")
    parser.add_argument("--group-by", metavar="COLUMN", help="the best of each architecture, augmentation, frozen, ...")
    parser.add_argument("--search", metavar="NAME", help="this search's trials alone")
    parser.add_argument("--since", metavar="TIME", help="trials that ended then or later, as 2026-01-31 (UTC)")
    parser.add_argument("--matrix", action="store_true", help="architectures by parts, the best of each")
    parser.add_argument("--format", choices=FORMATS, default="markdown", help="of the output")
    parser.add_argument("--store", metavar="URL", default=DEFAULT_URL, help="the results store")
    options = parser.parse_args(arguments)

    from reports.board import DEFAULT_TOP, Query, check_query, completed, judged_by, leaderboards, quick_trials
    from reports.confirmed import with_confirmation
    from reports.matrix import matrix
    from reports.sheets import WRITERS
    from results.store import Store
    from results.table import trials_table

    if options.matrix:
        _check_matrix(options)
    columns = tuple(name.strip() for name in options.columns.split(",")) if options.columns else ()
    top = options.top or DEFAULT_TOP
    query = Query(options.part, top, options.rank_by, columns, options.group_by, options.search, options.since)
    check_query(query)
    store = Store.open(options.store)
    try:
        quick = None if options.matrix else quick_trials(store, query)
        trials = with_confirmation(trials_table(store)) if quick is None else quick
        if options.matrix:
            text = WRITERS[options.format]([matrix(trials, query)])
        else:
            complete = None if quick is None else completed(store)
            sheets = leaderboards(trials, query, judged_by(store), complete)
            text = leaderboard_text(sheets, query, options.format)
    finally:
        store.close()
    print(text, end="")
    return 0


def _check_matrix(options: Namespace) -> None:
    given = {"--top": options.top, "--columns": options.columns, "--group-by": options.group_by}
    named = [name for name, value in given.items() if value]
    if named:
        raise UsageError(f"--matrix has the best of each architecture and part; leave out {', '.join(named)}")


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
