"""The store's guarantees: what opens, what is refused, what is atomic."""

import itertools
import multiprocessing
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st

from plumbing.errors import StoreError
from results.connection import VERSION_TABLE, hide_password, sqlite_path
from results.reconnect import unwritable
from results.records import ImageList, NewSearch, NewTrial, Search, TrialResult
from results.schema import metadata
from results.store import Store
from tests.postgres import ON_POSTGRESQL, ON_SQLITE

LARGE = {"text": "x" * 2**20}  # more than the free pages of a new store


def many_images() -> ImageList:
    names = tuple(f"{number:0100}" for number in range(5000))
    return ImageList(names, names, names, np.zeros(5000, np.int64))


def file_of(url: str) -> Path:
    path = sqlite_path(url)
    assert path is not None
    return path


def test_what_was_stored_is_there_after_reopening(url: str, store: Store, search: Search) -> None:
    store.close()
    reopened = Store.open(url)
    assert reopened.searches() == [search]
    reopened.close()


@ON_SQLITE
def test_missing_store_is_refused_and_nothing_is_made(url: str) -> None:
    with pytest.raises(StoreError, match="no such store"):
        Store.open(url)
    assert not file_of(url).parent.exists()


def test_empty_database_is_refused_where_nothing_may_be_made(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="holds no results"):
        Store.open(f"sqlite:///{tmp_path / 'empty.db'}")
    assert (tmp_path / "empty.db").stat().st_size == 0


@pytest.mark.parametrize("create", [False, True])
def test_another_programs_database_is_refused_and_untouched(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "photos.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE albums (id INTEGER)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"another program's .*'albums'"):
        Store.open(f"sqlite:///{path}", create=create)
    assert path.read_bytes() == before


@pytest.mark.parametrize("create", [False, True])
def test_file_that_is_no_database_is_refused_and_untouched(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are notes, not a database " * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store.open(f"sqlite:///{path}", create=create)
    assert path.read_text().startswith("these are notes")


def test_store_of_a_newer_version_is_refused(url: str, store: Store) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer version"):
        Store.open(url)


def test_store_beside_optunas_tables_is_ours(tmp_path: Path) -> None:
    path = tmp_path / "both.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE studies (study_id INTEGER)")
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    connection.close()
    opened = Store.open(f"sqlite:///{path}", create=True)
    assert opened.searches() == []
    opened.close()


def test_place_that_cannot_hold_a_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="folder cannot be made"):
        Store.open(f"sqlite:///{tmp_path / 'file' / 'results.db'}", create=True)
    with pytest.raises(StoreError, match="that is a folder"):
        Store.open(f"sqlite:///{tmp_path}", create=True)


@pytest.mark.skipif(
    not Path("/proc/self").is_dir(), reason="needs a folder that not even root can write: Linux's /proc"
)
def test_unwritable_folder_is_refused() -> None:
    with pytest.raises(StoreError, match="cannot be opened or written"):
        Store.open("sqlite:////proc/results.db", create=True)


@ON_SQLITE
def test_store_on_a_full_disk_is_refused_and_nothing_is_left(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA max_page_count=2")

    monkeypatch.setattr("results.connection._prepare_sqlite", full)
    with pytest.raises(StoreError, match="cannot be opened or written: database or disk is full"):
        Store.open(url, create=True)
    assert not file_of(url).parent.exists()


def refuse_to_be_written(store: Store, reason: str) -> None:
    @sa.event.listens_for(store.engine, "begin")
    def limit(connection: sa.Connection) -> None:
        pragma = "PRAGMA query_only=ON" if "readonly" in reason else "PRAGMA max_page_count=1"  # or as many as it has
        read_only = "SET TRANSACTION READ ONLY"
        connection.exec_driver_sql(read_only if connection.dialect.name == "postgresql" else pragma)


WRITERS: dict[str, Callable[[Store, NewTrial, TrialResult], object]] = {
    "create_search": lambda store, *_: store.create_search(NewSearch("x", "search", "optuna", "abc", details=LARGE)),
    "save_image_list": lambda store, *_: store.save_image_list("new", "XR_HAND", "test", many_images()),
    "start_trial": lambda store, trial, *_: store.start_trial(1, replace(trial, number=5, configuration=LARGE)),
    "finish_trial": lambda store, _, result: store.finish_trial(1, replace(result, model_path=LARGE["text"])),
    "fail_trial": lambda store, *_: store.fail_trial(1, LARGE["text"], 1.0),
    "import_search": lambda store, *_: store.import_search(
        NewSearch("y", "import", "none", "abc", details=LARGE), [], []
    ),
}


@ON_SQLITE
@pytest.mark.parametrize("reason", ["attempt to write a readonly database", "database or disk is full"])
@pytest.mark.parametrize("writer", WRITERS)
def test_store_that_refuses_to_be_written_is_one_line(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult],
    writer: str, reason: str,
) -> None:  # fmt: skip
    store.start_trial(search.id, new_trial(0))
    refuse_to_be_written(store, reason)
    with pytest.raises(StoreError) as raised:
        WRITERS[writer](store, new_trial(0), result())
    told = f"--store {store.engine.url}: cannot be written: {reason}; free it or give another store"
    assert str(raised.value) == told
    assert [trial.state for trial in store.trials()] == ["running"]


