"""What a data set holds, as tables: images, patients, studies, views a study, sizes, greys."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radiographs.parts import LABELS, PARTS
from radiographs.splits import SPLITS
from radiographs.survey import BINS, grey_shares

IMAGE_COLUMNS = ["path", "part", "patient", "study", "split", "label", "width", "height", "mean", "spread", "digest"]
MOST_VIEWS = 5  # studies of more count with these


def parts_in(images: pd.DataFrame) -> list[str]:
    """The parts that have images, in their fixed order."""
    present = set(images["part"])
    return [part for part in PARTS if part in present]


def image_rows(images: pd.DataFrame) -> pd.DataFrame:
    """One row an image, its label in words: `IMAGE_COLUMNS`."""
    table = images.assign(label=[LABELS[label] for label in images["label"]])
    return table[IMAGE_COLUMNS].round({"mean": 2, "spread": 2})


def counts_table(images: pd.DataFrame) -> pd.DataFrame:
    """part, split, label, patients, studies, images; a row for each part, split and label, with or without images.

    A patient with normal and abnormal studies counts in both rows.
    """
    rows = []
    for part in parts_in(images):
        for split in SPLITS:
            for number, label in enumerate(LABELS):
                chosen = (images["part"] == part) & (images["split"] == split) & (images["label"] == number)
                own = images[chosen]
                rows.append((part, split, label, own["patient"].nunique(), own["study"].nunique(), len(own)))
    return pd.DataFrame(rows, columns=["part", "split", "label", "patients", "studies", "images"])


def people_table(images: pd.DataFrame) -> pd.DataFrame:
    """part, split, patients, studies; a row for each part and split."""
    rows = []
    for part in parts_in(images):
        for split in SPLITS:
            own = images[(images["part"] == part) & (images["split"] == split)]
            rows.append((part, split, own["patient"].nunique(), own["study"].nunique()))
    return pd.DataFrame(rows, columns=["part", "split", "patients", "studies"])


def views_table(images: pd.DataFrame) -> pd.DataFrame:
    """part, views (images of a study; MOST_VIEWS stands for that many or more), studies."""
    views = images.groupby(["part", "study"], as_index=False).size().rename(columns={"size": "views"})
    views["views"] = views["views"].clip(upper=MOST_VIEWS)
    counted = views.groupby(["part", "views"], as_index=False).agg(studies=("study", "size"))
    return counted.sort_values(["part", "views"], key=_in_order, ignore_index=True)


def sizes_table(images: pd.DataFrame) -> pd.DataFrame:
    """part, width, height, images; a row for each size that occurs."""
    counted = images.groupby(["part", "width", "height"], as_index=False).agg(images=("path", "size"))
    return counted.sort_values(["part", "width", "height"], key=_in_order, ignore_index=True)


def _in_order(column: pd.Series) -> pd.Series:
    return column.map(PARTS.index) if column.name == "part" else column


def greys_table(images: pd.DataFrame, pixels: NDArray[np.uint8]) -> pd.DataFrame:
    """part, label, grey (the bin's lowest level), share (of the pixels of that part's and label's images).

    Args:
        pixels: (images, side, side), row for row.
    """
    rows = []
    for part in parts_in(images):
        for number, label in enumerate(LABELS):
            chosen = ((images["part"] == part) & (images["label"] == number)).to_numpy()
            if chosen.any():
                shares = grey_shares(pixels[chosen]).round(6)
                rows += [(part, label, row * 256 // BINS, float(share)) for row, share in enumerate(shares)]
    return pd.DataFrame(rows, columns=["part", "label", "grey", "share"])
