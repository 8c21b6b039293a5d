"""Importing published tables: nothing is lost, what is known is placed, what is odd is told."""

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbing.errors import StoreError
from results import import_csv
from results.history_files import read_histories
from results.published import REAL, RUNS, TUNED_RUNS, WHOLE, place_row, read_number
from results.records import Trial
from results.store import Store

ROW = {
    "": "0",
    "id": "1.0",
    "name": "ResNet_plus_pooling",
    "name_code": "resnet_light_augment_20epochs",
    "part_body": "XR_WRIST",
    "augmentation": "YES",
    "type_augment": "light_augment",
    "lr": "0.001",
    "conv_layers": "4.0",
    "conv_dropout": "0.2",
    "units": "0.0",
    "callbacks_patience": "0",
    "fit_epochs": "20.0",
    "ealry_stop_at_epoch": "7.0",
    "test_accuracy_eval": "58.91",
    "train_accuracy_eval": "73.05",
    "valid_accuracy_eval": "65.34",
    "comments": "first line,\nsecond line",
    "model_name": "models/wrist.h5\n",
    "history_name": "history/wrist.json\n",
}
HEADER = [*ROW, *sorted(RUNS.columns() - set(ROW))]
HISTORY = {"loss": [0.7, 0.5, 0.4], "val_loss": [0.8, 0.9, 0.7]}


def row(**changes: str) -> dict[str, str]:
    return dict.fromkeys(HEADER, "") | ROW | changes


def table(folder: Path, *rows: dict[str, str], header: list[str] = HEADER) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    path = folder / "mine.csv"
    path.write_text(text.getvalue())
    return path


def history(folder: Path, name: str, content: Any = HISTORY) -> Path:
    (folder / "history").mkdir(exist_ok=True)
    path = folder / "history" / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def stored(url: str) -> tuple[list[Trial], dict[int, Any], list[dict[str, str]]]:
    store = Store.open(url)
    try:
        search = store.searches()[-1]
        return store.trials(search.id), store.histories(), store.unplaced(search.id)
    finally:
        store.close()


def doubts(**changes: str) -> list[tuple[str, str]]:
    return [(doubt.field, doubt.reason) for doubt in place_row(RUNS, row(**changes))[1]]


def test_every_cell_is_kept_as_it_stood(tmp_path: Path, url: str, command: Callable[..., Any]) -> None:
    rows = [row(), row(lr="", comments='a "quoted" remark, with a comma'), row(units="nonsense", model_name="")]
    assert command("import_csv", table(tmp_path, *rows)).code == 0
    assert [trial.imported for trial in stored(url)[0]] == rows


def test_known_cells_are_placed_in_typed_columns(tmp_path: Path, url: str, command: Callable[..., Any]) -> None:
    command("import_csv", table(tmp_path, row()))
    ((trial,), _, unplaced) = stored(url)
    assert (trial.state, trial.part_body, trial.architecture) == ("finished", "XR_WRIST", "resnet152")
    assert (trial.fit_epochs, trial.early_stop_at_epoch, trial.test_accuracy_eval) == (20, 7, 58.91)
    assert (trial.model_name, trial.weights, trial.image_size) == ("models/wrist.h5", "imagenet", 320)
    settings = {"lr": 0.001, "conv_dropout": 0.2, "callbacks_patience": 0, "output_units": 0, "blocks": 4}
    assert trial.configuration == settings | {"augmentation": "light", "frozen": "all"}
    assert unplaced == []


@pytest.mark.parametrize(
    ("name_code", "architecture"),
    [("base_model_no_augment_20epochs", "base_cnn"), ("densenet_no_augment_20epochs", "densenet121"),
     ("ResNet_no_augment_20epochs", "resnet152"), ("inception_deep_augment_70epochs", "inception_v3"),
     ("xception_all_parts_no_augment_50epochs", "xception")],
)  # fmt: skip
def test_architecture_is_known_by_the_name_code(name_code: str, architecture: str) -> None:
    assert place_row(RUNS, row(name_code=name_code))[0]["architecture"] == architecture


