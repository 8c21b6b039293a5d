"""The CSVs and the folder tree give one table; what is not used is named."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from plumbing.errors import DataError
from radiographs.table import COLUMNS, find_root, scan
from tests.radiographs.conftest import Mura


def left_out(root: Path) -> dict[str, str]:
    return {left.path: left.reason for left in scan(root).left_out}


def remove_lists(root: Path) -> None:
    for file in root.glob("*.csv"):
        file.unlink()


def append(file: Path, line: str) -> None:
    file.write_text(f"{file.read_text()}{line}\n")


def test_lists_and_folder_tree_give_the_same_table(small: Mura) -> None:
    listed = scan(small.root)
    remove_lists(small.root)
    found = scan(small.root)
    pd.testing.assert_frame_equal(listed.images, found.images)
    assert listed.left_out == found.left_out == ()


def test_a_row_says_where_an_image_is_and_whose(mura: Mura) -> None:
    mura.study("valid", "XR_WRIST", "00042", 1, number=3)
    row = scan(mura.root).images.iloc[0]
    study = "XR_WRIST/patient00042/study3_positive"
    expected = [f"valid/{study}/image1.png", "valid", "XR_WRIST", "patient00042", study, 1]
    assert row[COLUMNS].tolist() == expected


def test_listed_images_that_are_absent_are_named(small: Mura) -> None:
    (small.root / "train/XR_HAND/patient00000/study1_negative/image2.png").unlink()
    path = "train/XR_HAND/patient00000/study1_negative/image2.png"
    assert left_out(small.root) == {path: "listed in train_image_paths.csv, but no such file"}
    assert path not in set(scan(small.root).images["path"])


def test_images_that_no_list_names_are_left_out_and_named(small: Mura) -> None:
    path = "train/XR_HAND/patient00000/study1_negative/image3.png"
    small.image(path)
    assert left_out(small.root) == {path: "found, but not listed in train_image_paths.csv"}
    assert path not in set(scan(small.root).images["path"])


def test_a_file_whose_name_is_not_utf_8_is_named_and_can_be_printed(small: Mura) -> None:
    remove_lists(small.root)
    folder = "train/XR_HAND/patient00000/study1_negative"
    shutil.copy(small.root / folder / "image1.png", os.fsencode(small.root / folder) + b"/image\xff.png")
    (path,) = left_out(small.root)
    assert left_out(small.root) == {path: "a name that is not UTF-8"}
    assert path == f"{folder}/image\ufffd.png"
    assert path.encode("utf-8")


@pytest.mark.parametrize(
    ("inside", "reason"), [([], "a study without images"), (["image1.png"], "a name that is not UTF-8")]
)
def test_a_study_folder_whose_name_is_not_utf_8_is_named_once_and_can_be_printed(
    small: Mura, inside: list[str], reason: str
) -> None:
    """It was named twice, the second time by a name that neither a terminal nor JSON takes."""
    study = small.root / "valid/XR_HAND/patient00099" / os.fsdecode(b"study\xff_positive")
    study.mkdir(parents=True)
    for name in inside:
        (study / name).touch()
    expected = "/".join(["valid/XR_HAND/patient00099/study\ufffd_positive", *inside])
    assert [(left.path, left.reason) for left in scan(small.root).left_out] == [(expected, reason)]


def test_an_image_listed_twice_counts_once(small: Mura) -> None:
    path = "train/XR_HAND/patient00000/study1_negative/image1.png"
    append(small.root / "train_image_paths.csv", f"MURA-v1.1/{path}")
    assert (scan(small.root).images["path"] == path).sum() == 1


def test_a_listed_study_without_a_folder_is_named(small: Mura) -> None:
    append(small.root / "train_labeled_studies.csv", "MURA-v1.1/train/XR_HAND/patient00099/study1_positive/,1")
    assert left_out(small.root) == {"train/XR_HAND/patient00099/study1_positive": "a study without images"}


@pytest.mark.parametrize("with_lists", [True, False])
@pytest.mark.parametrize("inside", [[], [".DS_Store"]])
def test_an_empty_study_folder_is_named_though_it_holds_hidden_files(
    small: Mura, with_lists: bool, inside: list[str]
) -> None:
    study = small.root / "valid/XR_HAND/patient00099/study1_positive"
    study.mkdir(parents=True)
    for name in inside:
        (study / name).touch()
    if not with_lists:
        remove_lists(small.root)
    assert left_out(small.root)["valid/XR_HAND/patient00099/study1_positive"] == "a study without images"


def test_images_of_no_known_part_are_named(small: Mura) -> None:
    paths = small.study("train", "XR_SKULL", "00001", 0)
    small.write_lists()
    assert left_out(small.root) == {paths[0]: "of no known part"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("train/XR_HAND/patient00000/study1_negative/._image1.png", "a hidden file"),
        ("train/XR_HAND/patient00000/study1_negative/notes.txt", "not an image by its ending"),
        ("train/XR_HAND/patient00000/image1.png", "not at part/patient/study/image"),
        ("train/XR_HAND/patient00000/study1_negative/deeper/image1.png", "not at part/patient/study/image"),
        ("train/XR_HAND/someone/study1_negative/image1.png", "not at part/patient/study/image"),
    ],
)
def test_files_that_are_no_image_of_ours_are_named_once(small: Mura, path: str, reason: str) -> None:
    (small.root / path).parent.mkdir(parents=True, exist_ok=True)
    (small.root / path).write_bytes(b"x")
    found = [left for left in scan(small.root).left_out if left.path == path]
    assert [left.reason for left in found] == [reason]
    append(small.root / "train_image_paths.csv", path)
    assert [left.path for left in scan(small.root).left_out].count(path) == 1


@pytest.mark.parametrize("ending", [".PNG", ".jpg", ".JPEG", ".bmp", ".tif", ".TIFF"])
def test_endings_of_images_count_in_either_case(small: Mura, ending: str) -> None:
    remove_lists(small.root)
    path = f"train/XR_HAND/patient00000/study1_negative/other{ending}"
    (small.root / path).write_bytes(b"x")
    assert path in set(scan(small.root).images["path"])


def test_the_lists_label_beats_the_folders_name(small: Mura) -> None:
    file = small.root / "train_labeled_studies.csv"
    file.write_text(file.read_text().replace("patient00000/study1_negative/,0", "patient00000/study1_negative/,1"))
    images = scan(small.root).images
    assert set(images.loc[images["patient"] == "patient00000", "label"]) == {1}


def test_a_study_without_any_label_is_left_out_and_named(small: Mura) -> None:
    remove_lists(small.root)
    path = "train/XR_HAND/patient00077/study1/image1.png"
    small.image(path)
    assert "has none in a CSV and ends in neither _positive nor _negative" in left_out(small.root)[path]
    assert path not in set(scan(small.root).images["path"])


def test_the_folder_may_be_renamed_or_its_parent_given(small: Mura) -> None:
    expected = scan(small.root).images
    pd.testing.assert_frame_equal(scan(small.root.parent).images, expected)
    renamed = small.root.rename(small.root.parent / "my radiographs")
    pd.testing.assert_frame_equal(scan(renamed).images, expected)
    assert find_root(renamed.parent) == renamed


def test_a_part_that_is_a_link_to_another_folder_is_followed(small: Mura) -> None:
    expected = scan(small.root).images
    elsewhere = small.root.parent / "elsewhere"
    shutil.move(small.root / "train" / "XR_HAND", elsewhere)
    (small.root / "train" / "XR_HAND").symlink_to(elsewhere)
    pd.testing.assert_frame_equal(scan(small.root).images, expected)


def test_a_link_to_a_folder_above_does_not_go_round_for_ever(small: Mura) -> None:
    (small.root / "train" / "XR_HAND" / "above").symlink_to(small.root)
    assert len(scan(small.root).images) == 24


def test_lists_written_on_windows_are_read(small: Mura) -> None:
    expected = scan(small.root).images
    for file in small.root.glob("*.csv"):
        text = file.read_text().replace("/", "\\").replace("\n", "\r\n")
        file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    pd.testing.assert_frame_equal(scan(small.root).images, expected)


def test_lists_whose_paths_begin_at_the_split_are_read(small: Mura) -> None:
    expected = scan(small.root).images
    for file in small.root.glob("*.csv"):
        file.write_text(file.read_text().replace("MURA-v1.1/", ""))
    pd.testing.assert_frame_equal(scan(small.root).images, expected)


@pytest.mark.parametrize(
    ("name", "line", "told"),
    [
        ("train_labeled_studies.csv", "MURA-v1.1/train/XR_HAND/patient1/study1/", "is not study,0 or study,1"),
        ("train_labeled_studies.csv", "MURA-v1.1/train/XR_HAND/patient1/study1/,2", "is not study,0 or study,1"),
        ("train_labeled_studies.csv", "study,label", "is not study,0 or study,1"),
        ("train_labeled_studies.csv", "MURA-v1.1/valid/XR_HAND/patient1/study1/,1", "is not a path in train/"),
        ("train_labeled_studies.csv", "MURA-v1.1/train/,1", "is not a path in train/"),
        ("valid_image_paths.csv", "path", "is not a path in valid/"),
        ("valid_image_paths.csv", "MURA-v1.1/valid/", "is not a path in valid/"),
        ("valid_image_paths.csv", "MURA-v1.1/valid/../../secret.png", "is not a path in valid/"),
    ],
)
def test_a_bad_line_of_a_list_is_left_out_and_named(small: Mura, name: str, line: str, told: str) -> None:
    expected = scan(small.root).images
    file = small.root / name
    file.write_text(f"{line}\n{file.read_text()}{line}\n")
    last = len(file.read_text().splitlines())
    found = scan(small.root)
    pd.testing.assert_frame_equal(found.images, expected)
    assert [left.path for left in found.left_out] == [f"{name} line 1", f"{name} line {last}"]
    for left in found.left_out:
        assert told in left.reason
        assert line.split(",")[0] in left.reason


def test_a_study_whose_label_is_bad_has_that_of_its_folders_name(small: Mura) -> None:
    file = small.root / "train_labeled_studies.csv"
    file.write_text(file.read_text().replace("study1_positive/,1", "study1_positive/,yes"))
    found = scan(small.root)
    assert set(found.images.loc[found.images["study"].str.endswith("_positive"), "label"]) == {1}
    assert len(found.left_out) == 4


@pytest.mark.parametrize("name", ["train_image_paths.csv", "train_labeled_studies.csv"])
def test_a_list_that_is_no_text_is_left_out_and_the_folder_tree_counts(small: Mura, name: str) -> None:
    expected = scan(small.root).images
    (small.root / name).write_bytes(b"\xff\xfe\x00MURA")
    found = scan(small.root)
    pd.testing.assert_frame_equal(found.images, expected)
    assert [left.path for left in found.left_out] == [name]
    assert found.left_out[0].reason.startswith("cannot be read: ")


def test_a_byte_order_mark_is_no_part_of_the_first_path(small: Mura) -> None:
    expected = scan(small.root).images
    for file in small.root.glob("*.csv"):
        file.write_text(file.read_text().replace("MURA-v1.1/", ""), encoding="utf-8-sig")
    found = scan(small.root)
    pd.testing.assert_frame_equal(found.images, expected)
    assert found.left_out == ()


@pytest.mark.parametrize("gone", [["train"], ["valid"], ["train", "valid"]])
def test_a_folder_without_train_or_valid_says_which_is_missing(small: Mura, gone: list[str]) -> None:
    for folder in gone:
        shutil.rmtree(small.root / folder)
    with pytest.raises(DataError, match=f"no {' and '.join(gone)} folder in it"):
        scan(small.root)


def test_a_folder_that_is_absent_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder; give MURA-v1\.1"):
        scan(tmp_path / "absent")


def test_empty_folders_give_an_empty_table(mura: Mura) -> None:
    found = scan(mura.root)
    assert found.images.empty
    assert found.images.columns.tolist() == COLUMNS
