"""Bad input: exit code 2, one line, nothing made."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.search.conftest import Searcher

Capsys = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--data", "/nowhere"), ": /nowhere: no such folder"),
        (("--part", "XR_KNEE"), "argument --part: invalid choice: 'XR_KNEE'"),
        (("--trials", 0), "argument --trials: 0 is below 1"),
        (("--trials", "many"), "argument --trials: 'many' is not a whole number"),
        (("--batch-trials", 0), "argument --batch-trials: 0 is below 1; give 1 or more"),
        (("--cache-gib", 0), "argument --cache-gib: 0 is not above 0; give a number above 0"),
        (("--cache-gib", "nan"), "argument --cache-gib: nan is not above 0"),
        (("--cache-gib", "all"), "argument --cache-gib: 'all' is not a number"),
        (("--image-size", 16), "--image-size 16 is below efficientnet_lite0's least; give 32 or more"),
        (("--space", "/nowhere.toml"), "--space /nowhere.toml: no such file"),
        (("--sampler", "cmaes"), "--sampler cmaes is not one of optuna's here; give one of tpe"),
        (("--weights", "/nowhere"), "--weights /nowhere: no efficientnet_lite0.weights.h5 in it"),
        (("--enqueue", "best"), "--enqueue best: neither a preset (published, published_tuned), best-of:PART, nor a"),
        (("--engine", "keras-tuner", "--sampler", "tpe"), "--sampler tpe is not one of keras-tuner's; give one of"),
        (("--sampler", "grid"), "--sampler grid is not one of optuna's here; give one of tpe"),
        (("--engine", "keras-tuner", "--pruner", "median"), "Keras Tuner has no pruners; give --sampler hyperband"),
        (("--pruner", "best"), "--pruner best is not one of optuna's here; give one of none, median"),
        (("--sampler", "nsga2", "--pruner", "median"), "--sampler nsga2 learns nothing from pruned trials"),
        (("--engine", "keras-tuner", "--sampler", "grid", "--enqueue", "published"), "leave --enqueue and"),
        (("--hypermodel", "model.py:build"), "give --engine keras-tuner"),
        (("--max-parameters", 10), "hardly any model of efficientnet_lite0 keeps them; loosen them"),
        (("--store", "results.db"), "--store is no database URL"),
        (("--store", "sqlite://"), "a SQLite store needs a file"),
        (("--name", "../up"), "--name '../up': give letters"),
        (("--name", ""), "--name '': give letters"),
        (("--seed", 10**20), "is above 2147483647"),
        (("--store", "postgresql+psycopg://u@h:port/x"), "--store"),
        (("--workers", 8, "--sampler", "nsga2"), "--sampler nsga2 proposes whole batches"),
        (("--workers", 8, "--engine", "keras-tuner"), "--batch-trials"),
        (("--worker-gpus", 1), "--worker-gpus is for workers on Ray: give --ray too, or leave it out"),
        (("--workers", 2, "--worker-memory-gib", 8), "--worker-memory-gib is for workers on Ray"),
        (("--ray", "nowhere.invalid:6379"), "--ray nowhere.invalid:6379: no cluster there"),
        (("--ray", "a..b:6379"), "--ray a..b:6379: no cluster there"),
        (("--engine", "vizier"), "argument --engine: invalid choice"),
    ],
)
def test_wrong_option_is_one_line_that_tells_the_mend(
    searcher: Searcher, capsys: Capsys, more: tuple[object, ...], told: str
) -> None:
    ended = searcher.here(capsys, *more)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("search.run: ")
    assert told in line
    assert not searcher.folder.exists()


def test_weights_that_cannot_be_had_are_told_before_anything_is_made(
    searcher: Searcher, capsys: Capsys, tmp_path: Path
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "efficientnet_lite0.weights.h5").write_bytes(b"no weights")
    ended = searcher.here(capsys, "--weights", tmp_path / "weights")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "does not fit the network" in ended.err
    assert not searcher.folder.exists()


def _copy(searcher: Searcher, tmp_path: Path) -> Path:
    copy = tmp_path / "data"
    shutil.copytree(searcher.data, copy)
    for listing in copy.glob("*.csv"):
        listing.unlink()
    return copy


def test_part_without_images_is_told(searcher: Searcher, capsys: Capsys, tmp_path: Path) -> None:
    data = _copy(searcher, tmp_path)
    for folder in ("train", "valid"):
        shutil.rmtree(data / folder / "XR_WRIST")
    ended = searcher.here(capsys, "--data", data)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "no images of XR_WRIST" in ended.err
    assert not searcher.folder.exists()


@pytest.mark.parametrize(("folder", "split"), [("train", "train"), ("valid", "test")])
def test_one_class_only_is_told_with_the_split(
    searcher: Searcher, capsys: Capsys, tmp_path: Path, folder: str, split: str
) -> None:
    data = _copy(searcher, tmp_path)
    for study in (data / folder / "XR_WRIST").rglob("*_positive"):
        shutil.rmtree(study)
    ended = searcher.here(capsys, "--data", data)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert f"XR_WRIST has no abnormal patient in {split}" in ended.err
    assert not searcher.folder.exists()


def test_one_patient_of_a_class_in_train_leaves_none_for_valid(
    searcher: Searcher, capsys: Capsys, tmp_path: Path
) -> None:
    data = _copy(searcher, tmp_path)
    positives = sorted((data / "train" / "XR_WRIST").rglob("*_positive"))
    for study in positives:
        if study.parent != positives[0].parent:
            shutil.rmtree(study)
    ended = searcher.here(capsys, "--data", data)
    assert ended.code == 2
    assert "XR_WRIST has no abnormal patient in valid" in ended.err


def test_folder_without_valid_is_told(searcher: Searcher, capsys: Capsys, tmp_path: Path) -> None:
    data = _copy(searcher, tmp_path)
    shutil.rmtree(data / "valid")
    ended = searcher.here(capsys, "--data", data)
    assert ended.code == 2
    assert "no valid folder in it" in ended.err


def test_broken_images_are_left_out_and_stored_as_such(searcher: Searcher, capsys: Capsys, tmp_path: Path) -> None:
    from results.store import Store

    data = _copy(searcher, tmp_path)
    broken = sorted((data / "train" / "XR_WRIST").rglob("*.png"))[0]
    broken.write_bytes(broken.read_bytes()[:200])
    assert searcher.here(capsys, "--data", data, "--trials", 1, "--epochs", 1).code == 0
    store = Store.open(searcher.store)
    (search,) = store.searches()
    store.close()
    (left,) = search.details["left_out"]
    assert left["path"] == broken.relative_to(data).as_posix()
    assert "damaged" in left["reason"]


def test_another_programs_store_is_refused_and_untouched(searcher: Searcher, capsys: Capsys) -> None:
    searcher.folder.mkdir()
    with sqlite3.connect(searcher.folder / "results.db") as connection:
        connection.execute("CREATE TABLE albums (id INTEGER)")
    connection.close()
    before = (searcher.folder / "results.db").read_bytes()
    ended = searcher.here(capsys)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "another program's" in ended.err
    assert (searcher.folder / "results.db").read_bytes() == before


def test_store_of_a_newer_version_is_refused(searcher: Searcher, capsys: Capsys) -> None:
    searcher.here(capsys, "--trials", 1, "--epochs", 1)
    with sqlite3.connect(searcher.folder / "results.db") as connection:
        connection.execute("UPDATE results_version SET version_num = '9999'")
    connection.close()
    ended = searcher.here(capsys, "--trials", 2, "--epochs", 1)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "newer version" in ended.err


def test_store_in_a_place_that_cannot_be_written_is_told(searcher: Searcher, capsys: Capsys, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    ended = searcher.here(capsys, "--store", f"sqlite:///{tmp_path / 'file' / 'results.db'}")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "cannot be written" in ended.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full to stand for a full disk")
def test_full_disk_is_told_in_one_line(searcher: Searcher, capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            os.write(file.fileno(), b"pixels")

    monkeypatch.setattr("radiographs.pixels._append", full)
    ended = searcher.here(capsys)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "No space left on device" in ended.err
    assert not (searcher.folder / "results.db").exists()
