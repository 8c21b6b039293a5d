"""Copy a store to another database, whole and compared, as from SQLite to PostgreSQL or back.

    python -m results.copy SRC DST

All searches, trials and what belongs to them come along under their own ids, and Optuna's studies where SRC holds
some. DST must hold nothing yet. All is written in one transaction of DST, read again on both sides and compared table
by table before it is committed: a copy that fails or is killed leaves no result in DST. SRC is read as it was at the
beginning; a search that writes to a SQLite file meanwhile waits, a minute at most. Model files are not moved: their
paths stay as they are. A row at a time is held, so a large store needs no memory.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError

from plumbing.command import CommandParser, run_command
from plumbing.errors import StoreError
from plumbing.progress import Advance, progress_bar
from results import schema
from results.connection import OPTUNA_TABLES, hide_password, open_engine, sqlite_path
from results.reconnect import reason

COMMAND = "results.copy"
ROWS = 200  # held at once


def copy_store(source: str, destination: str) -> dict[str, int]:
    """Copy all tables; table -> number of rows.

    Raises: StoreError where one side cannot be used, DST holds something, or a table differs after it was written;
        DST is then as it was, but for empty tables.
    """
    with ExitStack() as stack:
        with named("SRC"):
            from_engine = stack.enter_context(opened(source, create=False))
        with named("DST"):
            if same(source, destination):
                raise StoreError(f"{hide_password(destination)}: that is SRC; give another database")
            to_engine = stack.enter_context(opened(destination, create=True))
        counts: dict[str, int] = {}
        try:
            with snapshot(from_engine) as reader, to_engine.execution_options(immediate=True).begin() as writer:
                counts = copy_tables(reader, writer)
        except DatabaseError as error:
            sides = f"{hide_password(source)} to {hide_password(destination)}"
            end = "results.list --store DST tells whether the copy is there" if counts else "nothing was copied"
            raise StoreError(f"{sides}: {reason(error)}; {end}") from None
        return counts


def copy_tables(reader: sa.Connection, writer: sa.Connection) -> dict[str, int]:
    """Copy all tables from one connection to another, within their transactions, and compare; table -> rows.

    Raises: StoreError where the destination holds something, or a table differs.
    """
    for connection in (reader, writer):  # one waits while the other is read
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    tables = [plain(table) for table in schema.metadata.sorted_tables if table is not schema.transactions]
    check_empty(writer, tables)
    theirs = optuna_tables(reader)
    for table in theirs:
        table.create(writer, checkfirst=True)
    tables += theirs
    counts = {table.name: count(reader, table) for table in tables}
    with progress_bar("copying", 3 * sum(counts.values())) as advance:
        for table in tables:
            copy_table(reader, writer, table, advance)
        for table in tables:
            if digest(reader, table, advance) != digest(writer, table, advance):
                raise StoreError(f"table {table.name} differs in DST after it was written; nothing was copied")
    if writer.dialect.name == "postgresql":
        move_sequences(writer, tables)
    return counts


@contextmanager
def named(side: str) -> Iterator[None]:
    """Errors of a store tell which of the two it is."""
    try:
        yield
    except StoreError as error:
        raise StoreError(f"{side} {str(error).removeprefix('--store ')}") from None


@contextmanager
def opened(url: str, create: bool) -> Iterator[sa.Engine]:
    """An engine on a store, its tables brought to this version."""
    engine = open_engine(url, create)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection that sees the database as it is now, whatever others write meanwhile."""
    level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with engine.execution_options(**level).connect() as connection:
        yield connection


def same(source: str, destination: str) -> bool:
    """Whether two URLs name one database, as far as they tell."""
    files = sqlite_path(source), sqlite_path(destination)
    if files[0] is not None and files[1] is not None:
        return files[0].resolve() == files[1].resolve()
    one, other = sa.make_url(source), sa.make_url(destination)
    return (one.host, one.port, one.database, one.query) == (other.host, other.port, other.database, other.query)


