"""No password of a store is shown or kept by a search."""

import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from results.store import Store
from tests.postgres import Server, started_server
from tests.search.conftest import Searcher
from tests.search.kills import INTERRUPTED_IN_EPOCH_2

PASSWORD = "it's-s3cr3t"  # a shell quotes it


@pytest.fixture
def guarded() -> Iterator[Server]:
    """A server that asks the user `guard` for the password."""
    pytest.importorskip("pgserver", exc_type=ImportError)
    with started_server() as server:
        server.ask_for_password("guard", PASSWORD.replace("'", "''"))
        yield server


@pytest.mark.slow
def test_interrupted_search_and_its_plan_show_and_keep_no_password(
    guarded: Server, tmp_path: Path, small_data: Path, known_backbones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searcher = Searcher(tmp_path / "one", small_data)
    searcher.know(known_backbones)
    with guarded.database() as place:
        searcher.store = guarded.url(str(sa.make_url(place).database), "guard", PASSWORD)
        planned = searcher.here(capsys, flags=["--explain"])
        ended = searcher.apart("--space", searcher.space(frozen="all"), before=INTERRUPTED_IN_EPOCH_2)
        with closing(Store.open(searcher.store)) as store:
            (search,) = store.searches()
    assert (planned.code, ended.code) == (0, 130)
    shown = [planned.out, planned.err, ended.out, ended.err, str(search.details), str(search.settings)]
    assert all("s3cr3t" not in text for text in shown)
    assert "://guard:***@/" in ended.err
    given = shlex.split(search.details["command"])
    assert "://guard:***@/" in given[given.index("--store") + 1]
