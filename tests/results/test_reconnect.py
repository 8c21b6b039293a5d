"""A PostgreSQL server that restarts: transactions wait for it, and are committed once."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from plumbing.errors import StoreError
from results import reconnect, schema
from results.reconnect import Unreadable
from results.records import NewSearch, NewTrial, Search, TrialResult
from results.store import Store
from tests.postgres import Server, started_server


@pytest.fixture(scope="module")
def restarting() -> Iterator[Server]:
    """A server that no other test uses."""
    pytest.importorskip("pgserver", exc_type=ImportError)
    with started_server() as server:
        yield server


@pytest.fixture
def url(restarting: Server) -> Iterator[str]:
    with restarting.database() as made:
        yield made


def away_for(server: Server, seconds: float, mode: str = "fast") -> threading.Thread:
    """Stop the server now, and start it again after a while."""
    server.stop(mode)
    starter = threading.Timer(seconds, server.start)
    starter.start()
    return starter


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_trial_is_finished_though_the_server_is_away(
    restarting: Server, store: Store, search: Search, new_trial: Callable[..., NewTrial],
    result: Callable[..., TrialResult], capsys: pytest.CaptureFixture[str], mode: str,
) -> None:  # fmt: skip
    trial = store.start_trial(search.id, new_trial(0))
    starter = away_for(restarting, 1.0, mode)
    store.finish_trial(trial.id, result())
    starter.join()
    assert [each.state for each in store.trials()] == ["finished"]
    away, back = capsys.readouterr().err.splitlines()
    assert ": is away, trying again for 120 seconds: " in away
    assert ": is back after " in back


def test_a_reader_waits_for_the_server(restarting: Server, store: Store, search: Search) -> None:
    starter = away_for(restarting, 0.5)
    assert store.searches() == [search]
    starter.join()


def test_a_connection_that_was_cut_meanwhile_is_made_again_without_a_word(
    restarting: Server, store: Store, search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    restarting.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'")
    assert store.searches() == [search]
    assert capsys.readouterr().err == ""


def test_a_server_that_stays_away_is_one_line(
    restarting: Server, store: Store, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnect, "PATIENCE", 0.5)
    restarting.stop()
    try:
        with pytest.raises(Unreadable, match=r"--store postgresql.*: cannot be read: ") as unread:
            store.searches()
        with pytest.raises(StoreError, match=r"--store postgresql.*: cannot be written: ") as unwritten:
            store.create_search(NewSearch("other", "search", "optuna", "abc"))
    finally:
        restarting.start()
    assert all("\n" not in str(each.value) for each in (unread, unwritten))


Answered = Callable[[sa.Connection], None]


def lose_the_answer(store: Store, monkeypatch: pytest.MonkeyPatch, times: int, when: Answered) -> list[int]:
    """Cut the connection at the COMMITs to come, so many times; the processes of the server whose answer was lost."""
    lost: list[int] = []
    commit = store.engine.dialect.do_commit

    def cut(connection: Any) -> None:
        if len(lost) == times:
            commit(connection)
            return
        driver = connection.driver_connection if hasattr(connection, "driver_connection") else connection
        lost.append(driver.info.backend_pid)
        when(driver)
        driver.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(store.engine.dialect, "do_commit", cut)
    return lost


WRITERS: dict[str, Callable[[Store, Search, Callable[..., NewTrial], TrialResult], object]] = {
    "create_search": lambda store, *_: store.create_search(NewSearch("x", "search", "optuna", "abc")),
    "start_trials": lambda store, search, new, _: store.start_trials(search.id, [new(1), new(2)]),
    "finish_trial": lambda store, _, __, result: store.finish_trial(1, result),
    "fail_trial": lambda store, *_: store.fail_trial(1, "out of memory", 1.0),
    "remove_running": lambda store, *_: store.remove_running([1]),
    "import_search": lambda store, *_: store.import_search(
        NewSearch("y", "import", "none", "abc"),
        iter([]),
        iter([dict.fromkeys(("source", "field", "content", "reason"), "x")]),
    ),
}


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_commit_that_was_never_answered_is_made_once(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult],
    monkeypatch: pytest.MonkeyPatch, writer: str, committed: bool, times: int,
) -> None:  # fmt: skip
    store.start_trial(search.id, new_trial(0))
    ran: list[int] = []
    write = store.write

    def counted(work: Callable[[sa.Connection], Any]) -> Any:
        return write(lambda connection: ran.append(1) or work(connection))

    monkeypatch.setattr(store, "write", counted)
    before = contents(store)
    lost = lose_the_answer(store, monkeypatch, times, lambda driver: driver.commit() if committed else None)
    WRITERS[writer](store, search, new_trial, result())
    assert len(set(lost)) == times  # else this would prove nothing
    assert len(ran) == (1 if committed else times + 1)
    once = contents(store)
    assert once != before
    assert_as_if_undisturbed(store, once, writer)


def contents(store: Store) -> dict[str, int]:
    """How many rows of each table; running trials by themselves."""
    with store.engine.connect() as connection:
        counts = {
            name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
            for name, table in schema.metadata.tables.items()
            if name != "results_transactions"
        }
        running = sa.select(sa.func.count()).select_from(schema.trials).filter_by(state="running")
        return counts | {"running": int(connection.execute(running).scalar_one())}


def assert_as_if_undisturbed(store: Store, found: dict[str, int], writer: str) -> None:
    expected = {
        "create_search": {"results_searches": 2},
        "start_trials": {"results_trials": 3, "running": 3},
        "finish_trial": {"results_histories": 2, "results_metrics": 1, "results_probabilities": 1, "running": 0},
        "fail_trial": {"running": 0},
        "remove_running": {"results_trials": 0, "running": 0},
        "import_search": {"results_searches": 2, "results_unplaced": 1},
    }[writer]
    undisturbed = dict.fromkeys(found, 0) | {"results_searches": 1, "results_trials": 1, "running": 1} | expected
    assert found == undisturbed


def test_an_attempt_that_still_runs_in_the_server_is_waited_for(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The first connection is not closed but commits later, as where only the way to the server was cut."""
    trial = store.start_trial(search.id, new_trial(0))
    late: list[threading.Timer] = []
    commit = store.engine.dialect.do_commit

    def cut(connection: Any) -> None:
        if late:
            commit(connection)
            return
        driver = connection.driver_connection if hasattr(connection, "driver_connection") else connection
        late.append(threading.Timer(0.5, driver.commit))
        late[0].start()
        error = sa.exc.OperationalError("COMMIT", None, psycopg.OperationalError("lost"), connection_invalidated=True)
        raise error

    monkeypatch.setattr(store.engine.dialect, "do_commit", cut)
    monkeypatch.setattr(store.engine.dialect, "do_rollback", lambda connection: None)
    store.finish_trial(trial.id, result())
    late[0].join()
    assert [each.state for each in store.trials()] == ["finished"]
    assert len(store.histories()[trial.id]["loss"]) == 2


