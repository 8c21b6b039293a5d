"""All parts at a glance: architectures by parts, each cell the best trial's value with its interval."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from reports.board import Query, check_query, chosen
from reports.ranking import ranked, ranked_by, stored_parts
from reports.sheets import Sheet
from reports.tables import cell_text, interval_text


def matrix(trials: pd.DataFrame, query: Query) -> Sheet:
    """The best trial of each architecture and part.

    Args:
        trials: as `reports.confirmed.with_confirmation` gives them.
    Raises: UsageError as `reports.board.leaderboards`.
    """
    check_query(query)
    trials = chosen(trials, query)
    parts = [part for part in stored_parts(trials) if query.part in (None, part)]
    cells = pd.DataFrame([cell for part in parts for cell in _cells(trials, part, query.rank_by)])
    if cells.empty:
        return Sheet("Architectures and parts", (), cells, cells, ("No finished trial yet.",))
    texts = cells.pivot(index="architecture", columns="part_body", values="text")
    table = texts[[part for part in parts if part in texts]].fillna("").reset_index()
    columns = ", ".join(sorted(set(cells["column"])))
    before = (f"The best trial of each architecture and part, by {columns}.",)
    return Sheet("Architectures and parts", before, table, cells.drop(columns="text"), ())


def _cells(trials: pd.DataFrame, part: str, rank_by: str | None) -> Iterator[dict[str, Any]]:
    rows = ranked(trials, part, rank_by)
    column = ranked_by(rows, rank_by)
    for _, row in rows.groupby("architecture", sort=False).head(1).iterrows():
        value, low, high = row[column], row.get(f"{column}_low"), row.get(f"{column}_high")
        yield {
            "architecture": row["architecture"],
            "part_body": part,
            "column": column,
            "value": value,
            "low": low,
            "high": high,
            "search": row["search"],
            "trial": row["trial"],
            "text": cell_text(column, value) if column.endswith("_accuracy_eval") else interval_text(value, low, high),
        }
