"""Fixtures for all tests."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import Server, load_pgserver, started_server
from tests.reports.chromium import CHROMIUM

if TYPE_CHECKING:  # loaded by the tests that use it
    from playwright.sync_api import Browser

# Examples are the same in every run, and a busy machine fails none.
settings.register_profile("tests", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Temporary files of these processes, and of those that tests kill, lie in a folder that goes with the session."""
    tmp_path_factory.getbasetemp()  # made before, elsewhere: what failed tests leave is kept
    with suppress(ImportError):
        load_pgserver()
    with (
        TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        Path(folder).chmod(0o755)  # root's PostgreSQL runs as another user
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Path:
    """The folder of real data beside the repository: published results, radiographs."""
    folder = request.config.rootpath.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: it holds the published results and the real radiographs")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, one for each process of the tests."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(started_server())
        except ImportError as error:
            pytest.skip(f"pgserver, which brings PostgreSQL, is not there for this platform: {error}")
        yield server


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    """An empty database."""
    with postgres.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store may be made: a test that takes it runs on either database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store' / 'results.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium, for pages; what is expected of them is waited for, as the machine may have much else to do."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)  # milliseconds
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()
