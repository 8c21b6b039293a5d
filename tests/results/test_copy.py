"""Copies of stores between databases are whole, compared, and all or nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import sqlalchemy as sa

import results.copy
from plumbing.command import run_command
from results import schema
from results.connection import OPTUNA_TABLES
from results.copy import copy_store, main
from results.records import ImageList, NewSearch, NewTrial, TrialResult
from results.store import Store
from tests.postgres import Server
from tests.results.conftest import Ended

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'source.db'}"


@pytest.fixture
def filled(sqlite_url: str, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult]) -> str:
    """A store with a row in every table, Optuna's among them, and ids that do not begin at 1."""
    with closing(Store.open(sqlite_url, create=True)) as store:
        gone = store.create_search(NewSearch("gone", "search", "optuna", "abc"))
        with store.engine.begin() as connection:
            connection.execute(sa.delete(schema.searches).filter_by(id=gone.id))
            connection.execute(sa.insert(schema.searches).values(id=7, name="hand", **SEARCH))
        store.save_image_list("d1", "XR_HAND", "valid", ImageList(("a",), ("p",), ("s",), np.array([1])))
        for trial in store.start_trials(7, [new_trial(number) for number in range(3)])[:2]:
            store.finish_trial(trial.id, result(1 / 3))
        entry = {"source": "x.csv", "field": "é", "content": "\n'\\u0000", "reason": "日本"}
        row = {
            "state": "finished",
            "part_body": "XR_HAND",
            "architecture": "net",
            "name_code": "n",
            "configuration": {},
        }
        store.import_search(
            NewSearch("import", "import", "none", "abc"), [(row | {"imported": {"b": "1", "a": "2"}}, None)], [entry]
        )
        with store.engine.begin() as connection:
            worker = {
                "search_id": 7,
                "host": "h",
                "process": 1,
                "identity": "",
                "joined": 0.1,
                "heartbeat": 1e9 / 3,
                "patience": 60,
            }
            connection.execute(sa.insert(schema.workers).values(id=5, **worker))
            connection.execute(sa.insert(schema.claims).values(trial_id=1, attempt=1, worker_id=5, claimed=0.1 + 0.2))
    add_study(sqlite_url)
    return sqlite_url


SEARCH: dict[str, Any] = {
    "kind": "search", "engine": "optuna", "code_version": "a", "settings": {"z": 1, "a": [0.1, None]},
    "details": {}, "created": "x",
}  # fmt: skip


def add_study(url: str) -> None:
    storage = optuna.storages.RDBStorage(url)
    study = optuna.create_study(storage=storage, study_name="hand", direction="maximize")
    for number in range(3):
        distribution = optuna.distributions.FloatDistribution(0, 1)
        study.add_trial(
            optuna.trial.create_trial(
                params={"x": number / 3}, distributions={"x": distribution}, value=number / 7,
                intermediate_values={1: 0.1, 2: float("inf")},
                user_attrs={"note": "ü"},
            )
        )  # fmt: skip
    storage.engine.dispose()


def contents(url: str) -> dict[str, list[Any]]:
    """Every row of every table but the row of transactions, as Python has it."""
    engine = sa.create_engine(url)
    found = sa.MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        rows = {
            name: sorted(repr(list(row)) for row in connection.execute(sa.select(table)))
            for name, table in found.tables.items()
        }
    engine.dispose()
    rows.pop("results_transactions")
    return rows


def copied(*arguments: str, capsys: pytest.CaptureFixture[str]) -> Ended:
    code = run_command("results.copy", main, arguments)
    output = capsys.readouterr()
    return Ended(code, output.out, output.err)


def study_of(url: str) -> list[Any]:
    storage = optuna.storages.RDBStorage(url)
    try:
        study = optuna.load_study(study_name="hand", storage=storage)
        return [
            (t.number, t.state, t.params, t.value, t.intermediate_values, t.user_attrs, t.datetime_start)
            for t in study.trials
        ]
    finally:
        storage.engine.dispose()