@ON_POSTGRESQL
@pytest.mark.parametrize("writer", WRITERS)
def test_database_that_refuses_to_be_written_is_one_line(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult], writer: str
) -> None:
    store.start_trial(search.id, new_trial(0))
    refuse_to_be_written(store, "readonly")
    with pytest.raises(
        StoreError, match=r": cannot be written: cannot execute \w+ in a read-only transaction; free it"
    ):
        WRITERS[writer](store, new_trial(0), result())
    assert [trial.state for trial in store.trials()] == ["running"]


def test_image_list_that_is_there_is_not_written_again(store: Store) -> None:
    store.save_image_list("d1", "XR_HAND", "test", many_images())
    refuse_to_be_written(store, "readonly")
    store.save_image_list("d1", "XR_HAND", "test", many_images())
    with pytest.raises(StoreError, match=r"readonly|read-only"):
        store.save_image_list("d1", "XR_HAND", "valid", many_images())


def test_password_of_a_store_that_refuses_to_be_written_is_hidden() -> None:
    url = sa.make_url("postgresql+psycopg://me:secret@host/db")
    error = sa.exc.OperationalError(None, None, Exception("disk full"))
    told = "--store postgresql+psycopg://me:***@host/db: cannot be written: disk full; free it or give another store"
    assert str(unwritable(url, error)) == told


@pytest.mark.parametrize(
    ("url", "message"),
    [("postgresql+psycopg://me:secret@host:port/db", "no database URL"),
     ("sqlite:///file:results.db?mode=ro&uri=true", "a plain file"), ("sqlite:///results.db?mode=ro", "a plain file"),
     ("sqlite://", "needs a file"), ("sqlite:///:memory:", "needs a file"), ("runs.db", "no database URL"),
     ("nosuch://user:secret@host/db", "no driver")],
)  # fmt: skip
def test_urls_of_no_use_are_refused_without_their_password(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        Store.open(url, create=True)
    assert "secret" not in str(caught.value) + hide_password(url)


def test_migrated_schema_equals_the_declared_one(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def open_new(url: str) -> int:
    opened = Store.open(url, create=True)
    found = len(opened.searches())
    opened.close()
    return found


def test_threads_may_open_a_new_store_at_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(open_new, [url] * 4)) == [0] * 4


def test_processes_may_open_a_new_store_at_once(url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(open_new, [url] * 2, chunksize=1) == [0] * 2


def add_trials(store: Store, name: str, new: list[NewTrial]) -> None:
    search = store.create_search(NewSearch(name, "search", "optuna", "abc"))
    for trial in new:
        store.start_trial(search.id, trial)


def test_processes_may_write_at_once(store: Store, new_trial: Callable[..., NewTrial]) -> None:
    new = [new_trial(number) for number in range(30)]
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=add_trials, args=(store, name, new)) for name in ("a", "b", "c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert [trial.number for trial in store.trials()] == [*range(30)] * 3


KILLED_IN_MIGRATION = """
import os, signal, sys
from alembic import op
from results.store import Store
op.create_index = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
Store.open(sys.argv[1], create=True)
"""


def test_migration_killed_between_tables_leaves_none_and_runs_again(url: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_MIGRATION, url], check=False)
    assert killed.returncode == -signal.SIGKILL  # else this would prove nothing
    engine = sa.create_engine(url)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
    assert open_new(url) == 0


def test_search_name_is_taken_only_once(store: Store, search: Search) -> None:
    with pytest.raises(StoreError, match="hand is in the store already"):
        store.create_search(NewSearch("hand", "search", "optuna", "abc"))
    assert store.searches() == [search]


def test_finished_trial_has_all_its_result(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult]
) -> None:
    trial = store.start_trial(search.id, new_trial(0))
    store.finish_trial(trial.id, result())
    (stored,) = store.trials(search.id)
    assert (stored.state, stored.value, stored.epochs_trained) == ("finished", 0.75, 2)
    assert stored.test_accuracy_eval == 58.91
    assert store.histories() == {trial.id: {"loss": [0.7, 0.6], "val_auc": [0.5, 0.75]}}
    assert store.measures() == [(trial.id, result().measures[0])]
    np.testing.assert_array_equal(store.probabilities(trial.id, "valid"), np.array([[0.25], [0.5]], np.float32))


