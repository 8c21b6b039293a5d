"""Import a published table of runs whole, with the Keras histories in the folder `history` beside it.

    python -m results.import_csv FILE [--store URL] [--name NAME]

Nothing is lost: each row becomes a trial that keeps every cell as text; known cells are placed in typed columns
besides; cells that cannot be placed or cannot be right, and histories that no row names, are kept as unplaced, with a
reason. The import is one transaction. The same file again changes nothing.
"""

import csv
import hashlib
import io
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbing.command import CommandParser, one_line, run_command
from plumbing.errors import StoreError, UsageError
from results.history_files import History, HistoryFile, named_history, read_histories
from results.published import Doubt, layout_of, place_row

if TYPE_CHECKING:
    from results.records import NewSearch
    from results.store import Store

LONGEST_NAME = 200
MOST_LINES = 20  # of the summary


@dataclass(frozen=True)
class Import:
    """A file read whole.

    Attributes:
        rows: values of `results_trials`, and the row's history where its file is there.
        unplaced: source, field, content, reason.
    """

    file: str
    content_hash: str
    rows: list[tuple[dict[str, Any], History | None]]
    unplaced: list[dict[str, str]]


def read_import(path: Path) -> Import:
    """Read the table and the histories beside it.

    Raises: UsageError where the file is absent, no text, no CSV, or none of the published tables.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; give a published table, a CSV file")
    data = path.read_bytes()
    header, lines = _read_csv(data, path)
    layout = layout_of(header, path.name)
    histories = read_histories(path.parent / "history")
    rows: list[tuple[dict[str, Any], History | None]] = []
    unplaced: list[dict[str, str]] = []
    named: set[str] = set()
    for number, line in enumerate(lines):
        cells, doubts = _cells(header, line)
        trial, more = place_row(layout, cells)
        found = named_history(cells.get("history_name", ""), histories)
        if found is None:
            doubts += _history_doubts(cells.get("history_name", ""))
        else:
            named.add(found.name)
        history = found.history if found else None
        if history is not None:
            trial["epochs_trained"] = max(len(values) for values in history.values())
        rows.append((trial, history))
        unplaced += [_entry(f"{path.name} row {number}", doubt) for doubt in doubts + more]
    unplaced += _shared_models(path.name, rows)
    unplaced += _unplaced_histories(histories, named)
    return Import(path.name, _content_hash(data, histories), rows, unplaced)


def _read_csv(data: bytes, path: Path) -> tuple[list[str], list[list[str]]]:
    """The header, a repeated column told apart by its number, and the lines that are not empty."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: no UTF-8 text; save it as UTF-8") from None
    if "\0" in text:
        raise UsageError(f"{path}: no text file; give a published table, a CSV file")
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise UsageError(f"{path}: line {reader.line_num}: no CSV: {error}; mend the quotes there") from None
    if not lines:
        raise UsageError(f"{path}: empty; give a published table, a CSV file")
    header: list[str] = []
    for column in lines[0]:
        times = lines[0][: len(header)].count(column)
        header.append(f"{column} ({times + 1})" if times else column)
    return header, lines[1:]


def _cells(header: Sequence[str], line: Sequence[str]) -> tuple[dict[str, str], list[Doubt]]:
    """Column -> text; cells beyond the header get columns of their own."""
    cells = dict(zip(header, line, strict=False))
    doubts = []
    for place in range(len(header), len(line)):
        column = f"(cell {place + 1})"
        cells[column] = line[place]
        doubts.append(Doubt(column, line[place], "beyond the header's last column"))
    if len(line) < len(header):
        doubts.append(Doubt(header[len(line)], "", f"the row ends before this column, after {len(line)} cells"))
    return cells, doubts


def _history_doubts(cell: str) -> list[Doubt]:
    """A name that no file beside the table has is no doubt, as most were never published; one without `.json` is."""
    if not cell.strip() or cell.strip().endswith(".json"):
        return []
    return [Doubt("history_name", cell, "names no JSON file")]


