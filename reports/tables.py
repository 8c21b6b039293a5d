"""A data frame as text: cells, markdown, CSV.

Names come from users' files and stores, so they may hold anything: line breaks, markup, spreadsheet formulas. Here
they become one harmless line; HTML is escaped by its template.
"""

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.ranking import NUMERIC
from results.export import harmless

_PASSWORD = re.compile(r"(://[^\s:/@]*):[^\s@]*@")
_MARKUP = re.compile(r"[\\`*~|$\[\]]|(?<![^\W_])_+")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Beside the exported columns: texts that hold a number with its interval.
NUMBER_TEXTS = frozenset(
    {"valid AUC", "test AUC", "valid accuracy", "test accuracy", "images (train / valid / test)"}
    | {"luck taken off", "other seeds", "rank_95", "valid_auc_fresh", "test_auc_fresh"}
    | {"first / second", "difference (95 %)", "p", "p (Holm)", "threshold", "temperature"}
)


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are plain lines; `numeric` names the columns to be set flush right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[str]


def plain_line(value: object, longest: int = 500) -> str:
    r"""One line without control characters, cut after `longest` characters.

    >>> plain_line("a\n\tb\x1b[31m")
    'a b [31m'
    """
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in str(value)).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def without_passwords(text: str) -> str:
    """The text with passwords in URLs left out.

    >>> without_passwords("--store postgresql+psycopg://me:secret@host/db")
    '--store postgresql+psycopg://me:***@host/db'
    """
    return _PASSWORD.sub(r"\1:***@", text)


def base_name(path: str) -> str:
    """A file's name without its folder, whichever system wrote the path.

    >>> base_name("models_logs/a.h5"), base_name("C:\\\\models\\\\b.h5")
    ('a.h5', 'b.h5')
    """
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


def interval_text(value: Any, low: Any, high: Any) -> str:
    """A metric with its interval; one of no width is left out: where no error was seen, none can be drawn.

    >>> interval_text(0.8712, 0.8, 0.9349), interval_text(1.0, 1.0, 1.0), interval_text(None, None, None)
    ('0.87 (0.80-0.93)', '1.00', '')
    """
    if pd.isna(value):
        return ""
    return f"{value:.2f}" if pd.isna(low) or pd.isna(high) or low == high else f"{value:.2f} ({low:.2f}-{high:.2f})"


def cell_text(column: str, value: Any) -> str:
    """A cell as a person reads it; absent values are empty.

    >>> cell_text("test_accuracy_eval", 70.0), cell_text("fit_epochs", 20.0), cell_text("lr", 1e-4)
    ('70.00', '20', '0.0001')
    """
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    if isinstance(value, bool) or not pd.api.types.is_number(value):
        return plain_line(value)
    if column.endswith("_accuracy_eval"):
        return f"{value:.2f}"
    return str(int(value)) if float(value).is_integer() else f"{value:.4g}"


def text_table(table: pd.DataFrame) -> TextTable:
    """Every cell as `cell_text` gives it."""
    columns = tuple(map(str, table.columns))
    rows = tuple(
        tuple(cell_text(column, value) for column, value in zip(columns, row, strict=True))
        for row in table.itertuples(index=False, name=None)
    )
    numbers = {column for column in columns if pd.api.types.is_numeric_dtype(table[column])}
    return TextTable(columns, rows, frozenset(numbers | (NUMBER_TEXTS.union(NUMERIC) & set(columns))))


def escape_markdown(text: str) -> str:
    r"""Text that no markdown reader takes for markup; underscores within words stay as they are.

    >>> escape_markdown("a|b <i> _x_ base_model")
    'a\\|b &lt;i&gt; \\_x_ base_model'
    """
    escaped = _MARKUP.sub(lambda match: "".join(f"\\{sign}" for sign in match[0]), text)
    return "".join(_ENTITIES.get(sign, sign) for sign in escaped)


def to_markdown(table: pd.DataFrame) -> str:
    """The table as a markdown table, one line a row, numbers flush right."""
    text = text_table(table)
    rules = ["---:" if column in text.numeric else "---" for column in text.columns]
    cells = [[escape_markdown(cell) for cell in row] for row in text.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(text.columns), rules, *cells]) + "\n"


def to_csv(table: pd.DataFrame) -> str:
    """The table as CSV; texts are plain lines, and none is a formula to a spreadsheet, as in `results.export`."""

    def cell(value: Any) -> Any:
        return harmless(plain_line(value, longest=100_000)) if isinstance(value, str) else value

    return str(table.convert_dtypes().astype(object).map(cell).to_csv(index=False, lineterminator="\n"))
