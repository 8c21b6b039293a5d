"""All parts at a glance: architectures by parts, each cell the best trial's value with its interval."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from reports.board import Query, check_query, chosen_parts
from reports.ranking import TEST_CHOSE, ranked, ranked_by
from reports.sheets import Sheet
from reports.tables import interval_text

PER_CENT = "_accuracy_eval"


def matrix(trials: pd.DataFrame, query: Query) -> Sheet:
    """The best trial of each architecture and part; of the query, columns, groups and rows a part are left out.

    Args:
        trials: as `reports.confirmed.with_confirmation` gives them.
    Raises: UsageError as `reports.board.leaderboards`.
    """
    check_query(query)
    chosen = chosen_parts(trials, query)
    cells = pd.DataFrame([cell for trials, part in chosen for cell in _cells(trials, part, query.rank_by)])
    if cells.empty:
        return Sheet("Architectures and parts", (), cells, cells, ("No finished trial yet.",))
    texts = cells.pivot(index="architecture", columns="part_body", values="text")
    table = texts[[part for _, part in chosen if part in texts]].fillna("").reset_index()
    columns = ", ".join(
        f"{name} (per cent)" if name.endswith(PER_CENT) else name for name in sorted(set(cells["column"]))
    )
    before = (
        f"The best trial of each architecture and part, by {columns}: each the best of several, and so too good.",
        *([f"Ranked by {TEST_CHOSE}"] if any(name.startswith("test_") for name in cells["column"]) else []),
    )
    return Sheet("Architectures and parts", before, table, cells.drop(columns="text"), ())


def _cells(trials: pd.DataFrame, part: str, rank_by: str | None) -> Iterator[dict[str, Any]]:
    rows = ranked(trials, part, rank_by)
    for _, row in rows.groupby("architecture", sort=False).head(1).iterrows():
        column = ranked_by(row.to_frame().T, rank_by)  # its own: an import may lack what the part is ranked by
        value, low, high = row[column], row.get(f"{column}_low"), row.get(f"{column}_high")
        per_cent = column.endswith(PER_CENT) and pd.notna(value)
        yield {
            "architecture": row["architecture"],
            "part_body": part,
            "column": column,
            "value": value,
            "low": low,
            "high": high,
            "search": row["search"],
            "trial": row["trial"],
            "text": _per_cent(value, low, high) if per_cent else interval_text(value, low, high),
        }


def _per_cent(value: float, low: Any, high: Any) -> str:
    return f"{value:.1f} %" if pd.isna(low) or pd.isna(high) else f"{value:.1f} % ({low:.1f}-{high:.1f})"
