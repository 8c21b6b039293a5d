"""`radiographs.check`: counts, what is left out, duplicates, leaks."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plumbing.command import run_command
from radiographs.check import check, main
from radiographs.parts import PARTS
from tests.radiographs.conftest import Mura


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ended:
    code = run_command("radiographs.check", main, [str(argument) for argument in arguments])
    return Ended(code, *capsys.readouterr())


def document(capsys: pytest.CaptureFixture[str], folder: Path) -> dict[str, Any]:
    ended = command(capsys, folder, "--json")
    assert (ended.code, ended.err) == (0, "")
    found: dict[str, Any] = json.loads(ended.out)
    return found


def left_out(found: dict[str, Any]) -> dict[str, str]:
    return {left["path"]: left["reason"] for left in found["left_out"]}


def test_a_sound_folder_is_counted_by_part_and_split(small: Mura, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, small.root)
    assert set(found) >= {"used", "left_out", "duplicates", "leaks"}
    assert found["used"] == {part: {"train": 0, "valid": 0, "test": 0} for part in PARTS} | {
        "XR_HAND": {"train": 12, "valid": 4, "test": 8}
    }
    assert found["labels"]["XR_HAND"]["abnormal"] == {"train": 6, "valid": 2, "test": 4}
    assert found["left_out"] == found["duplicates"] == found["leaks"] == []


def test_the_text_for_a_person_holds_the_same_counts(small: Mura, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split() for line in command(capsys, small.root).out.splitlines()]
    assert ["XR_HAND", "normal", "6", "2", "4"] in lines
    assert ["left", "out:", "0"] in lines


def test_everything_left_out_is_named_with_its_reason(small: Mura, capsys: pytest.CaptureFixture[str]) -> None:
    study = "train/XR_HAND/patient00000/study1_negative"
    (small.root / study / "image1.png").write_bytes(b"")
    (small.root / study / "image2.png").unlink()
    (small.root / "valid/XR_HAND/patient00099/study1_negative").mkdir(parents=True)
    small.image("train/XR_SKULL/patient00001/study1_negative/image1.png")
    found = document(capsys, small.root)
    assert left_out(found) == {
        f"{study}/image1.png": "empty file",
        f"{study}/image2.png": "listed in train_image_paths.csv, but no such file",
        "train/XR_SKULL/patient00001/study1_negative/image1.png": "of no known part",
        "valid/XR_HAND/patient00099/study1_negative": "a study without images",
    }
    assert sum(found["used"]["XR_HAND"].values()) == 22


@pytest.mark.parametrize("inside", [[], ["image1.png"]])
def test_a_study_folder_whose_name_is_not_utf_8_stands_once_in_both_documents(
    small: Mura, capsys: pytest.CaptureFixture[str], inside: list[str]
) -> None:
    study = small.root / "valid/XR_HAND/patient00099" / os.fsdecode(b"study\xff_positive")
    study.mkdir(parents=True)
    for name in inside:
        (study / name).touch()
    (left,) = document(capsys, small.root)["left_out"]
    assert left["path"] == "/".join(["valid/XR_HAND/patient00099/study\ufffd_positive", *inside])
    assert left["path"].encode("utf-8")  # no lone surrogate
    assert command(capsys, small.root).out.count("patient00099") == 1


def test_equal_files_are_told_as_one_group(small: Mura, capsys: pytest.CaptureFixture[str]) -> None:
    study = small.root / "train/XR_HAND/patient00000/study1_negative"
    shutil.copy(study / "image1.png", study / "image2.png")
    found = document(capsys, small.root)
    name = "train/XR_HAND/patient00000/study1_negative"
    assert found["duplicates"] == [[f"{name}/image1.png", f"{name}/image2.png"]]
    assert found["leaks"] == []


def test_a_patient_in_both_folders_is_a_leak_and_left_out_of_train(
    small: Mura, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = small.study("valid", "XR_HAND", "00000", 0)
    small.write_lists()
    found = document(capsys, small.root)
    (leak,) = found["leaks"]
    assert (leak["kind"], leak["patient"]) == ("patient", "patient00000")
    assert len(leak["paths"]) == 3
    assert paths[0] in leak["paths"]
    assert set(left_out(found)) == {path for path in leak["paths"] if path.startswith("train/")}
    assert found["used"]["XR_HAND"]["test"] == 9


def test_a_patient_whose_other_part_is_in_the_test_split_is_a_leak(mura: Mura) -> None:
    mura.study("train", "XR_HAND", "00001", 0)
    mura.study("valid", "XR_WRIST", "00001", 0)
    assert [leak["patient"] for leak in check(mura.root)["leaks"]] == ["patient00001"]


def test_equal_pictures_in_two_splits_are_a_leak(small: Mura, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [
        "train/XR_HAND/patient00000/study1_negative/image1.png",
        "valid/XR_HAND/patient00009/study1_positive/image2.png",
    ]
    shutil.copy(small.root / paths[0], small.root / paths[1])
    (leak,) = document(capsys, small.root)["leaks"]
    assert (leak["kind"], leak["paths"]) == ("picture", paths)
    assert "test" in leak["splits"]
    assert len(leak["splits"]) == 2
    assert "the same picture in" in command(capsys, small.root).out


def test_a_file_that_may_not_be_opened_is_left_out_and_named(small: Mura) -> None:
    path = "train/XR_HAND/patient00000/study1_negative/image1.png"
    (small.root / path).unlink()
    (small.root / path).symlink_to(small.root / "nowhere")
    assert left_out(check(small.root)) == {path: "cannot be read: No such file or directory"}


def test_folders_without_images_are_counted_as_empty(mura: Mura, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, mura.root)
    assert {count for counts in found["used"].values() for count in counts.values()} == {0}


@pytest.mark.parametrize("missing", ["train", "valid"])
def test_without_train_or_valid_it_is_one_line_and_exit_code_2(
    small: Mura, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    shutil.rmtree(small.root / missing)
    ended = command(capsys, small.root, "--json")
    assert (ended.code, ended.out) == (2, "")
    told = f"no {missing} folder in it; give MURA-v1.1 or the folder that holds it"
    assert ended.err == f"radiographs.check: {small.root}: {told}\n"


def test_whatever_the_lists_hold_it_ends_with_0(small: Mura, capsys: pytest.CaptureFixture[str]) -> None:
    expected = document(capsys, small.root)["used"]
    labels, paths = (small.root / f"train_{name}.csv" for name in ("labeled_studies", "image_paths"))
    labels.write_text(f"study,label\n{labels.read_text()}MURA-v1.1/train/XR_HAND/patient00001/study1_positive/,2\n")
    paths.write_text(f"{paths.read_text()}/etc/passwd\nMURA-v1.1/train/../secret.png\n")
    (small.root / "valid_labeled_studies.csv").write_bytes(b"\xff\xfe")
    found = document(capsys, small.root)
    assert found["used"] == expected
    assert list(left_out(found)) == [
        "train_image_paths.csv line 17", "train_image_paths.csv line 18", "train_labeled_studies.csv line 1",
        "train_labeled_studies.csv line 10", "valid_labeled_studies.csv",
    ]  # fmt: skip
    assert command(capsys, small.root).code == 0


def test_checking_writes_nothing(small: Mura, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(small.root.parent.rglob("*"))
    command(capsys, small.root)
    assert sorted(small.root.parent.rglob("*")) == before


def test_the_real_radiographs_are_all_used(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts as the data's README gives them."""
    found = document(capsys, shared / "radiographs")
    for part, normal, abnormal in (
        ("XR_HAND", (300, 65), (222, 65)),
        ("XR_HUMERUS", (117, 26), (34, 6)),
        ("XR_SHOULDER", (56, 15), (5, 2)),
    ):
        for label, (train, test) in (("normal", normal), ("abnormal", abnormal)):
            counts = found["labels"][part][label]
            assert (counts["train"] + counts["valid"], counts["test"]) == (train, test)
    assert found["left_out"] == found["duplicates"] == found["leaks"] == []
    assert 0.05 < found["used"]["XR_HAND"]["valid"] / 522 < 0.15
