"""The synthetic data set: MURA's layout, both classes everywhere, the same bytes for the same seed."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from plumbing import files
from plumbing.errors import UsageError
from plumbing.seeds import generator_of
from radiographs.synthetic import LEAST_PATIENTS, RECIPE, draw_dataset, main, studies_of
from radiographs.synthetic_abnormalities import KINDS, draw_abnormalities
from radiographs.synthetic_bones import Radiograph, draw_radiograph
from radiographs.synthetic_skeletons import PARTS, skeleton_of

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("drawn"), LEAST_PATIENTS)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "radiographs.synthetic", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=REPOSITORY, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def drawn(part: str, patient: int, kind: str | None) -> Radiograph:
    """One patient's image, with abnormalities of a kind or sound."""
    names = ("test", part, patient)
    bones = skeleton_of(part, generator_of(*names), generator_of("pose")).bones
    hidden = draw_abnormalities(part, generator_of(*names, "hidden"), bones)
    shown = [replace(one, kind=kind) for one in hidden] if kind else []
    return draw_radiograph(part, generator_of(*names), generator_of(*names, "view"), bool(patient % 2), shown)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_lists_name_exactly_the_images_and_studies_on_disk(dataset: Path, split: str) -> None:
    images = lines(dataset / f"{split}_image_paths.csv")
    studies = lines(dataset / f"{split}_labeled_studies.csv")
    on_disk = {path.relative_to(dataset.parent).as_posix() for path in (dataset / split).rglob("*.png")}

    assert sorted(images) == sorted(on_disk)
    for line in studies:
        folder, label = line.split(",")
        assert folder.endswith(("_positive/", "_negative/")[int(label == "0")])
    assert {line.split(",")[0] for line in studies} == {f"{image.rpartition('/')[0]}/" for image in images}


@pytest.mark.parametrize("split", ["train", "valid"])
def test_smallest_set_has_several_patients_of_each_class_everywhere(dataset: Path, split: str) -> None:
    listed = [(line.split("/"), line[-1]) for line in lines(dataset / f"{split}_labeled_studies.csv")]
    patients = Counter((part, label) for part, _, label in {(path[2], path[3], label) for path, label in listed})

    assert set(patients) == {(part, label) for part in PARTS for label in "01"}
    assert min(patients.values()) >= 2


def test_patient_is_in_one_split_over_all_parts(dataset: Path) -> None:
    train, valid = ({path.name for path in (dataset / split).glob("*/*")} for split in ("train", "valid"))

    assert not train & valid
    assert len(train | valid) == LEAST_PATIENTS


def test_some_patients_have_two_studies_or_two_parts() -> None:
    several = [studies for patient in range(1, 300) if len(studies := studies_of(patient, seed=0)) > 1]

    assert any(one.part == two.part for one, two in several)
    assert any(one.part != two.part for one, two in several)


def test_images_are_grey_png_of_varied_shape(dataset: Path) -> None:
    images = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in dataset.glob("valid/*/*/*/image1.png")]

    assert {(image.dtype, image.ndim, max(image.shape)) for image in images} == {(np.dtype(np.uint8), 2, 160)}
    assert len({image.shape for image in images}) > 5


def test_same_seed_gives_the_same_bytes_with_any_number_of_threads(dataset: Path, tmp_path: Path) -> None:
    again = draw_dataset(tmp_path, LEAST_PATIENTS, seed=0, threads=1)

    assert contents(again) == contents(dataset)


def test_more_patients_leave_the_earlier_images_as_they_were(dataset: Path, tmp_path: Path) -> None:
    more = draw_dataset(tmp_path, LEAST_PATIENTS + 9)
    earlier = {name: image for name, image in contents(dataset).items() if name.endswith(".png")}

    assert earlier.items() < contents(more).items()


def test_another_seed_draws_other_patients() -> None:
    one, other = ([studies_of(patient, seed) for patient in range(1, 71)] for seed in (0, 1))

    assert one != other


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", PARTS)
def test_abnormality_changes_pixels_inside_its_boxes_only(part: str, kind: str) -> None:
    sound, ill = drawn(part, 1, None), drawn(part, 1, kind)
    outside = np.ones(sound.image.shape, bool)
    for _, (left, top, right, bottom) in ill.boxes:
        outside[top:bottom, left:right] = False

    assert ill.boxes
    assert (sound.image != ill.image).any()
    np.testing.assert_array_equal(sound.image[outside], ill.image[outside])


