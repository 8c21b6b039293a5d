"""Whose turn it is: one worker's at a time, and never so that another waits for ever."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from results.connection import open_engine, postgresql_engine
from results.store import Store
from results.turns import turn
from tests.postgres import ON_POSTGRESQL, ON_SQLITE, Server

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
HOLDERS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
SOON = 60.0  # seconds; far more than anything here takes


@pytest.fixture
def other(store: Store, url: str) -> Iterator[sa.Engine]:
    """Another process's connections to the store."""
    engine = open_engine(url, create=False)
    yield engine
    engine.dispose()


def until(come: Callable[[], bool]) -> None:
    for _ in range(int(SOON / 0.02)):
        if come():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it did not come")


@ON_POSTGRESQL
def test_the_second_has_its_turn_when_the_first_has_ended_its_own(
    store: Store, other: sa.Engine, postgres: Server
) -> None:
    told: list[str] = []

    def second() -> None:
        with turn(other, 1, patience=SOON) as got:
            told.append(f"second {got}")

    with ThreadPoolExecutor() as pool:
        with turn(store.engine, 1) as got:
            later = pool.submit(second)
            until(lambda: postgres.run(WAITING) == [(1,)])
            told.append(f"first {got}")
        later.result(SOON)
    assert told == ["first True", "second True"]


@ON_POSTGRESQL
def test_who_waited_for_too_long_goes_on_without_and_holds_nothing(
    store: Store, other: sa.Engine, postgres: Server
) -> None:
    with turn(store.engine, 1):
        with turn(other, 1, patience=0.05) as got:
            assert not got
            assert other.pool.status().endswith("Current Checked out connections: 0")
        assert postgres.run(WAITING) == [(0,)]
    with turn(other, 1) as got:
        assert got


@ON_POSTGRESQL
def test_searches_do_not_wait_for_each_other(store: Store, other: sa.Engine) -> None:
    with turn(store.engine, 1) as first, turn(other, 2, patience=0.05) as second:
        assert (first, second) == (True, True)


@ON_POSTGRESQL
@pytest.mark.parametrize("ended_by", ["another", "idling"])
def test_a_turn_whose_connection_is_lost_ends_without_a_word(
    url: str, store: Store, postgres: Server, ended_by: str,
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A process that was stopped in its turn finds that the server has ended its transaction."""
    engine = postgresql_engine(f"{url}&options=-c%20idle_in_transaction_session_timeout%3D100")
    with turn(engine, 1) as got:
        assert got
        if ended_by == "another":
            postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN ({HOLDERS})")
        until(lambda: postgres.run(f"SELECT count(*) FROM ({HOLDERS}) AS holders") == [(0,)])
    with turn(engine, 1) as got, turn(store.engine, 1, patience=0.05) as other_got:
        assert (got, other_got) == (True, False)
    engine.dispose()
    assert capsys.readouterr() == ("", "")
    assert not caplog.records


@ON_POSTGRESQL
def test_a_server_that_is_away_gives_no_turn(store: Store) -> None:
    engine = postgresql_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    with turn(engine, 1) as got:
        assert not got


@ON_POSTGRESQL
def test_an_error_in_a_turn_comes_out_and_ends_it(store: Store, other: sa.Engine) -> None:
    with pytest.raises(KeyError), turn(store.engine, 1):
        raise KeyError
    with turn(other, 1, patience=0.05) as got:
        assert got


@ON_SQLITE
def test_sqlite_has_no_turns(store: Store, other: sa.Engine) -> None:
    with turn(store.engine, 1) as first, turn(other, 1) as second:
        assert (first, second) == (False, False)