def _shared_models(file: str, rows: Sequence[tuple[dict[str, Any], History | None]]) -> list[dict[str, str]]:
    """Two runs cannot both have left the model that both name."""
    times = Counter(trial["model_name"] for trial, _ in rows if trial["model_name"])
    reason = "another row names the same model; placed as it stands"
    return [
        _entry(f"{file} row {number}", Doubt("model_name", trial["imported"]["model_name"], reason))
        for number, (trial, _) in enumerate(rows)
        if times[trial["model_name"]] > 1
    ]


def _unplaced_histories(histories: dict[str, HistoryFile], named: set[str]) -> list[dict[str, str]]:
    entries = []
    for file in histories.values():
        reasons = [] if file.name in named else ["no row names this history"]
        reasons += [file.fault] if file.fault else []
        if reasons:
            entries.append(_entry(f"history/{file.name}", Doubt("history", file.text, "; ".join(reasons))))
    return entries


def _entry(source: str, doubt: Doubt) -> dict[str, str]:
    return {"source": source, "field": doubt.field, "content": doubt.content, "reason": doubt.reason}


def _content_hash(data: bytes, histories: dict[str, HistoryFile]) -> str:
    """Of the table and the histories beside it, each framed by its length."""
    digest = hashlib.sha256()
    texts = [text.encode() for file in histories.values() for text in (file.name, file.text)]
    for part in [data, *texts]:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def store_import(store: "Store", read: Import, name: str) -> bool:
    """Store the import; whether it was new. One transaction.

    Raises: StoreError where a search or another import has the name.
    """
    known = store.search(name)
    if known is not None:
        if known.details.get("content_hash") == read.content_hash:
            return False
        raise StoreError(f"{name} is in the store already, with other content; give another --name")
    store.import_search(_search(read, name), read.rows, read.unplaced)
    return True


def _search(read: Import, name: str) -> "NewSearch":
    from results.records import IMPORT, NewSearch

    details = {"file": read.file, "content_hash": read.content_hash, "rows": len(read.rows)}
    return NewSearch(name=name, kind=IMPORT, engine="published", code_version="published", details=details)


def summary(read: Import, name: str, url: str) -> str:
    """What was imported, what found no place, and where to see it."""
    with_history = sum(history is not None for _, history in read.rows)
    files = sum(entry["field"] == "history" for entry in read.unplaced)
    cells = Counter((entry["field"], entry["reason"]) for entry in read.unplaced if entry["field"] != "history")
    lines = [
        f"{name}: {len(read.rows)} rows imported from {read.file}, {with_history} of them with a history",
        f"kept as unplaced: {cells.total()} cells that have no place or are in doubt, {files} histories",
    ]
    lines += [
        f"  {times} x {field or '(first column)'}: {reason}" for (field, reason), times in cells.most_common(MOST_LINES)
    ]
    if len(cells) > MOST_LINES:
        lines.append(f"  and {len(cells) - MOST_LINES} kinds more")
    if read.unplaced:
        lines.append(
            f"see them: python -m results.list --unplaced --search {shlex.quote(name)} --store {shlex.quote(url)}"
        )
    return "\n".join(lines)


def _name(given: str | None, path: Path) -> str:
    name = path.stem if given is None else given.strip()
    if not name or len(name) > LONGEST_NAME or one_line(name) != name or not name.isprintable():
        raise UsageError(f"--name {name[:40]!r}: give one line of 1 to {LONGEST_NAME} printable characters")
    return name


def main(arguments: Sequence[str]) -> int:
    """Run the command; errors as `read_import` and `store_import`."""
    from results.connection import DEFAULT_URL, hide_password

    parser = CommandParser("results.import_csv", "Import a published table of runs and the histories beside it.")
    parser.add_argument("file", metavar="FILE", type=Path, help="a published table, known by its header")
    parser.add_argument("--store", metavar="URL", default=DEFAULT_URL, help="the results store; made where absent")
    parser.add_argument("--name", help="of the import in the store; default: the file's name without .csv")
    options = parser.parse_args(arguments)
    name = _name(options.name, options.file)
    read = read_import(options.file)

    from results.store import Store

    store = Store.open(options.store, create=True)
    try:
        new = store_import(store, read, name)
    finally:
        store.close()
    print(summary(read, name, hide_password(options.store)) if new
          else f"{name}: the same content is in the store already; nothing done")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(run_command("results.import_csv", main, sys.argv[1:]))