def test_trial_that_is_not_running_keeps_its_result(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult]
) -> None:
    trial = store.start_trial(search.id, new_trial(0))
    store.finish_trial(trial.id, result(0.75))
    with pytest.raises(StoreError, match="not running"):
        store.finish_trial(trial.id, result(0.5))
    with pytest.raises(StoreError, match="not running"):
        store.fail_trial(trial.id, "out of memory", 1.0)
    assert [(each.state, each.value) for each in store.trials()] == [("finished", 0.75)]


def test_result_that_cannot_be_stored_whole_leaves_the_trial_running(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult]
) -> None:
    trial = store.start_trial(search.id, new_trial(0))
    twice = TrialResult(**(vars(result()) | {"measures": result().measures * 2}))  # the second breaks the key
    with pytest.raises(sa.exc.IntegrityError, match=r"UNIQUE|unique"):
        store.finish_trial(trial.id, twice)
    assert [each.state for each in store.trials()] == ["running"]
    assert store.histories() == {}


def test_failed_trial_keeps_its_reason(store: Store, search: Search, new_trial: Callable[..., NewTrial]) -> None:
    trial = store.start_trial(search.id, new_trial(0))
    store.fail_trial(trial.id, "out of memory", 1.0)
    assert [(each.state, each.reason) for each in store.trials()] == [("failed", "out of memory")]


def test_only_trials_that_are_running_are_removed(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult]
) -> None:
    trials = store.start_trials(search.id, [new_trial(number) for number in range(4)])
    store.finish_trial(trials[0].id, result())
    store.fail_trial(trials[1].id, "out of memory", 1.0)
    store.remove_running([trial.id for trial in trials[:3]])
    assert [(each.number, each.state) for each in store.trials()] == [(0, "finished"), (1, "failed"), (3, "running")]
    assert store.histories() == {trials[0].id: dict(result().history)}
    store.remove_running([])
    assert len(store.trials()) == 3


def test_more_trials_may_be_named_than_a_statement_takes(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult]
) -> None:
    trial = store.start_trial(search.id, new_trial(0))
    store.finish_trial(trial.id, result())
    named = [*range(trial.id + 1, 70_000), trial.id]
    assert list(store.histories(named)) == [trial.id]
    assert list(store.all_probabilities(named, "valid")) == [trial.id]
    assert store.all_probabilities([], "valid") == store.histories([]) == {}


def test_image_list_comes_back_as_it_was(store: Store) -> None:
    images = ImageList(("a.png", "b.png"), ("p1", "p2"), ("p1/s1", "p2/s1"), np.array([0, 1]))
    store.save_image_list("d1", "XR_HAND", "test", images)
    store.save_image_list("d1", "XR_HAND", "test", images)
    read = store.image_list("d1", "XR_HAND", "test")
    assert (read.paths, read.labels.tolist()) == (images.paths, [0, 1])
    with pytest.raises(StoreError, match="no image list of XR_HAND valid"):
        store.image_list("d1", "XR_HAND", "valid")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('property') / 'results.db'}"
        else:
            url = stack.enter_context(request.getfixturevalue("postgres").database())
        yield stack.enter_context(closing(Store.open(url, create=True)))


NUMBERS = itertools.count()
VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53), st.booleans(), st.none(),
    st.text(st.characters(exclude_categories=["Cs"])),
)  # fmt: skip


@given(configuration=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES, max_size=8))
def test_configuration_comes_back_from_the_store_the_same(
    kept_store: Store, new_trial: Callable[..., NewTrial], configuration: dict[str, object]
) -> None:
    number = next(NUMBERS)
    search = kept_store.create_search(NewSearch(f"search {number}", "search", "optuna", "abc"))
    stored = kept_store.start_trial(search.id, new_trial(0, configuration=configuration))
    assert stored.configuration == configuration
    assert [type(value) for value in stored.configuration.values()] == [type(v) for v in configuration.values()]
