"""What a model says of an image or a study, and of a file that it could not read; as text, JSON and CSV."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbing.text import printable
from predict.files import ImageFile
from results.export import harmless

NOT_OF_THE_KIND = "this does not look like a radiograph of the trained kind"

COLUMNS = (
    "path",
    "part",
    "label",
    "probability",
    "raw_probability",
    "model",
    "threshold",
    "images",
    "warnings",
    "error",
)
FOUND_COLUMNS = (*COLUMNS, "found_probability", "found_by")  # where the part was not given


@dataclass(frozen=True)
class Verdict:
    """What the model says of an image or a study.

    Attributes:
        path: of the image, or of the study's folder; empty for an image in memory.
        probability: calibrated; P(abnormal) for a part, of the label for all_parts. raw_probability: as at training.
        raw: (1,) or (14,) raw probabilities, from which a study's are averaged.
        threshold: from which calibrated P(abnormal) on the label is abnormal; None for all_parts, whose label is the
            likeliest. images: that it is of. warnings: why to trust it less.
        found: where the part was not given, the verdict of a model of all parts on which it is: `label` the part,
            `probability` P(part), calibrated. file: that it is of, where it may be read again.
        is_strange: whether it lies beyond what the model was trained on, of a study whether all its images do; None
            where the model's file does not tell.
    """

    path: str
    part: str
    label: str
    probability: float
    raw_probability: float
    model: str
    raw: NDArray[np.float64]
    threshold: float | None
    images: int = 1
    warnings: tuple[str, ...] = ()
    found: "Verdict | None" = None
    file: ImageFile | None = field(default=None, repr=False)
    is_strange: bool | None = None


@dataclass(frozen=True)
class Unread:
    """A file that got no verdict, and why."""

    path: str
    error: str


def as_json(found: Verdict | Unread) -> dict[str, Any]:
    """One entry of the JSON document, as the command contract has it."""
    if isinstance(found, Unread):
        return {"path": found.path, "error": found.error}
    names = ("path", "part", "label", "probability", "raw_probability", "model")
    entry = {name: getattr(found, name) for name in names} | {"warnings": list(found.warnings)}
    if (by := found.found) is not None:
        entry["found"] = {"part": by.label, "probability": by.probability, "model": by.model}
    return entry


def as_row(found: Verdict | Unread) -> Mapping[str, Any]:
    """A line of CSV: all of `FOUND_COLUMNS`, absent ones empty; no text is a formula to a spreadsheet."""
    entry = {name: getattr(found, name, None) for name in FOUND_COLUMNS}
    if isinstance(found, Verdict):
        entry["warnings"] = "; ".join(found.warnings)
        if (by := found.found) is not None:
            entry |= {"found_probability": by.probability, "found_by": by.model}
    cells = {name: "" if each is None else each for name, each in entry.items()}
    return {name: harmless(each) if isinstance(each, str) else each for name, each in cells.items()}


def as_line(found: Verdict) -> str:
    """A verdict for a person, in one line that a terminal shows as it is."""
    of = "abnormal" if found.label in ("normal", "abnormal") else found.label
    by, told = found.found, f"{found.label}  P({of}) = {found.probability:.3f}  ({found.model})"
    if found.is_strange:
        told = f"NOT JUDGED: {NOT_OF_THE_KIND}; were it one: {told}"
    if by is not None:
        told = f"found: {by.label}, P = {by.probability:.3f} ({by.model})  {told}"
    told = f"{found.path}: {told}"
    warnings = [each for each in found.warnings if each != NOT_OF_THE_KIND]
    return printable("  ".join([told, *(f"WARNING: {each}" for each in warnings)]))