def test_base_cnn_claims_neither_weights_nor_image_size() -> None:
    trial, _ = place_row(RUNS, row(name_code="base_model_no_augment_20epochs"))
    assert "weights" not in trial
    assert "image_size" not in trial


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [("conv_layers", "4-not finetuned", "not a number"), ("lr", "nan", "not a number"), ("lr", "1_0", "not a number"),
     ("lr", "1e999", "not a number"), ("fit_epochs", "20.5", "not a whole number from 0"),
     ("fit_epochs", "4e9", "not a whole number from 0"),
     ("test_f1score", "2022-05-07 00:00:00", "a date where a number belongs"),
     ("test_accuracy_eval", "332.14", "not a per cent from 0 to 100"), ("part_body", "XR_FOOT", "not a body part"),
     ("type_augment", "remark", "not an augmentation level"), ("history_name", "history/nan", "names no JSON file"),
     ("ealry_stop_at_epoch", "30.0", "later than the last epoch; placed as it stands"),
     ("comments", "wri", "text of model_name slid here"), ("name_code", "alexnet_1", "names no known architecture")],
)  # fmt: skip
def test_odd_cell_is_reported_and_its_row_imported(
    tmp_path: Path, url: str, command: Callable[..., Any], column: str, text: str, reason: str
) -> None:
    ended = command("import_csv", table(tmp_path, row(name="", **{column: text})))
    (trials, _, unplaced) = stored(url)
    assert ended.code == 0
    assert len(trials) == 1
    source = {"source": "mine.csv row 0", "field": column, "content": text, "reason": reason}
    assert unplaced == [source]
    assert f"1 x {column}: {reason}" in ended.out


def test_level_is_taken_from_the_name_where_its_column_holds_other_text() -> None:
    trial, _ = place_row(RUNS, row(augmentation="", type_augment="slid text", name_code="resnet_deep_augment_20epochs"))
    assert trial["configuration"]["augmentation"] == "deep"
    assert doubts(augmentation="NO", type_augment="slid text") == [("type_augment", "not an augmentation level")]


def test_cells_beyond_and_short_of_the_header_are_told(tmp_path: Path, url: str, command: Callable[..., Any]) -> None:
    path = table(tmp_path, row())
    path.write_text(path.read_text().rstrip("\n") + ",one too many\n1,2.0\n")
    command("import_csv", path)
    (trials, _, unplaced) = stored(url)
    assert trials[0].imported is not None
    assert trials[0].imported[f"(cell {len(HEADER) + 1})"] == "one too many"
    assert trials[1].imported == {"": "1", "id": "2.0"}
    assert ("mine.csv row 1", "name", "the row ends before this column, after 2 cells") in [
        (entry["source"], entry["field"], entry["reason"]) for entry in unplaced
    ]


def test_column_that_comes_twice_keeps_both_cells(tmp_path: Path, url: str, command: Callable[..., Any]) -> None:
    path = table(tmp_path, row(), header=[*HEADER, "note"])
    path.write_text(path.read_text().replace(",note\n", ",comments\n").rstrip("\n") + "kept too\n")
    command("import_csv", path)
    assert stored(url)[0][0].imported == row() | {"comments (2)": "kept too"}


def test_two_rows_of_one_model_are_told(tmp_path: Path, url: str, command: Callable[..., Any]) -> None:
    command("import_csv", table(tmp_path, row(), row(part_body="XR_HAND")))
    assert [(entry["source"], entry["field"]) for entry in stored(url)[2]] == [
        ("mine.csv row 0", "model_name"),
        ("mine.csv row 1", "model_name"),
    ]


def test_history_beside_the_file_goes_to_its_trial(tmp_path: Path, url: str, command: Callable[..., Any]) -> None:
    history(tmp_path, "wrist.json")
    command("import_csv", table(tmp_path, row(), row(history_name="", model_name="")))
    (trials, histories, unplaced) = stored(url)
    assert histories == {trials[0].id: HISTORY}
    assert [trial.epochs_trained for trial in trials] == [3, None]
    assert unplaced == []


def test_history_that_no_row_names_is_kept_whole(tmp_path: Path, url: str, command: Callable[..., Any]) -> None:
    path = history(tmp_path, "other.json")
    ended = command("import_csv", table(tmp_path, row()))
    (entry,) = stored(url)[2]
    assert (entry["source"], entry["content"]) == ("history/other.json", path.read_text())
    assert entry["reason"] == "no row names this history"
    assert "1 histories" in ended.out


@pytest.mark.parametrize("text", ["{broken", "[1, 2]", '{"loss": ["a"]}', '{"loss": 3}', "{}", "[" * 100_000])
def test_damaged_history_is_kept_whole_and_its_row_imported(
    tmp_path: Path, url: str, command: Callable[..., Any], text: str
) -> None:
    history(tmp_path, "wrist.json", text)
    assert command("import_csv", table(tmp_path, row())).code == 0
    (trials, histories, (entry,)) = stored(url)
    assert (len(trials), histories, entry["content"]) == (1, {}, text)


