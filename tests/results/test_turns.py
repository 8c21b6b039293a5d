"""Whose turn it is: one worker's at a time, and never so that another waits for ever."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import sqlalchemy as sa

from results.connection import open_engine
from results.store import Store
from results.turns import turn
from tests.postgres import ON_POSTGRESQL, Server

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
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
        with turn(other, 1, patience=SOON):
            told.append("second")

    with ThreadPoolExecutor() as pool:
        with turn(store.engine, 1):
            later = pool.submit(second)
            until(lambda: postgres.run(WAITING) == [(1,)])
            told.append("first")
        later.result(SOON)
    assert told == ["first", "second"]


@ON_POSTGRESQL
def test_who_waited_for_too_long_goes_on_without_and_has_turns_again(
    store: Store, other: sa.Engine, postgres: Server
) -> None:
    with turn(store.engine, 1):
        with turn(other, 1, patience=0.05):
            pass
        assert postgres.run(WAITING) == [(0,)]
    with turn(other, 1):
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        assert postgres.run(held) == [(1,)]


@ON_POSTGRESQL
def test_searches_do_not_wait_for_each_other(store: Store, other: sa.Engine) -> None:
    with turn(store.engine, 1), closing(other.connect()) as asking, turn(other, 2, patience=0.05):
        held = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid IN (1, 2)")
        assert asking.execute(held).scalar() == 2


@ON_POSTGRESQL
def test_a_turn_whose_connection_is_lost_ends_without_a_word(
    store: Store, postgres: Server, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with turn(store.engine, 1):
        postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'")
    with turn(store.engine, 1), store.engine.connect() as working:
        assert working.execute(sa.text("SELECT 1")).scalar() == 1
    assert capsys.readouterr() == ("", "")
    assert not caplog.records


def test_an_error_in_a_turn_comes_out_and_ends_it(store: Store, other: sa.Engine, url: str) -> None:
    with pytest.raises(KeyError), turn(store.engine, 1):
        raise KeyError
    with turn(other, 1), turn(store.engine, 2):
        assert store.searches() == []
