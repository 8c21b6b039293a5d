"""Stores and commands for the tests of reports."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plumbing.command import run_command
from reports import build, leaderboard
from results.store import Store
from tests.reports.store_maker import Ended, StoreMaker


@pytest.fixture
def made(tmp_path: Path) -> Iterator[StoreMaker]:
    """An empty store in tmp_path/results.db."""
    url = f"sqlite:///{tmp_path}/results.db"
    store = Store.open(url, create=True)
    yield StoreMaker(store, url)
    store.close()


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run `python -m reports.NAME ARGUMENTS` in this process."""
    mains = {"leaderboard": leaderboard.main, "build": build.main}

    def run(name: str, *arguments: object) -> Ended:
        code = run_command(f"reports.{name}", mains[name], [str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run
