"""On PostgreSQL a search that is killed, or whose database restarts, ends with the trials of one left alone."""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from plumbing.errors import StoreError
from results.store import Store
from tests.postgres import Server, started_server
from tests.search.conftest import Searcher, killed
from tests.search.test_resume import MOMENTS, batches, studies

CHOSEN = [moment for moment in MOMENTS if moment != "during extraction"]  # features are there already


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that no other test uses, because it is restarted."""
    pytest.importorskip("pgserver", exc_type=ImportError)
    with started_server() as started:
        yield started


@pytest.fixture(scope="module")
def undisturbed(small_data: Path, known_backbones: Path, tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """A search on SQLite that was left alone."""
    alone = Searcher(tmp_path_factory.mktemp("undisturbed") / "one", small_data)
    alone.know(known_backbones)
    ended = alone.apart(*batches(alone, "all"))
    assert ended.code == 0, ended.err
    return alone


@pytest.fixture
def searcher(server: Server, tmp_path: Path, small_data: Path, undisturbed: Searcher) -> Iterator[Searcher]:
    """One whose store is on PostgreSQL, and whose features are there already."""
    made = Searcher(tmp_path / "one", small_data)
    for folder in ("backbones", "features", "pixels"):
        shutil.copytree(undisturbed.runs / folder, made.runs / folder)
    with server.database() as made.store:
        yield made


def assert_as_undisturbed(searcher: Searcher, undisturbed: Searcher, capsys: pytest.CaptureFixture[str]) -> None:
    assert searcher.trials() == undisturbed.trials()
    assert searcher.leaderboard(capsys) == undisturbed.leaderboard(capsys)
    assert studies(searcher) == studies(undisturbed)
    assert searcher.models() == undisturbed.models()


@pytest.mark.slow
@pytest.mark.parametrize("moment", CHOSEN)
def test_invariant_4_a_search_killed_on_postgresql_resumes_to_the_same_trials(
    searcher: Searcher, undisturbed: Searcher, capsys: pytest.CaptureFixture[str], moment: str
) -> None:
    more = batches(searcher, "all")
    assert killed(searcher.apart(*more, before=MOMENTS[moment]))
    resumed = searcher.here(capsys, *more)
    assert resumed.code == 0, resumed.err
    assert_as_undisturbed(searcher, undisturbed, capsys)


# Each epoch takes a while, so that the database is away in the middle of training.
SLOWLY = """
import time
import search.progress as p
after = p.SearchProgress.after_epoch
p.SearchProgress.after_epoch = lambda self, e, m: (time.sleep(0.7), after(self, e, m))[1]
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_search_whose_database_restarts_twice_ends_with_the_same_trials(
    server: Server, searcher: Searcher, undisturbed: Searcher, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    with searcher.process(*batches(searcher, "all"), before=SLOWLY) as process:
        assert process.stderr is not None
        said: list[str] = []
        for trials in (1, 3):
            await_trials(searcher, trials)
            server.stop(mode)
            for line in process.stderr:  # it stays away until the search has met that
                said.append(line)
                if "is away, trying again" in line:
                    break
            server.start()
        process.communicate()
    assert process.returncode == 0, said
    assert sum("is away, trying again" in line for line in said) == 2, said
    assert_as_undisturbed(searcher, undisturbed, capsys)


def await_trials(searcher: Searcher, count: int) -> None:
    """Wait until so many trials were begun."""
    for _ in range(1200):
        with suppress(StoreError), closing(Store.open(searcher.store)) as store:  # none yet
            if len(store.trials()) >= count:
                return
        time.sleep(0.1)
    raise AssertionError(f"no {count} trials in two minutes")
