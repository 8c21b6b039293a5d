"""What a model says of an image or a study, and of a file that it could not read; as text, JSON and CSV."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.export import harmless

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


@dataclass(frozen=True)
class Verdict:
    """What the model says of an image or a study.

    Attributes:
        path: of the image, or of the study's folder; empty for an image in memory.
        probability: calibrated; P(abnormal) for a part, of the label for all_parts. raw_probability: as at training.
        raw: (1,) or (14,) raw probabilities, from which a study's are averaged.
        threshold: from which calibrated P(abnormal) on the label is abnormal; None for all_parts, whose label is the
            likeliest. images: that it is of. warnings: why to trust it less.
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
    return {name: getattr(found, name) for name in names} | {"warnings": list(found.warnings)}


def as_row(found: Verdict | Unread) -> Mapping[str, Any]:
    """A line of CSV: all of `COLUMNS`, absent ones empty; no text is a formula to a spreadsheet."""
    entry = {name: getattr(found, name, None) for name in COLUMNS}
    if isinstance(found, Verdict):
        entry["warnings"] = "; ".join(found.warnings)
    cells = {name: "" if each is None else each for name, each in entry.items()}
    return {name: harmless(each) if isinstance(each, str) else each for name, each in cells.items()}


def as_line(found: Verdict) -> str:
    """A verdict for a person."""
    of = "abnormal" if found.label in ("normal", "abnormal") else found.label
    told = f"{found.path}: {found.label}  P({of}) = {found.probability:.3f}  ({found.model})"
    return "  ".join([told, *(f"WARNING: {each}" for each in found.warnings)])
