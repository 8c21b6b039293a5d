"""Opening a store: the database behind a URL, checked to be ours and brought to this version's schema."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from plumbing.errors import StoreError

DEFAULT_URL = "sqlite:///runs/results.db"
VERSION_TABLE = "results_version"
NO_URL = (ArgumentError, ValueError)  # what SQLAlchemy raises for one; ValueError for a port that is no number
MIGRATIONS = Path(__file__).parent / "migrations"

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
        return sa.make_url(url).render_as_string(hide_password=True)
    except NO_URL:
        return "that URL"


def unwritable(url: sa.URL, error: DatabaseError) -> StoreError:
    """The error of a store that opened but refuses to be written."""
    shown = url.render_as_string(hide_password=True)
    return StoreError(f"--store {shown}: cannot be written: {error.orig}; free it or give another store")


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL, None for other databases.

    Raises: StoreError where the URL is none, or is SQLite's in memory, which would be lost, or with SQLite's options,
        which would make another file of it.
    """
    try:
        parsed = sa.make_url(url)
    except NO_URL:
        raise StoreError("--store is no database URL; give sqlite:///FILE or postgresql+psycopg://...") from None
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise StoreError("--store: a SQLite store needs a file, else nothing is kept; give sqlite:///FILE")
    if parsed.database.startswith("file:") or parsed.query:
        raise StoreError("--store: a SQLite store is a plain file, without file: and ?options; give sqlite:///FILE")
    return Path(parsed.database)


def open_engine(url: str, create: bool) -> sa.Engine:
    """An engine on a store of ours, its tables brought to this version.

    Args:
        create: make the store where it does not exist; else its absence is an error and nothing is made.
    Raises: StoreError where it is absent, unreachable, unwritable, another program's, or a newer version's.
    """
    path = sqlite_path(url)
    if path is None:
        return _opened(url, None, create)
    _check_file(path, url, create)
    with _unmade_on_failure(path):
        if create:
            _make_folder(path, url)
        return _opened(url, path, create)


def _opened(url: str, path: Path | None, create: bool) -> sa.Engine:
    try:
        engine = sa.create_engine(url, connect_args={"timeout": 60} if path else {})
        if path is not None:
            sa.event.listen(engine, "connect", _prepare_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
        try:
            _bring_up_to_date(engine, url, create)
        except BaseException:
            engine.dispose()
            raise
        return engine
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"--store {hide_password(url)}: no driver for that database: {error}") from None
    except NO_URL as error:
        raise StoreError(f"--store {hide_password(url)}: no URL of a database: {error}; mend it") from None
    except OperationalError as error:
        raise StoreError(f"--store {hide_password(url)}: cannot be opened or written: {error.orig}") from None
    except DatabaseError as error:
        raise StoreError(
            f"--store {hide_password(url)}: not a database of ours: {error.orig}; give another file"
        ) from None


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