def test_epoch_that_is_not_a_number_is_absent_and_the_text_kept(tmp_path: Path) -> None:
    history(tmp_path, "wrist.json", '{"loss": [0.5, NaN, Infinity]}')
    read = read_histories(tmp_path / "history")["wrist.json"]
    assert read.history == {"loss": [0.5, None, None]}
    assert read.text == '{"loss": [0.5, NaN, Infinity]}'
    assert read.fault is not None


def test_same_file_again_changes_nothing(tmp_path: Path, url: str, command: Callable[..., Any]) -> None:
    path = table(tmp_path, row())
    command("import_csv", path)
    before = stored(url)
    again = command("import_csv", path)
    assert (again.code, again.out) == (0, "mine: the same content is in the store already; nothing done\n")
    assert stored(url) == before


def test_other_content_under_a_taken_name_is_refused(tmp_path: Path, url: str, command: Callable[..., Any]) -> None:
    command("import_csv", table(tmp_path, row()))
    before = stored(url)
    again = command("import_csv", table(tmp_path, row(lr="0.01")))
    assert again.code == 2
    assert again.err == ("results.import_csv: mine is in the store already, with other content; give another --name\n")
    assert stored(url) == before
    assert command("import_csv", tmp_path / "mine.csv", "--name", "second").code == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a,b\n1,2\n", "its header lacks"), (b"", "empty"), (b"\xff\xfe\x00", "no UTF-8 text"), (b"a\0b", "no text file"),
     (b'a,"b\n1,2\n', "no CSV")],
)  # fmt: skip
def test_other_files_are_refused_in_one_line_and_nothing_is_made(
    tmp_path: Path, command: Callable[..., Any], content: bytes, message: str
) -> None:
    (tmp_path / "other.csv").write_bytes(content)
    ended = command("import_csv", tmp_path / "other.csv")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert message in ended.err
    assert not (tmp_path / "store").exists()


def test_header_that_lacks_a_column_is_refused_by_its_name(tmp_path: Path, command: Callable[..., Any]) -> None:
    header = [column for column in HEADER if column != "ealry_stop_at_epoch"]
    ended = command("import_csv", table(tmp_path, row(), header=header))
    assert ended.code == 2
    assert "its header lacks ealry_stop_at_epoch;" in ended.err


def test_missing_file_is_refused(tmp_path: Path, command: Callable[..., Any]) -> None:
    ended = command("import_csv", tmp_path / "absent.csv")
    assert ended.code == 2
    assert "no such file" in ended.err


def test_import_that_fails_midway_leaves_nothing(tmp_path: Path, store: Store) -> None:
    read = import_csv.read_import(table(tmp_path, row(), row()))
    broken = import_csv.Import(read.file, read.content_hash, read.rows, [{"source": "x"}])
    with pytest.raises(StoreError, match="nothing was imported"):
        import_csv.store_import(store, broken, "mine")
    assert store.searches() == []
    assert store.trials() == []


@given(st.integers(0, 2**31 - 1), st.floats(0, 1e300))
def test_numbers_written_as_text_are_read_exactly(whole: int, real: float) -> None:
    assert read_number(f"{whole}.0", WHOLE) == whole
    assert read_number(repr(real), REAL) == real


def test_published_runs_are_imported_whole(shared: Path, url: str, command: Callable[..., Any]) -> None:
    path = shared / "published" / "results_all_models.csv"
    started = time.monotonic()
    assert command("import_csv", path).code == 0
    assert time.monotonic() - started < 60
    (trials, histories, unplaced) = stored(url)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [trial.imported for trial in trials] == rows
    assert [trial.test_accuracy_eval for trial in trials] == [float(each["test_accuracy_eval"]) for each in rows]
    files = {entry["source"] for entry in unplaced if entry["field"] == "history"}
    assert (len(histories), len(files)) == (3, 2)
    assert ("results_all_models.csv row 112", "type_augment") in [(e["source"], e["field"]) for e in unplaced]


def test_published_tuned_runs_are_imported_whole(shared: Path, url: str, command: Callable[..., Any]) -> None:
    path = shared / "published" / "finetuned_results_all_models.csv"
    assert command("import_csv", path).code == 0
    (trials, _, unplaced) = stored(url)
    assert [trial.architecture for trial in trials] == ["base_cnn"] * 6 + ["densenet121"]
    assert trials[0].configuration["units"] == 96
    kept = [(entry["field"], entry["content"]) for entry in unplaced if entry["field"] != "history"]
    assert ("Convolutional blocks", "4-not finetuned") in kept
    assert sum(entry["field"] == "history" for entry in unplaced) == 5


def test_the_two_published_headers_are_told_apart() -> None:
    assert RUNS.columns() - TUNED_RUNS.columns()
    assert TUNED_RUNS.columns() - RUNS.columns()
