"""Keras training histories in a folder beside a table: JSON files, metric name -> one value an epoch."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

History = dict[str, list[float | None]]


@dataclass(frozen=True)
class HistoryFile:
    """A file as it stood.

    Attributes:
        history: None where the text is no history.
        fault: why the text must be kept besides (or instead of) the history; None where the history says it all.
    """

    name: str
    text: str
    history: History | None
    fault: str | None


def read_histories(folder: Path) -> dict[str, HistoryFile]:
    """All `.json` files of the folder by name, none where there is no folder.

    Bytes that are no UTF-8 are kept as escapes, so that a damaged file is kept too.
    """
    files = sorted(path for path in folder.glob("*.json") if path.is_file())
    return {path.name: _read(path.name, path.read_bytes().decode("utf-8", "backslashreplace")) for path in files}


def named_history(cell: str, files: Mapping[str, HistoryFile]) -> HistoryFile | None:
    """The file that a cell such as `history/NAME.json` names by its base name; a missing `.json` is forgiven."""
    base = PurePosixPath(cell.strip()).name
    return files.get(base) or files.get(f"{base}.json")


def _read(name: str, text: str) -> HistoryFile:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return HistoryFile(name, text.replace("\0", "\\x00"), None, "not JSON")
    if not _is_history(content):
        return HistoryFile(name, text, None, "not a history: metric name -> one number an epoch")
    history = {metric: [_finite(value) for value in values] for metric, values in content.items()}
    same = all(None not in values for values in history.values())
    return HistoryFile(name, text, history, None if same else "holds epochs without a finite value, stored as absent")


def _is_history(content: Any) -> bool:
    if not isinstance(content, dict) or not any(content.values()):
        return False
    lists = all(isinstance(values, list) for values in content.values())
    return lists and all(_is_number(value) for values in content.values() for value in values)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _finite(value: float | None) -> float | None:
    # Written as a comparison, because whole numbers beyond a float's range make math.isfinite raise.
    return value if value is not None and -sys.float_info.max <= value <= sys.float_info.max else None
