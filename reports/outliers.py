"""Images unlike the others of their part in size, shape or brightness.

The rule: the modified z score 0.6745 (x - median) / MAD of a measure among the part's images is beyond 3.5, and the
image is far enough from the median to matter (`Measure.least`). Where more than half of the images have one value, so
that the MAD is 0, 1.253314 times the mean absolute deviation is the scale: of a normal distribution, both are the
standard deviation.
Source: Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers, for the score and 3.5.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LIMIT = 3.5
COLUMNS = ["path", "part", "measure", "value", "median", "z", "reason"]


@dataclass(frozen=True)
class Measure:
    """What is compared.

    Attributes:
        name, unit: in words. of: images -> values.
        least: how far from the median an outlier is at least: a factor where `factor`, else a difference.
    """

    name: str
    unit: str
    of: Callable[[pd.DataFrame], Any]
    least: float
    factor: bool = False


MEASURES = (
    Measure("size", "megapixels", lambda images: images["width"] * images["height"] / 1e6, 1.5, factor=True),
    Measure("shape", "width / height", lambda images: images["width"] / images["height"], 1.25, factor=True),
    Measure("brightness", "mean grey", lambda images: images["mean"], 20.0),
    Measure("contrast", "standard deviation of grey", lambda images: images["spread"], 20.0),
)


def rule_in_words() -> str:
    """The rule, for the page."""
    least = [
        f"a factor of {each.least:g} in {each.unit}" if each.factor else f"{each.least:g} levels in {each.unit}"
        for each in MEASURES
    ]
    return (
        f"An image is listed where the modified z score of a measure among its part's images is beyond {LIMIT} "
        f"(Iglewicz and Hoaglin 1993: median and median absolute deviation), and it is away from the median by "
        f"{', '.join(least[:-1])} or {least[-1]}."
    )


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The modified z score of each value: (values,); 0 where all are the same. See the module's head.

    >>> robust_z(np.array([1.0, 2.0, 3.0, 4.0, 100.0])).round(2).tolist()
    [-1.35, -0.67, 0.0, 0.67, 65.43]
    """
    away = values - np.median(values)
    scale = np.median(np.abs(away)) / 0.6745 or np.abs(away).mean() * 1.253314
    return np.asarray(away / scale if scale else np.zeros_like(away), np.float64)


def outliers_table(images: pd.DataFrame) -> pd.DataFrame:
    """The outliers, the farthest first; an image may be one in several measures.

    Args:
        images: columns path, part, width, height, mean, spread.
    Returns: path, part, measure, value, median (of the part), z, reason (in words).
    """
    rows = [
        row for part, own in images.groupby("part") for measure in MEASURES for row in _rows(str(part), own, measure)
    ]
    rows.sort(key=lambda row: (-abs(row[5]), row[0], row[2]))
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(part: str, images: pd.DataFrame, measure: Measure) -> list[tuple[str, str, str, float, float, float, str]]:
    values = np.asarray(measure.of(images), np.float64)
    scale = np.log(values) if measure.factor else values
    least = math.log(measure.least) if measure.factor else measure.least
    scores = robust_z(scale)
    far = (np.abs(scores) > LIMIT) & (np.abs(scale - np.median(scale)) >= least)
    median = float(np.median(values))
    rows = []
    for row in np.flatnonzero(far):
        value, z = float(values[row]), round(float(scores[row]), 1)
        reason = f"{measure.unit} {value:.3g}; the median of {part} is {median:.3g}"
        rows.append((images["path"].iloc[row], part, measure.name, round(value, 4), round(median, 4), z, reason))
    return rows