def test_abnormalities_list_covers_each_abnormal_study_and_no_other(dataset: Path) -> None:
    with (dataset / "abnormalities.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert {Path(row["path"]).parent for row in rows} == {
        path.relative_to(dataset.parent) for path in dataset.glob("*/*/*/*_positive")
    }
    for row in rows:
        height, width = cv2.imread(str(dataset.parent / row["path"]), cv2.IMREAD_UNCHANGED).shape
        assert 0 <= int(row["left"]) < int(row["right"]) <= width
        assert 0 <= int(row["top"]) < int(row["bottom"]) <= height
        assert row["kind"] in KINDS
        assert 0 < float(row["strength"]) <= 1


def test_exposure_and_frame_do_not_depend_on_the_label() -> None:
    sound, ill = ([drawn("XR_HAND", patient, kind).image for patient in range(4)] for kind in (None, "plate"))

    assert [image.shape for image in sound] == [image.shape for image in ill]
    assert [np.median(image) for image in sound] == pytest.approx([np.median(image) for image in ill], abs=2)


def test_drawing_again_into_a_finished_set_does_nothing_and_says_so(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*")}

    assert main([str(dataset.parent), "--patients", str(LEAST_PATIENTS)]) == 0

    assert "already drawn" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*")} == before


def test_recipe_tells_how_the_set_was_made(dataset: Path) -> None:
    assert json.loads((dataset / RECIPE).read_text()) == {"seed": 0, "patients": LEAST_PATIENTS, "version": 1}


@pytest.mark.parametrize("held", ["MURA-v1.1/train_image_paths.csv", "notes.txt"])
def test_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path, held: str) -> None:
    (tmp_path / held).parent.mkdir(exist_ok=True)
    (tmp_path / held).write_text("mine")

    with pytest.raises(UsageError, match="something other than a synthetic set"):
        draw_dataset(tmp_path)

    assert contents(tmp_path) == {held: b"mine"}


def test_set_of_another_seed_is_refused(dataset: Path) -> None:
    with pytest.raises(UsageError, match=r"seed 0, patients 70.*seed 5, patients 70"):
        draw_dataset(dataset.parent, LEAST_PATIENTS, seed=5)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["new", "--patients", 69], "argument --patients: 69 is below 70; give 70 or more; --help lists the options"),
        (["file"], "file is a file; give a folder"),
        ([], "the following arguments are required: DIR; --help lists the options"),
    ],
)
def test_wrong_usage_is_one_line_exit_2_and_nothing_created(tmp_path: Path, arguments: list[object], line: str) -> None:
    (tmp_path / "file").write_text("")
    folder = [tmp_path / str(name) for name in arguments[:1]]

    done = command(*folder, *arguments[1:])

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.replace(f"{tmp_path}{os.sep}", "") == f"radiographs.synthetic: {line}\n"
    assert contents(tmp_path) == {"file": b""}


def test_killed_drawing_leaves_nothing_finished_and_the_next_run_cleans_up(dataset: Path, tmp_path: Path) -> None:
    program = "from radiographs.synthetic import *; import os; from pathlib import Path; "
    die = f"lambda done, _: done < 20 or os.kill(os.getpid(), {int(signal.SIGKILL)})"
    line = f"{program} draw_dataset(Path({str(tmp_path)!r}), {LEAST_PATIENTS}, progress={die})"
    killed = subprocess.run([sys.executable, "-c", line], cwd=REPOSITORY, check=False)
    left = [path.name for path in tmp_path.iterdir()]

    finished = draw_dataset(tmp_path, LEAST_PATIENTS)

    assert killed.returncode == -signal.SIGKILL
    assert len(left) == 1
    assert files._TEMPORARY.match(left[0])
    assert [path.name for path in tmp_path.iterdir()] == [finished.name]
    assert contents(finished) == contents(dataset)


def test_failed_drawing_leaves_no_folder_behind(tmp_path: Path) -> None:
    def interrupt(done: int, patients: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_dataset(tmp_path / "new" / "folder", LEAST_PATIENTS, progress=interrupt)

    assert not list(tmp_path.iterdir())
