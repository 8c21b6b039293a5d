"""Images that are in a data set twice, exactly or nearly, and which of them are leaks.

A leak is an image, or its near duplicate, in two splits or of two patients: what is measured on the one was learned
from the other, or may be after the next cut. A patient in both of MURA's folders is one, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radiographs.parts import LABELS
from radiographs.perceptual import near_pairs
from radiographs.splits import SPLITS

EXACT, NEAR, PATIENT = "same file", "near duplicate", "patient"
COLUMNS = ["kind", "leak", "patients", "labels", "distance", "correlation", "paths"]


@dataclass(frozen=True)
class Duplicate:
    """Two images or more that are the same, or two that nearly are.

    Attributes:
        kind: EXACT (equal bytes) or NEAR.
        paths: sorted; `splits`, `patients` and `labels` are those of the images, each once.
        distance, correlation: see `radiographs.perceptual`; 0 and 1 of equal files.
    """

    kind: str
    paths: tuple[str, ...]
    splits: tuple[str, ...]
    patients: tuple[str, ...]
    labels: tuple[str, ...]
    distance: int = 0
    correlation: float = 1.0

    @property
    def leak(self) -> str:
        """Between what it leaks; empty where it is no leak."""
        if len(self.splits) > 1:
            return f"between splits: {' and '.join(self.splits)}"
        return f"between patients, in {self.splits[0]}" if len(self.patients) > 1 else ""


def find_duplicates(images: pd.DataFrame, pixels: NDArray[np.uint8]) -> list[Duplicate]:
    """Groups of equal files, and pairs of near duplicates among different files; leaks between splits first.

    Args:
        images: columns path, split, patient, label (0 or 1), digest.
        pixels: (images, side, side) uint8, row for row.
    """
    groups = images.groupby("digest", sort=False).indices.values()
    found = [_duplicate(EXACT, images.iloc[rows]) for rows in groups if len(rows) > 1]
    pairs = near_pairs(pixels)
    digests = images["digest"].to_numpy()
    for row in np.flatnonzero(digests[pairs.first] != digests[pairs.second]):
        both = images.iloc[[pairs.first[row], pairs.second[row]]]
        found.append(_duplicate(NEAR, both, int(pairs.distance[row]), float(pairs.correlation[row])))
    return sorted(found, key=lambda each: (_gravity(each), each.kind == NEAR, -each.correlation, each.paths))


def _duplicate(kind: str, images: pd.DataFrame, distance: int = 0, correlation: float = 1.0) -> Duplicate:
    present = set(images["split"])
    return Duplicate(
        kind,
        tuple(sorted(images["path"])),
        tuple(split for split in SPLITS if split in present),
        tuple(sorted(set(images["patient"]))),
        tuple(LABELS[label] for label in sorted(set(images["label"]))),
        distance,
        correlation,
    )


def _gravity(duplicate: Duplicate) -> int:
    if len(duplicate.splits) > 1:
        return 0
    return 1 if duplicate.leak else 2


def duplicates_table(duplicates: Sequence[Duplicate]) -> pd.DataFrame:
    """kind, leak, patients, labels, distance, correlation, paths; a row each, lists joined by " = "."""
    rows = [
        (each.kind, each.leak, " = ".join(each.patients), ", ".join(each.labels), each.distance,
         round(each.correlation, 4), " = ".join(each.paths))
        for each in duplicates
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def patients_in_both(scanned: pd.DataFrame, patients: Sequence[str]) -> pd.DataFrame:
    """The leaks that are patients in both of MURA's folders, as rows of `duplicates_table`.

    Args:
        scanned: as `radiographs.table.scan` gives it.
        patients: as `radiographs.splits.leaking_patients` names them.
    """
    rows = []
    for patient in patients:
        own = scanned[scanned["patient"] == patient]
        labels = ", ".join(LABELS[label] for label in sorted(set(own["label"])))
        where = "between splits: train and test (its train images are left out)"
        rows.append((PATIENT, where, patient, labels, None, None, " = ".join(own["path"])))
    return pd.DataFrame(rows, columns=COLUMNS)
