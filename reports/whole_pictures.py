"""The pictures of a report that are drawn of all parts together, or with one scale for all."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from radiographs.parts import ALL_PARTS
from reports.accuracy_plot import accuracy_figure, accuracy_limits, accuracy_title
from reports.data_plot import images_figure
from reports.pictures import Picture, picture
from reports.recall import Recall

Limits = tuple[float, float]


def begin_accuracies(accuracies: Mapping[str, pd.DataFrame], names: Mapping[str, str], recall: Recall) -> None:
    """Have `accuracy_pictures` of the same drawn meanwhile."""
    for job in _jobs(accuracies, names).values():
        recall.begin(*job)


def accuracy_pictures(
    accuracies: Mapping[str, pd.DataFrame], names: Mapping[str, str], recall: Recall
) -> dict[str, Picture]:
    """Part -> its accuracy plot, if it has accuracies. Parts share a scale; all_parts, of 14 classes, has its own.

    Args:
        accuracies: part -> what `reports.accuracy_plot.accuracy_table` gives.
        names: part -> its name within file names.
    """
    return {part: recall(*job) for part, job in _jobs(accuracies, names).items()}


def _jobs(
    accuracies: Mapping[str, pd.DataFrame], names: Mapping[str, str]
) -> dict[str, tuple[tuple[str, str], list[Any], Callable[[], Picture]]]:
    tables = {part: table for part, table in accuracies.items() if len(table)}
    shared = accuracy_limits(table for part, table in tables.items() if part != ALL_PARTS)
    limits = {part: accuracy_limits([table]) if part == ALL_PARTS else shared for part, table in tables.items()}
    return {
        part: (("accuracy", part), [table, limits[part]], partial(_accuracies, names[part], table, limits[part]))
        for part, table in tables.items()
    }


def _accuracies(name: str, table: pd.DataFrame, limits: Limits) -> Picture:
    alt = f"{accuracy_title(table)}; train, valid and test, per cent."
    return picture(f"accuracy_{name}", alt, partial(accuracy_figure, table, limits))


def image_pictures(images: pd.DataFrame, recall: Recall) -> list[Picture]:
    """The bars of the parts' own data and of all_parts' data, where the store has their image lists.

    Args:
        images: as `reports.data_plot.images_table` gives them.
    """
    whole = images["task"] == ALL_PARTS
    kinds = {"images_parts": images[~whole], "images_all_parts": images[whole]}
    return [recall(stem, [table], partial(_images, stem, table)) for stem, table in kinds.items() if len(table)]


def _images(stem: str, table: pd.DataFrame) -> Picture:
    tasks = ", ".join(dict.fromkeys(table["task"]))
    alt = f"Images per part and label: {table['images'].sum():,} of {tasks}."
    return picture(stem, alt, partial(images_figure, table))