def plain(table: sa.Table) -> sa.Table:
    """The table, an absent value in a JSON column being absent rather than JSON's null."""
    copied = table.to_metadata(sa.MetaData())
    for column in copied.columns:
        if isinstance(column.type, sa.JSON):
            column.type = sa.JSON(none_as_null=True)
    return copied


def check_empty(writer: sa.Connection, tables: Sequence[sa.Table]) -> None:
    """Raises: StoreError where the destination holds a row of ours, or Optuna's tables."""
    for table in tables:
        if writer.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise StoreError(f"DST holds results already (in {table.name}); give an empty database")
    if theirs := OPTUNA_TABLES & set(sa.inspect(writer).get_table_names()):
        raise StoreError(f"DST holds Optuna's tables already ({min(theirs)}); give an empty database")


def optuna_tables(reader: sa.Connection) -> list[sa.Table]:
    """Optuna's tables as this version of it declares them, in the order of their keys; empty where SRC has none.

    Raises: StoreError where those of SRC are another version's.
    """
    present = OPTUNA_TABLES & set(sa.inspect(reader).get_table_names())
    if not present:
        return []
    from optuna.storages._rdb.models import BaseModel

    versions = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))
    tables = [*BaseModel.metadata.sorted_tables, versions]
    if {table.name for table in tables} != present:
        raise StoreError(
            "SRC: Optuna's tables are of another version; `optuna storage upgrade` brings them to this one"
        )
    return tables


def count(connection: sa.Connection, table: sa.Table) -> int:
    """How many rows the table has."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def rows(connection: sa.Connection, table: sa.Table) -> Iterator[Sequence[sa.RowMapping]]:
    """The table's rows, some at a time, in no order."""
    options = {"stream_results": True, "yield_per": ROWS}
    return connection.execute(sa.select(table), execution_options=options).mappings().partitions()


def copy_table(reader: sa.Connection, writer: sa.Connection, table: sa.Table, advance: Advance) -> None:
    """Copy the rows of one table."""
    for some in rows(reader, table):
        writer.execute(sa.insert(table), [dict(row) for row in some])
        advance(len(some))


def digest(connection: sa.Connection, table: sa.Table, advance: Advance) -> tuple[int, int]:
    """The number of rows, and the sum of their digests: databases do not agree on an order of texts."""
    number = total = 0
    for some in rows(connection, table):
        for row in some:
            number, total = number + 1, (total + row_digest(row)) % 2**256
        advance(len(some))
    return number, total


def row_digest(row: Mapping[Any, Any]) -> int:
    """A digest of a row's values with their types; floats to the last bit."""
    text = json.dumps([[str(name), written(value)] for name, value in row.items()])
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest(), "big")


def written(value: Any) -> Any:
    """A value as JSON tells it; bytes by their digest, and what JSON has not (times, states of Optuna) as text."""
    if isinstance(value, bytes | memoryview):
        return hashlib.blake2b(value).hexdigest()
    return value if isinstance(value, None | bool | int | float | str | list | dict) else repr(value)


def move_sequences(writer: sa.Connection, tables: Sequence[sa.Table]) -> None:
    """Let PostgreSQL number the next rows after those that were written under their own ids."""
    for table in tables:
        for column in table.primary_key:
            if isinstance(column.type, sa.Integer) and not column.foreign_keys:
                sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
                writer.execute(sa.select(sa.func.setval(sequence, sa.select(sa.func.max(column)).scalar_subquery())))


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Raises: StoreError as `copy_store`.
    """
    parser = CommandParser(COMMAND, "Copies a store to another database, whole and compared.")
    parser.add_argument("source", metavar="SRC", help="the URL of the store; it is only read")
    parser.add_argument("destination", metavar="DST", help="the URL of a database that holds nothing yet")
    options = parser.parse_args(arguments)

    counts = copy_store(options.source, options.destination)
    for table, number in counts.items():
        print(f"{table}: {number}")
    print(f"{sum(counts.values())} rows copied and compared; model files stay where they are")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
