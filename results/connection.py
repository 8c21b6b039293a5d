"""Opening a store: the database behind a URL, checked to be ours and brought to this version's schema."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError, OperationalError

from plumbing.errors import StoreError
from results.reconnect import is_away, passes, persistently, reason

DEFAULT_URL = "sqlite:///runs/results.db"
VERSION_TABLE = "results_version"
NO_URL = (ArgumentError, ValueError)  # what SQLAlchemy raises for one; ValueError for a port that is no number
MIGRATIONS = Path(__file__).parent / "migrations"

# PostgreSQL's, for each connection: no statement runs for ever, none waits for ever for another's lock, and a process
# that was stopped within a transaction keeps its locks no longer than others wait for them.
LIMITS = {"statement_timeout": "120s", "lock_timeout": "20s", "idle_in_transaction_session_timeout": "60s"}
# libpq's: a server that is out of reach is known to be so within a minute. Seconds, but for the last: milliseconds.
NOTICE_LOSS = {"connect_timeout": 10, "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3,
               "tcp_user_timeout": 50_000}  # fmt: skip

# Optuna 5's tables, which may stand beside ours.
OPTUNA_TABLES = frozenset(
    {
        "studies",
        "study_directions",
        "study_user_attributes",
        "study_system_attributes",
        "trials",
        "trial_user_attributes",
        "trial_system_attributes",
        "trial_params",
        "trial_values",
        "trial_intermediate_values",
        "trial_heartbeats",
        "version_info",
        "alembic_version",
    }
)


def hide_password(url: str) -> str:
    """The URL as it may be shown."""
    try:
        return _parsed(url).render_as_string(hide_password=True)
    except NO_URL:
        return "that URL"


def without_password(arguments: Sequence[str], url: str) -> list[str]:
    """A command's arguments as they may be shown and kept, where one of them is the URL, or holds it.

    >>> without_password(["--store=postgresql+psycopg://me:it's@host/db"], "postgresql+psycopg://me:it's@host/db")
    ['--store=postgresql+psycopg://me:***@host/db']
    """
    return [each.replace(url, hide_password(url)) for each in arguments]


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL, None for other databases.

    Raises: StoreError where the URL is none, or is SQLite's in memory, which would be lost, or with SQLite's options,
        which would make another file of it; or where it holds a password in a way that could not be hidden.
    """
    try:
        parsed = _parsed(url)
    except PasswordSeen as error:
        raise StoreError(f"--store: {error}") from None
    except NO_URL:
        raise StoreError("--store is no database URL; give sqlite:///FILE or postgresql+psycopg://...") from None
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise StoreError("--store: a SQLite store needs a file, else nothing is kept; give sqlite:///FILE")
    if parsed.database.startswith("file:") or parsed.query:
        raise StoreError("--store: a SQLite store is a plain file, without file: and ?options; give sqlite:///FILE")
    return Path(parsed.database)


class PasswordSeen(ValueError):
    """A URL whose password would not be known for one, and shown."""


