"""The two published tables: how their columns become ours, and what of a row cannot be trusted or placed.

Known by their headers: the table of all hand-made runs, and the table of the tuned ones. Cells are text as it stood;
every cell stays in the store whatever is said here, so this module only decides what is placed besides, and where.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from plumbing.errors import UsageError

Cells = Mapping[str, str]

WHOLE, REAL, PER_CENT = "whole", "real", "per cent"
LARGEST = 2**31 - 1  # of a database's integer
LONGEST = 200  # of a name_code
UNKNOWN = "unknown"

PARTS = frozenset(
    {"XR_ELBOW", "XR_FINGER", "XR_FOREARM", "XR_HAND", "XR_HUMERUS", "XR_SHOULDER", "XR_WRIST", "all_parts"}
)
# How a name begins, in lower case -> the architecture.
ARCHITECTURES = {
    "base_model": "base_cnn",
    "base cnn": "base_cnn",
    "base_cnn": "base_cnn",
    "densenet": "densenet121",
    "resnet": "resnet152",
    "inception": "inception_v3",
    "xception": "xception",
}
LEVELS = {"no": "no", "no_augment": "no", "light_augment": "light", "deep_augment": "deep"}
LEVEL_IN_NAME = re.compile(r"(?:^|_)(no|light|deep)_?augm")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?", re.ASCII)
TRIAL_COLUMNS = frozenset(
    {"fit_epochs", "early_stop_at_epoch", "train_accuracy_eval", "valid_accuracy_eval", "test_accuracy_eval"}
)


@dataclass(frozen=True)
class Number:
    """A column that should hold numbers; `name` is ours, None where the cell is kept as text only."""

    column: str
    kind: str
    name: str | None = None


@dataclass(frozen=True)
class Layout:
    """A published table.

    Attributes:
        levels: columns that tell the augmentation level, the most telling first.
        remarks: columns of free text, into which other columns' text may have slid.
        ended: the column that says `finished`, None where the table has none.
    """

    numbers: tuple[Number, ...]
    levels: tuple[str, ...]
    remarks: tuple[str, ...]
    ended: str | None = None

    def columns(self) -> frozenset[str]:
        """All columns that are read; a table is known by having them."""
        numbers = {number.column for number in self.numbers}
        ended = {self.ended} if self.ended else set()
        return frozenset(
            numbers | ended | {*self.levels, *self.remarks, "name_code", "part_body", "nbk_name", *FILE_COLUMNS}
        )


FILE_COLUMNS = ("model_name", "history_name")
ACCURACIES = tuple(
    Number(f"{split}_accuracy_eval", PER_CENT, f"{split}_accuracy_eval") for split in ("train", "valid", "test")
)
RUNS = Layout(
    numbers=(
        Number("lr", REAL, "lr"),
        Number("conv_layers", WHOLE, "blocks"),
        Number("conv_dropout", REAL, "conv_dropout"),
        Number("units", WHOLE, "output_units"),  # not our hidden units: it is 1 for sigmoid models
        Number("callbacks_patience", WHOLE, "callbacks_patience"),
        Number("fit_epochs", WHOLE, "fit_epochs"),
        Number("ealry_stop_at_epoch", WHOLE, "early_stop_at_epoch"),
        *ACCURACIES,
        Number("validation_steps", WHOLE),
        Number("steps_per_epoch", WHOLE),
        *(Number(f"test_{metric}", PER_CENT) for metric in ("accuracy", "f1score", "precision", "recall")),
        Number("test_loss_eval", REAL),
    ),
    levels=("type_augment", "augmentation"),
    remarks=("name", "comments"),
)
TUNED_RUNS = Layout(
    numbers=(
        Number("patience", WHOLE, "callbacks_patience"),
        Number("epochs", WHOLE, "fit_epochs"),
        Number("early_stop", WHOLE, "early_stop_at_epoch"),
        Number("Units", WHOLE, "units"),
        Number("Learning rate", REAL, "lr"),
        Number("Convolutional blocks", WHOLE, "blocks"),
        Number("Dropout rate", REAL, "conv_dropout"),
        *ACCURACIES,
    ),
    levels=("augmentation",),
    remarks=("result",),
    ended="success",
)
LAYOUTS = (RUNS, TUNED_RUNS)


@dataclass(frozen=True)
class Doubt:
    """A cell that found no place, or one that cannot be right."""

    field: str
    content: str
    reason: str


def layout_of(header: Sequence[str], file: str) -> Layout:
    """The published table that has this header.

    Raises: UsageError naming what is missing from the one that comes nearest.
    """
    missing = min((sorted(layout.columns() - set(header)) for layout in LAYOUTS), key=len)
    for layout in LAYOUTS:
        if layout.columns() <= set(header):
            return layout
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    raise UsageError(f"{file}: none of the published tables; its header lacks {shown}; give one of those files")


def place_row(layout: Layout, cells: Cells) -> tuple[dict[str, Any], list[Doubt]]:
    """What a row says, as values of `results_trials` with `imported` (every cell as it stood), and the doubts.

    A transfer model's backbone was frozen, with ImageNet weights, at 320 px, as the published report tells.
    """
    numbers, doubts = _numbers(layout, cells)
    architecture = _architecture(cells, doubts)
    level = _level(layout, cells, doubts)
    trial: dict[str, Any] = {
        "state": "finished",
        "part_body": _part(cells, doubts),
        "architecture": architecture,
        "name_code": _name_code(cells, doubts),
        "model_name": cells.get("model_name", "").strip() or None,
        "imported": dict(cells),
    }
    settings: dict[str, Any] = {} if level is None else {"augmentation": level}
    if architecture not in (UNKNOWN, "base_cnn"):
        trial |= {"weights": "imagenet", "image_size": 320}
        settings["frozen"] = "all"
    for name, value in numbers.items():
        (trial if name in TRIAL_COLUMNS else settings)[name] = value
    doubts += _contradictions(layout, cells, trial) + _slid_texts(layout, cells)
    return trial | {"configuration": settings}, doubts


def read_number(text: str, kind: str) -> int | float | None:
    """The cell's number, None where it is empty.

    Raises: ValueError whose message says why it is none.

    >>> read_number("20.0", WHOLE), read_number(" 58.91", PER_CENT), read_number("", REAL)
    (20, 58.91, None)
    """
    text = text.strip()
    if not text:
        return None
    if DATE.fullmatch(text):
        raise ValueError("a date where a number belongs")
    if not NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError("not a number")
    value = float(text)
    if kind == PER_CENT and not 0 <= value <= 100:
        raise ValueError("not a per cent from 0 to 100")
    if kind != WHOLE:
        return value
    if not value.is_integer() or not 0 <= value <= LARGEST:
        raise ValueError("not a whole number from 0")
    return int(value)


def _numbers(layout: Layout, cells: Cells) -> tuple[dict[str, int | float], list[Doubt]]:
    numbers, doubts = {}, []
    for number in layout.numbers:
        text = cells.get(number.column, "")
        try:
            value = read_number(text, number.kind)
        except ValueError as error:
            doubts.append(Doubt(number.column, text, str(error)))
            continue
        if value is not None and number.name:
            numbers[number.name] = value
    return numbers, doubts


def _architecture(cells: Cells, doubts: list[Doubt]) -> str:
    for column in ("name_code", "name"):
        text = cells.get(column, "").strip().lower()
        for begin, architecture in ARCHITECTURES.items():
            if text.startswith(begin):
                return architecture
    doubts.append(Doubt("name_code", cells.get("name_code", ""), "names no known architecture"))
    return UNKNOWN


def _part(cells: Cells, doubts: list[Doubt]) -> str:
    text = cells.get("part_body", "")
    if text.strip() in PARTS:
        return text.strip()
    doubts.append(Doubt("part_body", text, "not a body part"))
    return UNKNOWN


def _name_code(cells: Cells, doubts: list[Doubt]) -> str:
    text = cells.get("name_code", "").strip()
    if len(text) > LONGEST:
        doubts.append(Doubt("name_code", text, f"longer than {LONGEST} characters; placed without its end"))
    return text[:LONGEST] or UNKNOWN


def _level(layout: Layout, cells: Cells, doubts: list[Doubt]) -> str | None:
    """The augmentation level: of the first column that tells one, else of the name code."""
    levels = []
    for column in layout.levels:
        text = cells.get(column, "")
        level = LEVELS.get(text.strip().lower())
        if level:
            levels.append(level)
        elif text.strip().upper() not in ("", "YES"):  # YES: the other column says which
            doubts.append(Doubt(column, text, "not an augmentation level"))
    in_name = LEVEL_IN_NAME.search(cells.get("name_code", ""))
    return (levels + ([in_name[1]] if in_name else []) + [None])[0]


def _contradictions(layout: Layout, cells: Cells, trial: Mapping[str, Any]) -> list[Doubt]:
    doubts = []
    stop, epochs = trial.get("early_stop_at_epoch"), trial.get("fit_epochs")
    if stop is not None and epochs is not None and stop > epochs:
        column = next(number.column for number in layout.numbers if number.name == "early_stop_at_epoch")
        doubts.append(Doubt(column, cells[column], "later than the last epoch; placed as it stands"))
    if layout.ended and (text := cells.get(layout.ended, "")).strip() not in ("", "finished"):
        doubts.append(Doubt(layout.ended, text, "a remark where 'finished' belongs"))
    return doubts


def _slid_texts(layout: Layout, cells: Cells) -> list[Doubt]:
    """Remarks that are the beginning of the row's notebook or model name."""
    doubts = []
    for column in layout.remarks:
        text = cells.get(column, "")
        for home in ("nbk_name", "model_name"):
            if text.strip() and PurePosixPath(cells.get(home, "").strip()).stem.startswith(text.strip()):
                doubts.append(Doubt(column, text, f"text of {home} slid here"))
    return doubts
