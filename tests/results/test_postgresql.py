"""A store on PostgreSQL: what opens, what is refused in one line, and that no password is ever shown."""

import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plumbing.command import run_command
from plumbing.errors import StoreError
from results.connection import VERSION_TABLE, hide_password, sqlite_path
from results.records import Measure, NewSearch, NewTrial, Search, TrialResult
from results.schema import metadata
from results.store import Store
from tests.postgres import Server, started_server

PASSWORD = "s3cr3t-Pa55phrase"


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server that asks the user `guard` for the password."""
    pytest.importorskip("pgserver", exc_type=ImportError)
    with started_server() as server:
        server.ask_for_password("guard", PASSWORD)
        yield server


def with_password(server: Server, url: str, password: str = PASSWORD) -> str:
    return server.url(str(sa.make_url(url).database), "guard", password)


# What opens


def test_store_opens_with_the_password_and_not_without(guarded: Server) -> None:
    with guarded.database() as url:
        Store.open(with_password(guarded, url), create=True).close()
        with pytest.raises(StoreError, match="password authentication failed"):
            Store.open(with_password(guarded, url, "wrong"), create=True)


@pytest.mark.parametrize("create", [False, True])
def test_another_programs_database_is_refused_and_untouched(url: str, create: bool) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE albums (id INTEGER)")
    with pytest.raises(StoreError, match=r"another program's .*'albums'"):
        Store.open(url, create=create)
    assert sa.inspect(engine).get_table_names() == ["albums"]
    engine.dispose()


def test_empty_database_is_refused_where_nothing_may_be_made(url: str) -> None:
    with pytest.raises(StoreError, match="holds no results"):
        Store.open(url)
    engine = sa.create_engine(url)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()


def test_store_of_an_older_version_is_brought_up_to_date(url: str) -> None:
    store = Store.open(url, create=True)
    with store.engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            table.drop(connection)
        connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")
    migrate(store.engine, "0001")
    with store.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO results_searches (name, kind, engine, code_version, settings, details, created)"
            " VALUES ('old', 'search', 'optuna', 'a', '{}', '{}', 'x')"
        )
    store.close()
    reopened = Store.open(url)
    assert [each.name for each in reopened.searches()] == ["old"]
    with reopened.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
    reopened.close()


def migrate(engine: sa.Engine, version: str) -> None:
    from alembic import command
    from alembic.config import Config

    from results.connection import MIGRATIONS

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def test_user_without_rights_is_told_so(guarded: Server) -> None:
    with guarded.database() as url:
        guarded.run("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN")
        reader = guarded.url(str(sa.make_url(url).database), "reader")
        with pytest.raises(StoreError, match=r"permission denied for schema public.*; give another database, or the"):
            Store.open(reader, create=True)


def test_options_of_the_user_count_before_ours(url: str) -> None:
    store = Store.open(f"{url}&options=-c%20lock_timeout%3D7s&connect_timeout=3", create=True)
    with store.engine.connect() as connection:
        shown = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in ("lock_timeout", "statement_timeout")]
    assert shown == ["7s", "2min"]
    store.close()


def test_a_store_keeps_few_connections(store: Store) -> None:
    held = [store.engine.connect() for _ in range(5)]
    for connection in held:
        connection.close()
    assert isinstance(store.engine.pool, sa.QueuePool)
    assert store.engine.pool.checkedin() == 2


# What is stored alike on both databases


def test_what_is_no_number_is_stored_as_absent(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult]
) -> None:
    bad = TrialResult(**(vars(result(float("nan"))) | {"measures": (Measure("test", "study", "auc", float("nan")),)}))
    for number, found in enumerate((bad, result(0.5))):
        store.finish_trial(store.start_trial(search.id, new_trial(number)).id, found)
    assert [trial.value for trial in store.trials()] == [None, 0.5]
    assert store.measures()[0][1].value is None
    assert store.summaries()[search.id].best_value == 0.5  # PostgreSQL takes NaN for the greatest number


def test_text_that_postgresql_cannot_hold_is_one_line(store: Store, search: Search, new_trial: Any) -> None:
    trial = store.start_trial(search.id, new_trial(0, configuration={"odd": "a\x00b"}))
    assert store.trials()[0].configuration == {"odd": "a\x00b"}
    with pytest.raises(StoreError, match=r": cannot be written: .*NUL"):
        store.fail_trial(trial.id, "a\x00b", 1.0)


# Passwords


MESSY = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=20)


@given(password=MESSY)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_piece_of_a_password_is_shown_however_badly_the_url_is_written(password: str) -> None:
    """Written as it stands, not escaped: what then parses as host, port or database must not be shown either."""
    url = f"postgresql+psycopg://me:{password}@host.invalid/db"
    try:
        sqlite_path(url)
        told = ""
    except StoreError as error:
        told = str(error)
    known = "postgresql+psycopg://me:***@host.invalid/db %40 %2F %3A user:password@host $PGPASSWORD ~/.pgpass"
    for start in range(len(password) - 3):
        piece = password[start : start + 4]
        assert piece in known or piece not in hide_password(url) + told


@pytest.mark.parametrize(
    ("url", "message"),
    [("postgresql+psycopg://me:p@ss@host/db", "write @ as %40"),
     ("postgresql+psycopg://me@host/db?password=secret", "a password is no option"),
     ("postgresql+psycopg://me:secret@/db?host=/nowhere", "No such file or directory.*; see that the server runs"),
     ("postgresql+psycopg://me:secret@127.0.0.1:1/db", "Connection refused.*; see that the server runs"),
     ("postgresql+psycopg://me:secret@host.invalid/db", "resolve host"),
     ("postgresql+psycopg://me:secret@/db?nosuch=1", "nosuch"), ("mysql://me:secret@host/db", "neither sqlite nor"),
     ("postgresql+psycopg2://me:secret@host/db", "no driver")],
)  # fmt: skip
def test_urls_that_lead_nowhere_are_one_line_without_their_password(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        Store.open(url, create=True)
    assert not re.search("secret|p@ss|ss@host", str(caught.value) + hide_password(url))
    assert "\n" not in str(caught.value)


COMMANDS = (
    ("results.list",), ("results.export", "--format", "csv"), ("results.import_csv", "{folder}/table.csv"),
    ("results.copy", "{url}", "sqlite:///{folder}/copy.db"), ("results.copy", "sqlite:///{folder}/source.db", "{url}"),
    ("reports.leaderboard",), ("reports.build", "--out", "{folder}/report"),
    ("reports.study", "hand", "--out", "{folder}/study"), ("predict.ensemble", "--part", "XR_HAND"),
    ("search.run", "--part", "XR_HAND", "--trials", "1", "--data", "{folder}", "--runs", "{folder}/runs"),
)  # fmt: skip
TROUBLE: dict[str, Callable[[Server, str], str]] = {
    "wrong password": lambda server, url: with_password(server, url, f"{PASSWORD}x"),
    "no such database": lambda server, url: server.url("nosuch", "guard", PASSWORD),
    "no such server": lambda server, url: with_password(server, url).replace("%2Fdata", "%2Felsewhere"),
    "not escaped": lambda server, url: with_password(server, url).replace(PASSWORD, f"@{PASSWORD}"),
    "as an option": lambda server, url: f"{url}&password={PASSWORD}",
}


@pytest.fixture(scope="module")
def guarded_store(guarded: Server) -> Iterator[str]:
    """A store that holds a search; its URL without the password."""
    with guarded.database() as place:
        with closing(Store.open(place, create=True)) as store:
            store.create_search(NewSearch("hand", "search", "optuna", "abc", task="XR_HAND"))
        yield place


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_no_command_shows_a_password_where_the_store_does_not_open(
    guarded: Server, guarded_store: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...],
    trouble: str,
) -> None:  # fmt: skip
    told = run(guarded, guarded_store, tmp_path, arguments, TROUBLE[trouble])
    output = capfd.readouterr()
    assert PASSWORD not in output.out + output.err + told
    assert (told, output.out, output.err.count("\n")) == ("2", "", 1), output.err


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_no_command_shows_a_password_in_a_traceback(
    guarded: Server, guarded_store: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """Statements fail, because a table lacks a column."""
    name = str(sa.make_url(guarded_store).database)
    guarded.run("ALTER TABLE results_searches RENAME COLUMN name TO broken", database=name)
    try:
        told = run(guarded, guarded_store, tmp_path, arguments, lambda server, url: with_password(server, url))
    finally:
        guarded.run("ALTER TABLE results_searches RENAME COLUMN broken TO name", database=name)
    output = capfd.readouterr()
    assert PASSWORD not in output.out + output.err + told
    assert told == "2" or "Traceback" in told


def run(
    server: Server, store: str, folder: Path, arguments: tuple[str, ...], url_of: Callable[[Server, str], str]
) -> str:
    """Run a command in this process; its exit code, or the traceback with which it would end."""
    (folder / "table.csv").write_text("name_code,part_body\nx,XR_HAND\n")
    Store.open(f"sqlite:///{folder}/source.db", create=True).close()
    url = url_of(server, store)
    given = [text.replace("{folder}", str(folder)).replace("{url}", url) for text in arguments[1:]]
    given += [] if arguments[0] == "results.copy" else ["--store", url]
    try:
        return str(run_command(arguments[0], import_module(arguments[0]).main, given))
    except Exception:  # noqa: BLE001  # whatever the user would see
        return traceback.format_exc()
