"""The leaderboards as markdown: for each part the best trials, as the published tables have them.

    python -m reports.leaderboard [--part PART] [--top N] [--rank-by COLUMN] [--store URL]

How trials are ranked stands in `reports.ranking`, and above each table.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, at_least, run_command
from plumbing.errors import UsageError
from radiographs.parts import TASKS

if TYPE_CHECKING:  # pandas and SQLAlchemy are loaded where they are used: --help needs neither
    import pandas as pd

COMMAND = "reports.leaderboard"
DEFAULT_TOP = 4  # as published

PUBLISHED = [
    "name_code", "part_body", "lr", "conv_dropout", "callbacks_patience", "fit_epochs", "early_stop_at_epoch",
    "test_accuracy_eval", "train_accuracy_eval", "valid_accuracy_eval", "model_name",
]  # fmt: skip
WITH_INTERVAL = ("valid_auc", "test_auc")


def leaderboard_table(trials: "pd.DataFrame", part: str, top: int, rank_by: str | None = None) -> "pd.DataFrame":
    """The part's best finished trials.

    Args:
        trials: as `results.table.trials_table` gives them.
        rank_by: a numeric exported column; None: by a valid metric, see `reports.ranking`.
    Returns: rank, search, valid_auc and test_auc (study level, with interval, as text; left out where no trial of the
        part has them), `rank_by` where it is none of the columns, then `PUBLISHED`; model_name without its folder.
    Raises: UsageError where `rank_by` is no numeric exported column.
    """
    from reports.ranking import ranked
    from reports.tables import base_name, interval_text

    rows = ranked(trials, part, rank_by)
    measured = [column for column in WITH_INTERVAL if rows[column].notna().any()]
    columns = ["rank", "search", *measured, *PUBLISHED]
    if rank_by is not None and rank_by not in columns:
        columns.insert(2, rank_by)
    shown = rows.head(top).astype(dict.fromkeys(measured, object))
    for column in measured:
        bounds = zip(shown[column], shown[f"{column}_low"], shown[f"{column}_high"], strict=True)
        shown[column] = [interval_text(*each) for each in bounds]
    shown["model_name"] = [base_name(name) if isinstance(name, str) else None for name in shown["model_name"]]
    return shown[columns]


def leaderboard_numbers(trials: "pd.DataFrame", part: str) -> "pd.DataFrame":
    """All ranked trials of the part, for a CSV file: as `leaderboard_table`, with intervals in columns of their own."""
    from reports.ranking import ranked

    measured = [f"{column}{bound}" for column in WITH_INTERVAL for bound in ("", "_low", "_high")]
    return ranked(trials, part)[["rank", "search", "trial", *measured, *PUBLISHED]]


def leaderboard_section(trials: "pd.DataFrame", part: str, top: int, rank_by: str | None = None) -> str:
    """A part's leaderboard as markdown: heading, how it is ranked, table, what is not in it."""
    from reports.ranking import count_sentence, ranked, ranking_sentence
    from reports.tables import escape_markdown, plain_line, to_markdown

    paragraphs = [f"## {escape_markdown(plain_line(part))}\n"]
    rows = ranked(trials, part, rank_by)
    if len(rows):
        paragraphs.append(f"{ranking_sentence(rows, rank_by)}\n")
        paragraphs.append(to_markdown(leaderboard_table(trials, part, top, rank_by)))
    paragraphs.append(f"{count_sentence(trials, part, min(top, len(rows)))}\n")
    return "\n".join(paragraphs)


def leaderboard_text(trials: "pd.DataFrame", top: int, rank_by: str | None = None, part: str | None = None) -> str:
    """The leaderboards of all parts in the store, or of one, as markdown.

    Raises: UsageError where `rank_by` is no numeric exported column, or `part` neither a task nor in the store.
    """
    from reports.ranking import check_rank_by, stored_parts

    check_rank_by(rank_by)
    parts = stored_parts(trials)
    known = list(dict.fromkeys((*TASKS, *parts)))
    if part is not None and part not in known:
        raise UsageError(f"--part {part!r}: no such part; give one of {', '.join(known)}")
    if not parts:
        return "The store holds no trials yet.\n"
    if part is not None and part not in parts:
        return f"{part}: the store holds no trials of this part yet.\n"
    return "\n".join(leaderboard_section(trials, each, top, rank_by) for each in ([part] if part else parts))


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head."""
    from results.connection import DEFAULT_URL

    parser = CommandParser(COMMAND, "Prints the best trials of each part as markdown.")
    parser.add_argument("--part", metavar="PART", help=f"one of {', '.join(TASKS)}; without it: all in the store")
    parser.add_argument("--top", metavar="N", type=at_least(1), default=DEFAULT_TOP, help="rows a part")
    parser.add_argument("--rank-by", metavar="COLUMN", help="an exported column of numbers; without it: a valid metric")
    parser.add_argument("--store", metavar="URL", default=DEFAULT_URL, help="the results store")
    options = parser.parse_args(arguments)

    from reports.ranking import check_rank_by
    from results.store import Store
    from results.table import trials_table

    check_rank_by(options.rank_by)
    store = Store.open(options.store)
    try:
        trials = trials_table(store)
    finally:
        store.close()
    print(leaderboard_text(trials, options.top, options.rank_by, options.part), end="")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
