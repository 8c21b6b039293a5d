"""Duplicates and leaks, from tables and pixels."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plumbing.seeds import generator_of
from reports.duplicates import EXACT, NEAR, duplicates_table, find_duplicates, patients_in_both


def pictures(*numbers: int) -> NDArray[np.uint8]:
    """The same number is the same picture."""
    drawn = [generator_of("picture", number).integers(0, 256, (64, 64), np.uint8) for number in numbers]
    return np.array(drawn, np.uint8).reshape(-1, 64, 64)


def table(*rows: tuple[str, str, int, str]) -> pd.DataFrame:
    images = pd.DataFrame(rows, columns=["patient", "split", "label", "digest"])
    return images.assign(path=[f"{patient}/{row}.png" for row, patient in enumerate(images["patient"])])


def test_the_gravest_leak_stands_first() -> None:
    images = table(
        ("a", "train", 0, "1"), ("a", "train", 0, "1"),
        ("b", "train", 0, "2"), ("c", "train", 1, "2"),
        ("d", "train", 0, "3"), ("e", "test", 0, "4"),
    )  # fmt: skip

    found = find_duplicates(images, pictures(1, 1, 2, 2, 3, 3))

    assert [(each.kind, each.leak) for each in found] == [
        (NEAR, "between splits: train and test"),
        (EXACT, "between patients, in train"),
        (EXACT, ""),
    ]
    assert found[1].labels == ("normal", "abnormal")


def test_three_equal_files_are_one_group_and_no_near_duplicates() -> None:
    images = table(("a", "train", 0, "1"), ("b", "valid", 0, "1"), ("c", "test", 0, "1"))
    (group,) = find_duplicates(images, pictures(1, 1, 1))
    assert (group.kind, group.splits, len(group.paths)) == (EXACT, ("train", "valid", "test"), 3)


def test_each_copy_of_a_near_duplicate_is_paired_so_that_no_leak_hides() -> None:
    images = table(("a", "train", 0, "1"), ("b", "test", 0, "1"), ("c", "valid", 0, "2"))
    found = find_duplicates(images, pictures(1, 1, 1))
    assert [(each.kind, each.patients) for each in found] == [
        (EXACT, ("a", "b")),
        (NEAR, ("a", "c")),
        (NEAR, ("b", "c")),
    ]


def test_different_pictures_are_no_duplicates() -> None:
    images = table(("a", "train", 0, "1"), ("b", "test", 0, "2"))
    assert find_duplicates(images, pictures(1, 2)) == []
    assert duplicates_table([]).empty


def test_patients_in_both_folders_are_rows_of_the_same_table() -> None:
    images = table(("a", "", 0, "1"), ("a", "", 1, "2"), ("b", "", 0, "3"))
    rows = patients_in_both(images, ["a"])
    assert list(rows.columns) == list(duplicates_table([]).columns)
    assert rows[["kind", "patients", "labels", "paths"]].to_numpy().tolist() == [
        ["patient", "a", "normal, abnormal", "a/0.png = a/1.png"]
    ]