def _parsed(url: str) -> sa.URL:
    """Raises: one of `NO_URL`."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        if url.count("@") > 1 or "@" in str(parsed.database):
            raise PasswordSeen("write @ as %40 within a password, / as %2F and : as %3A")
        if {"password", "sslpassword"} & set(parsed.query):
            raise PasswordSeen("a password is no option; give user:password@host, $PGPASSWORD or ~/.pgpass")
    return parsed


def open_engine(url: str, create: bool, has_worked: bool = False) -> sa.Engine:
    """An engine on a store of ours, its tables brought to this version.

    Args:
        create: make the store where it does not exist; else its absence is an error and nothing is made.
        has_worked: somebody has it open, so a server that cannot be reached is away for a while, and waited for.
    Raises: StoreError where it is absent, unreachable, unwritable, another program's, or a newer version's.
    """
    path = sqlite_path(url)
    if path is None:
        return _opened(url, None, create, passes if has_worked else _starting)
    _check_file(path, url, create)
    with _unmade_on_failure(path):
        if create:
            _make_folder(path, url)
        return _opened(url, path, create, passes)


def _opened(url: str, path: Path | None, create: bool, may_pass: Callable[[DBAPIError], bool]) -> sa.Engine:
    try:
        engine = _engine(url, path)
        try:
            persistently(lambda: _bring_up_to_date(engine, url, create), engine.url, may_pass)
        except BaseException:
            engine.dispose()
            raise
        return engine
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"--store {hide_password(url)}: no driver for that database: {error}") from None
    except NO_URL as error:
        raise StoreError(f"--store {hide_password(url)}: no URL of a database: {error}; mend it") from None
    except OperationalError as error:
        mend = "" if path else "; see that the server runs, and whether host, database, user and password are right"
        raise StoreError(f"--store {hide_password(url)}: cannot be opened or written: {reason(error)}{mend}") from None
    except DatabaseError as error:
        told = "not a database of ours" if path else "cannot be used"
        mend = "give another file" if path else "give another database, or the rights that are lacking"
        raise StoreError(f"--store {hide_password(url)}: {told}: {reason(error)}; {mend}") from None


def _engine(url: str, path: Path | None) -> sa.Engine:
    if path is None:
        return postgresql_engine(url)
    engine = sa.create_engine(url, connect_args={"timeout": 60})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def postgresql_engine(url: str) -> sa.Engine:
    """An engine on a PostgreSQL database, which is not asked for anything yet.

    Few connections are kept, since a hundred is all that a server has by default. None is tried out before it is used:
    who finds it lost runs the transaction again (`results.reconnect`).

    Raises: ArgumentError or ValueError where the URL is none; NoSuchModuleError, ModuleNotFoundError without a driver.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise NoSuchModuleError(
            f"{parsed.get_backend_name()} is neither sqlite nor postgresql; give sqlite:///FILE or postgresql+psycopg://..."
        )
    return sa.create_engine(parsed, connect_args=postgresql_arguments(parsed), pool_size=2, max_overflow=3)


def postgresql_arguments(url: sa.URL) -> dict[str, Any]:
    """What PostgreSQL's driver is told besides the URL: limits of time, and how a lost connection is noticed."""
    limits = " ".join(f"-c {name}={value}" for name, value in LIMITS.items())
    arguments: dict[str, Any] = {name: value for name, value in NOTICE_LOSS.items() if name not in url.query}
    arguments["options"] = f"{limits} {url.query.get('options', '')}".strip()  # the user's own, coming later, count
    return arguments


def _starting(error: DBAPIError) -> bool:
    """Whether a server that does not let us in will soon, or another process is at the same tables."""
    return passes(error) and (not is_away(error) or "the database system is" in str(error.orig))


def _bring_up_to_date(engine: sa.Engine, url: str, create: bool) -> None:
    with engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        _check_tables(tables, url, create)
        version = _version(connection, tables)
    if version != _newest_version():
        _migrate(engine, url)


@contextmanager
def _unmade_on_failure(path: Path) -> Iterator[None]:
    """Where the block fails, remove the empty file and the folders that it made: a full disk leaves nothing behind."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    try:
        yield
    except BaseException:
        with suppress(OSError):  # another process has put something there
            if path in missing and path.exists() and path.stat().st_size == 0:
                path.unlink()
            for folder in missing[1:]:
                folder.rmdir()
        raise


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # The driver would begin transactions itself, but not before CREATE TABLE: a kill then leaves half a schema.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _check_file(path: Path, url: str, create: bool) -> None:
    if not path.exists() and not create:
        raise StoreError(f"--store {hide_password(url)}: no such store; run search.run or results.import_csv first")
    if path.is_dir():
        raise StoreError(f"--store {hide_password(url)}: that is a folder; give a file in it")


def _make_folder(path: Path, url: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"--store {hide_password(url)}: its folder cannot be made: {error.strerror}") from None


def _check_tables(tables: set[str], url: str, create: bool) -> None:
    foreign = {table for table in tables if not table.startswith("results_")} - OPTUNA_TABLES
    if foreign:
        raise StoreError(
            f"--store {hide_password(url)}: another program's (it holds {sorted(foreign)[0]!r}); give another store"
        )
    if VERSION_TABLE not in tables and not create:
        raise StoreError(f"--store {hide_password(url)}: holds no results; run search.run or results.import_csv first")


def _version(connection: sa.Connection, tables: set[str]) -> str | None:
    if VERSION_TABLE not in tables:
        return None
    return connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


@cache
def _newest_version() -> str:
    """The newest migration's number, read from its file name: asking Alembic would cost its import on every start."""
    return max(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _migrate(engine: sa.Engine, url: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    # One process migrates at a time; the next finds nothing left to do.
    with engine.execution_options(immediate=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('results_version'))"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise StoreError(
                f"--store {hide_password(url)}: of a newer version of this program; update it, or give another store"
            ) from None
