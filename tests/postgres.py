"""A real PostgreSQL server for tests, in a folder of its own, on a socket.

The package pgserver brings the server, and, where tests run as root, a system user for it. Nothing survives a power
cut: `fsync` is off.
"""

import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

# For tests that take the fixture `url` and are of one database alone.
ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("url", ["postgresql"], indirect=True)
STOP_SECONDS = 30


def load_pgserver() -> Any:
    """pgserver, which writes beside the temporary files of when it was first loaded until this process ends.

    Raises: ImportError where it is not there for this platform.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
        import pgserver
    return pgserver


class Server:
    """A running server.

    Attributes:
        folder: its data. socket: the folder of its socket.
    """

    def __init__(self, folder: Path) -> None:
        """Raises: ImportError as `load_pgserver`."""
        pgserver = load_pgserver()
        self.folder = folder
        self._pg_ctl: Any = pgserver.pg_ctl
        started = pgserver.get_server(folder, cleanup_mode=None)
        self._user = started.system_user
        self.socket = started.get_postmaster_info().socket_dir
        self._databases = itertools.count()
        self.run("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    def run(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements outside of a transaction; the rows of the last where it has some."""
        with psycopg.connect(self._place(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _place(self, database: str, user: str = "postgres") -> str:
        return f"host={self.socket} user={user} dbname={database}"

    def url(self, database: str, user: str = "postgres", password: str | None = None) -> str:
        """The URL of a database."""
        made = sa.URL.create("postgresql+psycopg", user, password, database=database, query={"host": str(self.socket)})
        return made.render_as_string(hide_password=False)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database, which goes at the end."""
        name = f"test_{next(self._databases)}"
        self.run(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def ask_for_password(self, user: str, password: str) -> None:
        """Make a user that must give a password; all others need none."""
        self.run(f"CREATE ROLE {user} LOGIN SUPERUSER PASSWORD '{password}'")
        rules = self.folder / "pg_hba.conf"
        rules.write_text(f"local all {user} scram-sha-256\n{rules.read_text()}")
        self.run("SELECT pg_reload_conf()")

    def stop(self, mode: str = "fast") -> None:
        """Stop: `fast` ends all connections in order, `immediate` is as a crash."""
        self._pg_ctl(["-w", "-m", mode, "stop"], pgdata=self.folder, user=self._user, timeout=STOP_SECONDS)

    def start(self) -> None:
        """Start again after `stop`."""
        options = ["-w", "-o", '-h ""', "-o", f"-k {self.socket}", "-l", str(self.folder / "log"), "start"]
        self._pg_ctl(options, pgdata=self.folder, user=self._user, timeout=STOP_SECONDS)


@contextmanager
def started_server() -> Iterator[Server]:
    """A server of its own, stopped at the end. Raises: ImportError as `Server`.

    Not in pytest's own folder: root's server runs as another user, from whom each start of pytest closes that folder.
    """
    with TemporaryDirectory(prefix="postgres-") as folder:
        server = Server(Path(folder) / "data")
        try:
            yield server
        finally:
            server.stop("immediate")