def test_a_store_goes_to_postgresql_and_back_and_is_the_same(
    filled: str, postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back = f"sqlite:///{tmp_path / 'back.db'}"
    assert copied(filled, postgres_url, capsys=capsys).code == 0
    ended = copied(postgres_url, back, capsys=capsys)
    assert (ended.err, ended.code) == ("", 0)
    assert contents(back) == contents(filled)
    tables = set(schema.metadata.tables) - {"results_transactions"} | OPTUNA_TABLES
    empty = {"study_user_attributes", "study_system_attributes", "trial_system_attributes", "trial_heartbeats"}
    assert {name for name, rows in contents(back).items() if rows} == (tables | {"results_version"}) - empty
    assert "model files stay where they are" in ended.out
    assert study_of(postgres_url) == study_of(filled) == study_of(back)


def test_what_the_store_gives_is_the_same_on_both_sides(filled: str, postgres_url: str) -> None:
    copy_store(filled, postgres_url)
    with closing(Store.open(filled)) as one, closing(Store.open(postgres_url)) as other:
        for read in (Store.searches, Store.trials, Store.histories, Store.measures, Store.summaries, Store.progress):
            assert read(other) == read(one)
        assert other.unplaced(8) == one.unplaced(8) != []
        np.testing.assert_array_equal(other.probabilities(1, "valid"), one.probabilities(1, "valid"))
        with other.engine.connect() as connection:
            absent = sa.select(sa.func.count()).select_from(schema.trials).where(sa.text("imported IS NULL"))
            assert connection.execute(absent).scalar() == 3


def test_a_copy_on_postgresql_goes_on_with_new_ids(
    filled: str, postgres_url: str, new_trial: Callable[..., NewTrial]
) -> None:
    copy_store(filled, postgres_url)
    with closing(Store.open(postgres_url)) as store:
        assert store.create_search(NewSearch("new", "search", "optuna", "abc")).id == 9
        assert store.start_trial(7, new_trial(3)).id == 5
    storage = optuna.storages.RDBStorage(postgres_url)
    study = optuna.load_study(study_name="hand", storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    storage.engine.dispose()


@pytest.mark.parametrize("what", ["a search", "a study"])
def test_a_database_in_use_is_refused_and_untouched(
    filled: str, url: str, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    with closing(Store.open(url, create=True)) as store:
        if what == "a search":
            store.create_search(NewSearch("theirs", "search", "optuna", "abc"))
        else:
            add_study(url)
    before = contents(url)
    ended = copied(filled, url, capsys=capsys)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "give an empty database" in ended.err
    assert contents(url) == before


def test_source_that_is_absent_or_the_destination_itself_is_one_line(
    filled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, new = f"sqlite:///{tmp_path / 'missing.db'}", f"sqlite:///{tmp_path / 'new.db'}"
    for source, destination, told in ((missing, new, "SRC sqlite:"), (filled, filled, "DST sqlite:")):
        ended = copied(source, destination, capsys=capsys)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert told in ended.err
    assert not (tmp_path / "new.db").exists()


def test_a_value_that_differs_after_writing_is_found_and_nothing_stays(
    filled: str, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_table = results.copy.copy_table

    def damaging(reader: sa.Connection, writer: sa.Connection, table: sa.Table, advance: Any) -> None:
        copy_table(reader, writer, table, advance)
        if table.name == "results_probabilities":
            writer.execute(
                sa.update(table).where(table.c.trial_id == 2).values(values=b"\x00\x00\x80\x3e\x00\x00\x00\x3e")
            )

    monkeypatch.setattr(results.copy, "copy_table", damaging)
    ended = copied(filled, url, capsys=capsys)
    assert (ended.code, ended.err) == (
        2, "results.copy: table results_probabilities differs in DST after it was written; nothing was copied\n"
    )  # fmt: skip
    with closing(Store.open(url)) as store:
        assert (store.searches(), store.trials()) == ([], [])


KILLED = """
import os, signal, sys
import results.copy as c
digest = c.digest
def dying(connection, table, advance):
    if table.name == "results_probabilities":
        os.kill(os.getpid(), signal.SIGKILL)
    return digest(connection, table, advance)
c.digest = dying
c.main(sys.argv[1:])
"""


def test_a_copy_killed_before_its_end_leaves_nothing_and_runs_again(filled: str, url: str) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, filled, url],
        check=False,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    assert killed.returncode == -signal.SIGKILL  # else this would prove nothing
    with closing(Store.open(url)) as store:
        assert (store.searches(), store.trials()) == ([], [])
    assert copy_store(filled, url)["results_trials"] == 4


def test_optunas_tables_of_another_version_are_refused(
    filled: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = sa.create_engine(filled)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE trial_heartbeats")
    engine.dispose()
    ended = copied(filled, url, capsys=capsys)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "optuna storage upgrade" in ended.err


def test_a_server_that_goes_away_in_the_middle_is_one_line_and_nothing_is_copied(
    filled: str,
    postgres: Server,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    database = sa.make_url(postgres_url).database
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
    for step, told in (("move_sequences", "results.list --store DST tells whether"), ("digest", "nothing was copied")):
        monkeypatch.setattr(results.copy, step, lambda *_: postgres.run(cut))
        ended = copied(filled, postgres_url, capsys=capsys)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert told in ended.err
    monkeypatch.undo()
    assert copied(filled, postgres_url, capsys=capsys).code == 0
