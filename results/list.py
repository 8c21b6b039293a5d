"""List the searches and imports of a store.

    python -m results.list [--store URL] [--search NAME] [--unplaced] [--json]

`best` is the highest objective value among finished trials; imports have none. `--unplaced` shows besides what imports
could not place: cells and histories, with their source (rows count from 0, as trials do) and the reason.
"""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from plumbing.command import CommandParser, one_line, run_command
from plumbing.errors import StoreError

if TYPE_CHECKING:
    from results.store import Store

SHOWN = 60  # characters of an unplaced content in plain text; --json has it whole
STATES = ("finished", "running", "pruned", "failed")
HEADER = ("name", "kind", "engine", "task", "objective", *STATES, "best", "made", "unplaced")


def listed(store: "Store", name: str | None = None) -> list[dict[str, Any]]:
    """One entry a search or import, oldest first, or the one of that name.

    Raises: StoreError where there is none of that name.
    """
    searches, summaries = store.searches(), store.summaries()
    if name is not None and name not in {search.name for search in searches}:
        known = ", ".join(search.name for search in searches) or "nothing"
        raise StoreError(f"--search {name}: not in the store, which holds {known}")
    return [
        {
            "name": search.name,
            "kind": search.kind,
            "engine": search.engine,
            "task": search.task,
            "objective": search.objective,
            "trials": {state: summaries[search.id].trials.get(state, 0) for state in STATES},
            "best_value": summaries[search.id].best_value,
            "created": search.created,
            "unplaced": summaries[search.id].unplaced,
        }
        for search in searches
        if name in (None, search.name)
    ]


def unplaced(store: "Store", names: Sequence[str]) -> list[dict[str, str]]:
    """What the imports of these names could not place: search, source, field, content, reason."""
    searches = [search for search in store.searches() if search.name in names]
    return [{"search": search.name} | entry for search in searches for entry in store.unplaced(search.id)]


def plain_list(entries: Sequence[dict[str, Any]]) -> str:
    """The entries as aligned text."""
    if not entries:
        return "no searches yet"
    rows = [
        (
            entry["name"],
            entry["kind"],
            entry["engine"],
            entry["task"] or "-",
            entry["objective"] or "-",
            *(str(entry["trials"][state]) for state in STATES),
            "-" if entry["best_value"] is None else f"{entry['best_value']:.4f}",
            entry["created"],
            str(entry["unplaced"]) if entry["kind"] == "import" else "-",
        )
        for entry in entries
    ]
    return aligned([HEADER, *rows])


def plain_unplaced(entries: Sequence[dict[str, str]]) -> str:
    """The entries as aligned text, long contents cut."""
    if not entries:
        return "nothing is unplaced"
    names = ("search", "source", "field", "reason", "content")
    return aligned(
        [names, *([_cut(repr(e[name]) if name == "content" else e[name]) for name in names] for e in entries)]
    )


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells in columns, two spaces between them; a line break in a cell becomes a space.

    >>> print(aligned([("name", "best"), ("a", "0.9000")]))
    name  best
    a     0.9000
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Raises: StoreError where the store cannot be read, or has no such search.
    """
    from results.connection import DEFAULT_URL

    parser = CommandParser("results.list", "List the searches and imports of a store.")
    parser.add_argument("--store", metavar="URL", default=DEFAULT_URL, help="the results store")
    parser.add_argument("--search", metavar="NAME", help="only this search or import; default: all")
    parser.add_argument("--unplaced", action="store_true", help="show what imports could not place, and why")
    parser.add_argument("--json", action="store_true", help="one JSON document; --unplaced adds `unplaced_entries`")
    options = parser.parse_args(arguments)

    from results.store import Store

    store = Store.open(options.store)
    try:
        entries = listed(store, options.search)
        kept = unplaced(store, [entry["name"] for entry in entries]) if options.unplaced else None
    finally:
        store.close()
    if options.json:
        for entry in entries if kept is not None else []:
            entry["unplaced_entries"] = [each for each in kept or [] if each["search"] == entry["name"]]
        print(json.dumps(entries, indent=2, allow_nan=False))
    else:
        print(plain_list(entries) if kept is None else f"{plain_list(entries)}\n\n{plain_unplaced(kept)}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command("results.list", main, sys.argv[1:]))
