"""Export all trials, one row a trial: the columns `results.table.EXPORTED` in their order, then the history.

    python -m results.export --format csv|json|parquet [--out FILE] [--search NAME] [--part PART] [--store URL]

JSON is strict: absent or infinite values are null, whole numbers have no point, `history` is metric -> one value an
epoch. In CSV and Parquet `history` is that as JSON text. In CSV, and only there, a text cell that begins with one of
= + - @ tab, carriage return or line feed gets an apostrophe before it, so that no spreadsheet runs it as a formula;
numbers, as text too, are left alone. FILE is whole or absent.
"""

import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbing.command import CommandParser, run_command
from plumbing.errors import StoreError, UsageError
from plumbing.files import atomic_path, write_text_atomically

if TYPE_CHECKING:
    import pandas as pd

    from results.store import Store

WHOLE = (
    "trial",
    "callbacks_patience",
    "fit_epochs",
    "early_stop_at_epoch",
    "epochs_trained",
    "seed",
    "image_size",
    "continues",
    "first_epoch",
)
TEXT = (
    "search", "engine", "state", "architecture", "name_code", "part_body", "augmentation", "frozen", "weights",
    "model_name", "config", "data_hash", "code_version",
)  # fmt: skip
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def export_table(store: "Store", search: str | None = None, part: str | None = None) -> "pd.DataFrame":
    """The columns `EXPORTED` with types that do not depend on the content (Int64, float64, string), then `history`.

    Args:
        search, part: only their trials.
    Returns: `history` holds metric -> one value an epoch, None where an epoch lacks it.
    Raises: StoreError where the store has no trial of that search or part.
    """
    from results.table import EXPORTED, trials_table

    table = trials_table(store)
    for option, column, value in (("--search", "search", search), ("--part", "part_body", part)):
        if value is None:
            continue
        known = table[column].unique()
        if value not in known and not (column == "search" and store.search(value)):
            raise StoreError(f"{option} {value}: no trial of it in the store, which holds {', '.join(known) or 'none'}")
        table = table[table[column] == value]
    types = {name: "Int64" if name in WHOLE else "string" if name in TEXT else "float64" for name in EXPORTED}
    histories = store.histories()
    history = [_finite_history(histories.get(trial, {})) for trial in table["trial_id"]]
    return table[EXPORTED].astype(types).assign(history=history).astype({"history": object}).reset_index(drop=True)


def _finite_history(history: Mapping[str, Sequence[float | None]]) -> dict[str, list[float | None]]:
    return {metric: [_finite(value) for value in values] for metric, values in history.items()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_json(table: "pd.DataFrame") -> str:
    """One JSON document: a list of objects, one a trial."""
    return json.dumps(plain_rows(table), indent=1, allow_nan=False) + "\n"


def plain_rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """A dictionary a row for strict JSON: what is absent or not finite is None."""
    import pandas as pd

    rows = table.astype(object).to_dict("records")
    return [{str(name): None if value is pd.NA else _finite(value) for name, value in row.items()} for row in rows]


def as_csv(table: "pd.DataFrame") -> str:
    """CSV with a header, UTF-8 safe, lines ended by a line feed; see the module's head for formulas."""
    flat = _flat(table)
    for name in (*TEXT, "history"):
        flat[name] = flat[name].map(harmless, na_action="ignore")
    text = io.StringIO()
    flat.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue()


def harmless(text: str) -> str:
    """The text of a CSV cell that no spreadsheet runs as a formula.

    >>> harmless("=1+1"), harmless("-0.1"), harmless("-0.1+x"), harmless("x=1")
    ("'=1+1", '-0.1', "'-0.1+x", 'x=1')
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_parquet(table: "pd.DataFrame", path: Path) -> None:
    """Write the table; the file is whole or absent."""
    with atomic_path(path) as temporary:
        _flat(table).to_parquet(temporary, engine="pyarrow", index=False)


def _flat(table: "pd.DataFrame") -> "pd.DataFrame":
    texts = [json.dumps(history, allow_nan=False) for history in table["history"]]
    return table.assign(history=texts).astype({"history": "string"})


def _check_out(out: Path | None, form: str, url: str) -> None:
    from results.connection import sqlite_path

    if out is None:
        if form == "parquet":
            raise UsageError("--format parquet is no text; give --out FILE")
        return
    if out.is_dir():
        raise UsageError(f"--out {out}: that is a folder; give a file in it")
    if out.parent.exists() and not out.parent.is_dir():
        raise UsageError(f"--out {out}: {out.parent} is no folder; give another place")
    store = sqlite_path(url)
    if store is not None and out.resolve() == store.resolve():
        raise UsageError(f"--out {out}: that is the store itself; give another file")


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Raises: UsageError where --out does not fit; StoreError where the store cannot be read.
    """
    from results.connection import DEFAULT_URL

    parser = CommandParser("results.export", "Export all trials of a store, one row a trial.")
    parser.add_argument("--format", choices=("csv", "json", "parquet"), required=True, help="parquet needs --out")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the file to write; default: standard output")
    parser.add_argument("--search", metavar="NAME", help="only this search's trials; default: all")
    parser.add_argument("--part", metavar="PART", help="only this part's trials; default: all")
    parser.add_argument("--store", metavar="URL", default=DEFAULT_URL, help="the results store")
    options = parser.parse_args(arguments)
    _check_out(options.out, options.format, options.store)

    from results.store import Store

    store = Store.open(options.store)
    try:
        table = export_table(store, options.search, options.part)
    finally:
        store.close()
    if options.format == "parquet":
        write_parquet(table, options.out)
        return 0
    text = as_json(table) if options.format == "json" else as_csv(table)
    if options.out is None:
        sys.stdout.write(text)
    else:
        write_text_atomically(options.out, text)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("results.export", main, sys.argv[1:]))
