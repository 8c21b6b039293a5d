"""Four workers on PostgreSQL, killed, stopped for too long, their database restarting: no trial is lost or doubled."""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from results import claims, schema
from results.claims import GONE, LOST, RELEASED
from results.records import FINISHED
from results.store import Store
from tests.postgres import Server, started_server
from tests.search.conftest import REPOSITORY, Searcher

pytestmark = pytest.mark.slow
TRIALS, WORKERS, PATIENCE = 40, 4, 3.0
LIMIT = 400  # seconds

# Each epoch takes a while, so that most of what happens to a worker happens in the middle of a trial.
SLOWLY = """
import sys, time
from plumbing.command import run_command
import search.progress as p
from search.worker import main
after = p.SearchProgress.after_epoch
p.SearchProgress.after_epoch = lambda self, e, m: (time.sleep(0.4), after(self, e, m))[1]
sys.exit(run_command("search.worker", main, sys.argv[1:]))
"""


class Workers:
    """Four, those that died replaced, and what they said."""

    def __init__(self, searcher: Searcher, name: str) -> None:
        self.searcher, self.name = searcher, name
        self.log = searcher.folder / "workers.log"
        self.processes = [self._start() for _ in range(WORKERS)]
        self.done = Counter[str]()

    def _start(self) -> "subprocess.Popen[str]":
        given = ["--name", self.name, "--store", self.searcher.store, "--patience", str(PATIENCE)]
        with self.log.open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-c", SLOWLY, *given], cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=log, text=True
            )

    def running(self) -> list["subprocess.Popen[str]"]:
        return [process for process in self.processes if process.poll() is None]

    def kill(self, chosen: random.Random) -> None:
        process = self._one_at_work(chosen)
        process.kill()
        process.wait()
        joined = self._joined()
        self.processes.append(self._start())
        deadline = time.monotonic() + LIMIT
        while self._joined() == joined:  # a worker that begins while the database is away is refused
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)
        self.done["killed"] += 1

    def _joined(self) -> int:
        with closing(Store.open(self.searcher.store)) as store:
            return len(store.read(claims.workers))

    def stop_for_too_long(self, chosen: random.Random) -> None:
        process, lost = self._one_at_work(chosen), self._lost()
        process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + LIMIT / 4
        while self._lost() == lost and time.monotonic() < deadline:  # until another has taken up what it had
            time.sleep(0.1)
        process.send_signal(signal.SIGCONT)
        self.done["stopped"] += 1

    def _one_at_work(self, chosen: random.Random) -> "subprocess.Popen[str]":
        deadline = time.monotonic() + LIMIT
        while True:
            with closing(Store.open(self.searcher.store)) as store:
                busy = {row.process for row in store.read(claims.workers) if row.alive and row.trials}
            if found := [process for process in self.running() if process.pid in busy]:
                return chosen.choice(found)
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def _lost(self) -> int:
        query = sa.select(sa.func.count()).select_from(schema.claims).where(schema.claims.c.outcome == LOST)
        with closing(Store.open(self.searcher.store)) as store:
            return int(store.read(lambda connection: connection.execute(query).scalar_one()))

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    """One that no other test uses, because it is restarted."""
    pytest.importorskip("pgserver", exc_type=ImportError)
    with started_server() as started:
        yield started


def arguments(searcher: Searcher, trials: int) -> tuple[object, ...]:
    fixed = searcher.space(frozen="all", optimizer="adam", units=0, augmentation=["no", "light"])
    return ("--trials", trials, "--space", fixed, "--epochs", 4, "--batch-trials", WORKERS)


@pytest.fixture
def begun(
    server: Server, searcher: Searcher, known_backbones: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[str]:
    """A search with one trial, whose command then asks for forty."""
    searcher.know(known_backbones)
    with server.database() as searcher.store:
        assert searcher.here(capsys, *arguments(searcher, 1)).code == 0
        with closing(Store.open(searcher.store)) as store:
            (search,) = store.searches()
            assert search.run is not None
            store.note_run(search.id, {**search.run, "options": {**search.run["options"], "trials": TRIALS}})
        yield search.name


def test_four_workers_killed_stopped_and_without_their_database_end_with_the_trials_of_one(
    server: Server, searcher: Searcher, other: Searcher, begun: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen, workers = random.Random(8), Workers(searcher, begun)
    try:
        wait_for_trials(searcher, workers, 3)
        for act in (workers.stop_for_too_long, workers.kill, restart, workers.kill, workers.stop_for_too_long, restart):
            server_restart = act is restart
            act(server) if server_restart else act(chosen)  # type: ignore[arg-type, func-returns-value]
            workers.done["restarted"] += server_restart
            time.sleep(chosen.uniform(0.2, 1.5))
        assert workers.running()  # else the search was over before
        wait_for_trials(searcher, workers, TRIALS)
        codes = [process.wait(LIMIT) for process in workers.processes]
    finally:
        workers.end()
    assert workers.done == {"stopped": 2, "killed": 2, "restarted": 2}
    assert Counter(codes) == {0: WORKERS, -signal.SIGKILL: 2}, workers.log.read_text()

    with closing(Store.open(searcher.store)) as store:
        trials = store.trials()
        query = sa.select(schema.claims).order_by("trial_id", "attempt")
        log = store.read(lambda connection: connection.execute(query).all())
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state for trial in trials} == {FINISHED}
    # The log of attempts: each trial was finished by one alone, and what was lost before came to nothing.
    finished = Counter(each.trial_id for each in log if each.outcome == FINISHED)
    assert finished == dict.fromkeys((trial.id for trial in trials), 1)
    assert {each.outcome for each in log} <= {FINISHED, LOST, GONE, RELEASED}
    assert any(each.outcome == LOST for each in log)
    for trial in trials:
        attempts = [each for each in log if each.trial_id == trial.id]
        assert attempts[-1].outcome == FINISHED
    assert "was taken over by another worker; this result is not written" in workers.log.read_text()

    shutil.copytree(searcher.runs / "backbones", other.runs / "backbones")
    assert other.here(capsys, *arguments(other, TRIALS)).code == 0
    assert searcher.trials() == other.trials()


def restart(server: Server) -> None:
    server.stop("fast")
    time.sleep(1.5)
    server.start()


def wait_for_trials(searcher: Searcher, workers: Workers, count: int) -> None:
    deadline = time.monotonic() + LIMIT
    with closing(Store.open(searcher.store)) as store:
        while sum(trial.state == FINISHED for trial in store.trials()) < count:
            assert time.monotonic() < deadline, workers.log.read_text()
            assert workers.running(), workers.log.read_text()
            time.sleep(0.2)