def test_what_a_lost_race_refuses_is_still_refused(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult],
    monkeypatch: pytest.MonkeyPatch, url: str,
) -> None:  # fmt: skip
    """Our COMMIT did not arrive, and another process finishes the trial before we are back."""
    trial = store.start_trial(search.id, new_trial(0))
    other = Store.open(url)

    def first(driver: Any) -> None:
        driver.rollback()
        other.finish_trial(trial.id, result(0.5))

    lose_the_answer(store, monkeypatch, 1, first)
    with pytest.raises(StoreError, match="not running"):
        store.finish_trial(trial.id, result(0.75))
    assert [each.value for each in store.trials()] == [0.5]
    other.close()


def test_deadlocked_transactions_both_end_well(store: Store, url: str) -> None:
    searches = [store.create_search(NewSearch(name, "search", "optuna", "abc")).id for name in ("a", "b")]
    other, both = Store.open(url), threading.Barrier(2, timeout=20)
    tries: list[str] = []

    def change(name: str, order: list[int]) -> Callable[[sa.Connection], None]:
        def work(connection: sa.Connection) -> None:
            tries.append(name)
            for place, search_id in enumerate(order):
                connection.execute(sa.update(schema.searches).filter_by(id=search_id).values(run={name: 1}))
                if place == 0 and tries.count(name) == 1:
                    both.wait()

        return work

    second = threading.Thread(target=lambda: other.write(change("second", searches[::-1])))
    second.start()
    store.write(change("first", searches))
    second.join()
    assert len(tries) == 3  # one was run again
    assert len({str(each.run) for each in store.searches()}) == 1
    other.close()


def add_trials(store: Store, name: str, new: list[NewTrial]) -> None:
    search = store.search(name)
    assert search is not None
    for trial in new:
        store.start_trial(search.id, trial)
        time.sleep(0.02)
    store.close()


def test_processes_that_write_while_the_server_crashes_lose_and_double_nothing(
    restarting: Server, store: Store, new_trial: Callable[..., NewTrial]
) -> None:
    for name in ("a", "b", "c"):
        store.create_search(NewSearch(name, "search", "optuna", "abc"))
    new = [new_trial(number) for number in range(40)]
    workers = [
        multiprocessing.get_context("spawn").Process(target=add_trials, args=(store, name, new))
        for name in ("a", "b", "c")
    ]
    for worker in workers:
        worker.start()
    for mode in ("immediate", "fast"):
        while not any(worker.exitcode is None for worker in workers) or not store.trials():
            time.sleep(0.05)
        away_for(restarting, 0.3, mode).join()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert [trial.number for trial in store.trials()] == list(range(40)) * 3


def hold_a_lock(url: str, held: Any) -> None:
    store = Store.open(url)

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.update(schema.searches).values(run={}))
        held.set()
        time.sleep(3600)

    store.write(work)


def test_a_process_stopped_within_a_transaction_does_not_hold_up_others_for_ever(
    monkeypatch: pytest.MonkeyPatch, store: Store, search: Search, url: str
) -> None:
    with store.engine.begin() as connection:
        for name in ("lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout"):
            assert connection.exec_driver_sql(f"SHOW {name}").scalar_one() != "0"
    short = f"{url}&options=-c%20idle_in_transaction_session_timeout%3D1s"
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    holder = context.Process(target=hold_a_lock, args=(short, held))
    holder.start()
    try:
        assert held.wait(60)
        assert holder.pid is not None
        os.kill(holder.pid, signal.SIGSTOP)
        store.note_run(search.id, {"asked": 1})
    finally:
        holder.kill()
        holder.join()
    assert [each.run for each in store.searches()] == [{"asked": 1}]


def test_a_closed_store_leaves_no_row_of_its_transactions(store: Store, search: Search, url: str) -> None:
    count = sa.select(sa.func.count()).select_from(schema.transactions)
    reader = Store.open(url)
    assert reader.read(lambda connection: connection.execute(count).scalar()) == 1
    store.close()
    assert reader.read(lambda connection: connection.execute(count).scalar()) == 0
    reader.close()


def test_sqlite_is_asked_once(tmp_path: Path) -> None:
    store, tries = Store.open(f"sqlite:///{tmp_path / 'results.db'}", create=True), []

    def work(connection: sa.Connection) -> None:
        tries.append(1)
        raise sa.exc.OperationalError("SELECT", None, Exception("disk I/O error"))

    with pytest.raises(Unreadable, match="disk I/O error"):
        store.read(work)
    assert len(tries) == 1
    store.close()
