"""Exporting trials."""

import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from results.export import TEXT, WHOLE
from results.records import NewSearch, NewTrial, Search, TrialResult
from results.store import Store
from results.table import EXPORTED
from tests.postgres import ON_SQLITE


@pytest.fixture
def filled(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult]
) -> Store:
    store.finish_trial(store.start_trial(search.id, new_trial(0)).id, result())
    store.start_trial(search.id, new_trial(1, model_name='=cmd|"calc"', configuration={"lr": -0.5, "frozen": "@all"}))
    other = store.create_search(NewSearch("wrist", "search", "optuna", "abc123", task="XR_WRIST"))
    store.start_trial(other.id, new_trial(0, part_body="XR_WRIST"))
    return store


def test_json_has_the_columns_in_order_then_the_history(filled: Store, command: Callable[..., Any]) -> None:
    first, second, _ = json.loads(command("export", "--format", "json").out)
    assert list(first) == [*EXPORTED, "history"]
    assert first["history"] == {"loss": [0.7, 0.6], "val_auc": [0.5, 0.75]}
    assert (first["test_auc"], first["test_auc_low"], first["test_kappa"]) == (0.7, 0.6, None)
    assert (second["state"], second["history"], second["seconds"]) == ("running", {}, None)


def test_json_writes_whole_numbers_without_a_point(filled: Store, command: Callable[..., Any]) -> None:
    first, second, _ = json.loads(command("export", "--format", "json").out)
    assert [type(first[name]) for name in ("fit_epochs", "epochs_trained", "seed", "trial")] == [int] * 4
    assert (first["callbacks_patience"], second["callbacks_patience"]) == (4, None)


def test_json_has_no_nan_where_a_history_has_one(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult],
    command: Callable[..., Any],
) -> None:  # fmt: skip
    trial = store.start_trial(search.id, new_trial(0))
    store.finish_trial(trial.id, TrialResult(**(vars(result()) | {"history": {"loss": [float("nan"), 0.5]}})))
    text = command("export", "--format", "json").out
    assert "NaN" not in text
    assert json.loads(text)[0]["history"] == {"loss": [None, 0.5]}


def test_csv_has_the_same_cells_and_the_history_as_json(filled: Store, command: Callable[..., Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(command("export", "--format", "csv").out)))
    assert list(rows[0]) == [*EXPORTED, "history"]
    assert (rows[0]["fit_epochs"], rows[0]["test_accuracy_eval"], rows[0]["test_kappa"]) == ("2", "58.91", "")
    assert json.loads(rows[0]["history"])["loss"] == [0.7, 0.6]


def test_csv_text_that_a_spreadsheet_would_run_is_disarmed(filled: Store, command: Callable[..., Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(command("export", "--format", "csv").out)))
    assert (rows[1]["model_name"], rows[1]["frozen"], rows[1]["lr"]) == ('\'=cmd|"calc"', "'@all", "-0.5")
    second = json.loads(command("export", "--format", "json").out)[1]
    assert second["model_name"] == '=cmd|"calc"'


def test_parquet_holds_the_same_rows_as_json(tmp_path: Path, filled: Store, command: Callable[..., Any]) -> None:
    assert command("export", "--format", "parquet", "--out", tmp_path / "x.parquet").code == 0
    read = pd.read_parquet(tmp_path / "x.parquet")
    rows = json.loads(command("export", "--format", "json").out)
    assert list(read.columns) == [*EXPORTED, "history"]
    assert read["fit_epochs"].tolist() == [row["fit_epochs"] for row in rows]
    assert [json.loads(text) for text in read["history"]] == [row["history"] for row in rows]
    assert read["model_name"].tolist() == [row["model_name"] for row in rows]


def test_only_the_asked_search_or_part_is_exported(filled: Store, command: Callable[..., Any]) -> None:
    by_search = json.loads(command("export", "--format", "json", "--search", "hand").out)
    by_part = json.loads(command("export", "--format", "json", "--part", "XR_WRIST").out)
    assert [row["search"] for row in by_search] == ["hand", "hand"]
    assert [row["search"] for row in by_part] == ["wrist"]


@pytest.mark.parametrize("option", [("--search", "hend"), ("--part", "XR_HEND")])
def test_unknown_search_or_part_is_refused(filled: Store, command: Callable[..., Any], option: tuple[str, str]) -> None:
    ended = command("export", "--format", "csv", *option)
    assert (ended.code, ended.out) == (2, "")
    assert f"{option[0]} {option[1]}: no trial of it in the store, which holds" in ended.err


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_store_without_trials_is_exported_empty(
    tmp_path: Path, store: Store, command: Callable[..., Any], form: str
) -> None:
    out = tmp_path / f"x.{form}"
    assert command("export", "--format", form, "--out", out).code == 0
    assert out.stat().st_size > 0
    assert form != "csv" or out.read_text() == ",".join([*EXPORTED, "history"]) + "\n"


@ON_SQLITE
@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--format", "parquet"), "give --out FILE"), (("--format", "xml"), "invalid choice"), ((), "--format"),
     (("--format", "csv", "--out", "{folder}"), "that is a folder"),
     (("--format", "csv", "--out", "{folder}/store/results.db/x.csv"), "is no folder"),
     (("--format", "csv", "--out", "{folder}/store/results.db"), "that is the store itself")],
)  # fmt: skip
def test_bad_usage_is_one_line_and_writes_nothing(
    tmp_path: Path, filled: Store, command: Callable[..., Any], arguments: tuple[str, ...], message: str
) -> None:
    before = (tmp_path / "store" / "results.db").read_bytes()
    ended = command("export", *(text.replace("{folder}", str(tmp_path)) for text in arguments))
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert message in ended.err
    assert (tmp_path / "store" / "results.db").read_bytes() == before


def test_failed_write_leaves_the_old_file(
    tmp_path: Path, filled: Store, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "x.csv"
    out.write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied", "x")))
    assert command("export", "--format", "csv", "--out", out).code == 2
    assert out.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} <= {"store", "x.csv"}


def test_every_exported_column_has_one_type() -> None:
    assert set(WHOLE) | set(TEXT) <= set(EXPORTED)
    assert not set(WHOLE) & set(TEXT)


@pytest.mark.parametrize("name", ["list", "export", "import_csv"])
def test_help_comes_within_two_seconds_and_loads_no_tensorflow(name: str) -> None:
    code = (
        f"import sys; from results.{name} import main\ntry: main(['--help'])\n"
        "except SystemExit: sys.exit('tensorflow' in sys.modules or 'pandas' in sys.modules)"
    )
    started = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"usage: python -m results.{name}")
    assert time.monotonic() - started < 2


def test_imported_rows_are_exported_with_their_histories(shared: Path, command: Callable[..., Any]) -> None:
    command("import_csv", shared / "published" / "results_all_models.csv")
    rows = json.loads(command("export", "--format", "json").out)
    assert len(rows) == 113
    assert sorted(len(row["history"].get("loss", [])) for row in rows)[-3:] == [5, 45, 63]
    assert rows[73]["history"]["loss"][0] == 0.5999237298965454
