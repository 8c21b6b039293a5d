"""A look at the radiographs themselves beside a report: examples, sizes, duplicates, leaks.

Only where their folder is given, since a store holds no pixels. It is `reports.explore` that reads the folder, each
image once; the few that are shown are read again. A page that shows radiographs must not be passed on where their terms
forbid it, as MURA's agreement does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from plumbing.seeds import seed_of
from radiographs.dataset import data_hash_of
from radiographs.parts import ALL_PARTS, LABELS, TASKS, class_number, parts_of
from reports.explore import Exploration, explore, explore_tables
from reports.explore_figures import sizes_figure
from reports.explore_page import duplicate_sentences, first_rows, leak_sentences, near_exhibits
from reports.pictures import Picture, picture
from reports.small_radiographs import Exhibit, exhibit
from reports.tables import TextTable, plain_line
from results.records import Search

EXAMPLES = 3  # of each part and label
EXAMPLE_SIDE = 144  # pixels of the longer one: as wide as three stand side by side
TABLES = ("leaks", "duplicates", "sizes")


@dataclass(frozen=True)
class DataLook:
    """What was found in the folder.

    Attributes:
        folder: as a plain line. only: the part that was read, empty for all. same: whether its images are those of all
            searches. match: sentences on that. leaks, duplicates: their first rows, None where there are none.
        near: near duplicates to look at. examples: a few radiographs of each part and label.
        tables: file name without ending -> table, whole. images: as `reports.explore.explore` surveyed them.
    """

    folder: str
    only: str
    same: bool
    match: tuple[str, ...]
    leak_sentences: Sequence[str]
    leaks: TextTable | None
    duplicate_sentences: Sequence[str]
    duplicates: TextTable | None
    near: Sequence[Exhibit]
    examples: Sequence[Exhibit]
    sizes: Picture
    tables: Mapping[str, pd.DataFrame]
    images: pd.DataFrame


def look_at(data: Path, searches: Sequence[Search]) -> DataLook:
    """Read the images of the searches' part, or of all parts where they are of several.

    Raises: DataError where the folder, its train or valid, or readable images are missing. OSError or
        radiographs.decoding.Unreadable where an image goes or changes meanwhile.
    """
    tasks = list(dict.fromkeys(str(search.task) for search in searches if search.task in TASKS))
    task = tasks[0] if len(tasks) == 1 else ALL_PARTS
    found = explore(data, task)
    tables, images = explore_tables(found), found.survey.images
    same, match = data_match(found, searches)
    return DataLook(
        folder=plain_line(found.root),
        only="" if task == ALL_PARTS else task,
        same=same,
        match=tuple(match),
        leak_sentences=leak_sentences(tables["leaks"]),
        leaks=first_rows(tables["leaks"]),
        duplicate_sentences=duplicate_sentences(found.duplicates),
        duplicates=first_rows(tables["duplicates"]),
        near=near_exhibits(found.root, images, found.duplicates),
        examples=example_exhibits(found),
        sizes=picture("sizes", "Width and height of the images, per part.", partial(sizes_figure, tables["sizes"])),
        tables={name: tables[name] for name in TABLES},
        images=images,
    )


def data_match(found: Exploration, searches: Iterable[Search]) -> tuple[bool, list[str]]:
    """Whether the folder holds the images of all searches, by their data hash; and sentences on each task."""
    hashes: dict[str, list[str]] = {}
    unknown: list[str] = []
    for search in searches:
        if search.task in TASKS and search.data_hash:
            hashes.setdefault(str(search.task), []).append(search.data_hash)
        else:
            unknown.append(plain_line(search.name))
    told, same = [], bool(hashes)
    for task, stored in hashes.items():
        here, others = task_hash(found.survey.images, task), list(dict.fromkeys(stored))
        if others == [here]:
            told.append(f"{task}: these are the images of its searches, unchanged (data hash {here[:12]}).")
            continue
        same = False
        whose = "of some of its searches only" if here in others else "NOT those of its searches"
        kept = ", ".join(plain_line(each)[:12] for each in others)
        told.append(f"{task}: the images are {whose} (data hash {here[:12]} here, {kept} in the store).")
    if unknown:
        told.append(f"Which images {', '.join(unknown)} had is not in the store.")
    return same, told


def task_hash(images: pd.DataFrame, task: str) -> str:
    """The data hash that a search of the task on these images has.

    Args:
        images: as `reports.explore.explore` surveys them.
    """
    own = images[images["part"].isin(parts_of(task))]
    pairs = zip(own["part"], own["label"], strict=True)
    return data_hash_of(own.assign(label=[class_number(task, part, label) for part, label in pairs]))


def example_exhibits(found: Exploration) -> list[Exhibit]:
    """A few radiographs of each part and label, drawn by the hash of their paths from train: test is not looked at."""
    images = found.survey.images
    train = images[images["split"] == "train"]
    shown = []
    for (part, label), own in train.groupby(["part", "label"]):
        paths = sorted(own["path"], key=lambda path: seed_of("example", path))[:EXAMPLES]
        shown.append(exhibit(found.root, images, paths, f"{part}, {LABELS[label]}", EXAMPLE_SIDE))
    return shown
