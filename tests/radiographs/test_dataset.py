"""One task's images: what is in, what is out, and the hash of it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from plumbing.errors import DataError
from radiographs.dataset import Dataset, decode_images, list_images, sized_pixels
from radiographs.decoding import UNKNOWN, decode
from radiographs.parts import PARTS
from radiographs.pixels import PixelStore
from tests.radiographs.conftest import Mura

BROKEN = "train/XR_HAND/patient00000/study1_negative/image1.png"


def load(root: Path, task: str = "XR_HAND") -> Dataset:
    return decode_images(list_images(root, task), PixelStore(root.parent / "pixels"), {8})


def test_a_data_set_has_labels_splits_and_digests(small: Mura) -> None:
    dataset = load(small.root)
    assert dataset.counts == {"train": 12, "valid": 4, "test": 8}
    assert set(dataset.images.columns) == {"path", "part", "patient", "study", "split", "label", "digest"}
    assert dataset.split("test")["path"].str.startswith("valid/").all()
    assert len(dataset.split("train")) == 12
    assert dataset.classes_absent == ()


def test_pixels_are_found_by_digest_at_each_size(small: Mura) -> None:
    store = PixelStore(small.root.parent / "pixels")
    dataset = decode_images(list_images(small.root, "XR_HAND"), store, {8, 12})
    for size in (8, 12):
        pixels = sized_pixels(dataset, store, size)
        for row in dataset.images.itertuples():
            expected = decode((small.root / row.path).read_bytes(), size)
            assert np.array_equal(pixels.of(row.digest), expected)


def test_the_hash_stays_where_only_the_place_changes(small: Mura) -> None:
    before = load(small.root).data_hash
    moved = small.root.rename(small.root.parent / "moved")
    assert load(moved).data_hash == load(moved.parent).data_hash == before
    for file in moved.glob("*.csv"):
        file.unlink()
    assert load(moved).data_hash == before


def test_the_hash_stays_where_another_part_changes(small: Mura) -> None:
    before = load(small.root).data_hash
    small.study("train", "XR_WRIST", "00050", 0)
    small.write_lists()
    assert load(small.root).data_hash == before


def change_content(mura: Mura) -> None:
    mura.image(BROKEN, size=20)


def change_label(mura: Mura) -> None:
    file = mura.root / "train_labeled_studies.csv"
    file.write_text(file.read_text().replace("patient00000/study1_negative/,0", "patient00000/study1_negative/,1"))


def change_name(mura: Mura) -> None:
    (mura.root / BROKEN).rename(mura.root / BROKEN.replace("image1", "image9"))
    mura.write_lists()


def lose_an_image(mura: Mura) -> None:
    (mura.root / BROKEN).unlink()


def break_an_image(mura: Mura) -> None:
    (mura.root / BROKEN).write_bytes(b"")


@pytest.mark.parametrize("change", [change_content, change_label, change_name, lose_an_image, break_an_image])
def test_the_hash_changes_with_content_label_path_and_number(small: Mura, change: object) -> None:
    before = load(small.root).data_hash
    change(small)  # type: ignore[operator]
    assert load(small.root).data_hash != before


def test_broken_images_are_left_out_and_named(small: Mura) -> None:
    (small.root / BROKEN).write_bytes(b"no image")
    dataset = load(small.root)
    assert [(left.path, left.reason) for left in dataset.left_out] == [(BROKEN, UNKNOWN)]
    assert BROKEN not in set(dataset.images["path"])
    assert len(dataset.images) == 23


def test_a_row_of_a_list_that_cannot_be_used_is_told_to_every_part(small: Mura) -> None:
    file = small.root / "train_labeled_studies.csv"
    file.write_text(f"study,label\n{file.read_text()}")
    assert [left.path for left in load(small.root).left_out] == ["train_labeled_studies.csv line 1"]


def test_what_is_left_out_of_other_parts_is_not_told(small: Mura) -> None:
    small.image("train/XR_WRIST/patient00001/study1_negative/image1.png")
    small.image("train/XR_SKULL/patient00001/study1_negative/image1.png")
    told = [left.path for left in load(small.root).left_out]
    assert told == ["train/XR_SKULL/patient00001/study1_negative/image1.png"]


@pytest.mark.parametrize(("split", "folder", "patients"), [("train", "train", []), ("test", "valid", [1, 3])])
def test_a_part_without_a_class_in_a_split_is_one_line_naming_both(
    mura: Mura, split: str, folder: str, patients: list[int]
) -> None:
    other = {"train": "valid", "valid": "train"}[folder]
    for patient in range(4):
        mura.study(other, "XR_HAND", f"1{patient:04d}", patient % 2)
    for patient in patients or [0, 2]:
        mura.study(folder, "XR_HAND", f"{patient:05d}", patient % 2)
    label = "normal" if patients else "abnormal"
    with pytest.raises(
        DataError, match=f"XR_HAND has no {label} patient in {split}; a search needs one of each"
    ) as raised:
        list_images(mura.root, "XR_HAND")
    assert "\n" not in str(raised.value)


def test_one_abnormal_patient_in_train_leaves_none_for_valid_and_says_so(mura: Mura) -> None:
    for patient, label in enumerate([0, 0, 0, 1]):
        mura.study("train", "XR_HAND", f"{patient:05d}", label)
        mura.study("valid", "XR_HAND", f"1{patient:04d}", label)
    with pytest.raises(DataError, match="XR_HAND has no abnormal patient in valid"):
        list_images(mura.root, "XR_HAND")


def test_a_class_lost_to_broken_files_is_told_as_well(small: Mura) -> None:
    for image in (small.root / "valid").rglob("study1_positive/*.png"):
        image.write_bytes(b"")
    with pytest.raises(DataError, match="XR_HAND has no abnormal patient in test"):
        load(small.root)


def test_a_part_without_images_and_a_part_that_is_none_are_one_line(small: Mura) -> None:
    with pytest.raises(DataError, match="no images of XR_WRIST"):
        list_images(small.root, "XR_WRIST")
    with pytest.raises(DataError, match="no part 'XR_SKULL'; give one of XR_ELBOW"):
        list_images(small.root, "XR_SKULL")


def test_all_parts_numbers_fourteen_classes_and_names_the_absent(small: Mura) -> None:
    for patient in range(20, 26):
        small.study("train" if patient < 24 else "valid", "XR_WRIST", f"{patient:05d}", 0)
    small.write_lists()
    dataset = load(small.root, "all_parts")
    assert set(dataset.images["label"]) == {0, 5, 12}  # wrist normal, hand normal, hand abnormal
    assert "XR_WRIST normal" not in dataset.classes_absent
    assert len(dataset.classes_absent) == 11
    assert dataset.classes_absent[0] == "XR_HUMERUS normal"


def test_all_parts_with_one_class_in_a_split_is_one_line(small: Mura) -> None:
    shutil.rmtree(small.root / "valid")
    (small.root / "valid").mkdir()
    for file in small.root.glob("*.csv"):
        file.unlink()
    small.study("valid", "XR_HAND", "00080", 0)
    with pytest.raises(DataError, match="all_parts has fewer than two classes in test"):
        list_images(small.root, "all_parts")


def test_listing_reads_no_image_and_writes_nothing(small: Mura) -> None:
    (small.root / BROKEN).write_bytes(b"no image")
    before = sorted(small.root.parent.rglob("*"))
    assert len(list_images(small.root, "XR_HAND").images) == 24
    assert sorted(small.root.parent.rglob("*")) == before


def test_the_real_hands_make_a_data_set(shared: Path, tmp_path: Path) -> None:
    listed = list_images(shared / "radiographs", "all_parts")
    assert len(listed.images) == 913
    assert set(listed.images["part"]) <= set(PARTS)
    hands = decode_images(list_images(shared / "radiographs", "XR_HAND"), PixelStore(tmp_path / "pixels"), {16})
    assert hands.counts["train"] + hands.counts["valid"] == 522
    assert hands.counts["test"] == 130
    assert hands.left_out == ()
