"""`--workers N`: more processes, the same trials; one that dies costs nothing."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from results import claims, schema
from results.claims import GONE, RELEASED
from results.records import FINISHED
from results.store import Store
from search.workers.known import expanded
from tests.search.conftest import REPOSITORY, Searcher

Capsys = pytest.CaptureFixture[str]
PATIENCE = 120  # seconds

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick(knowing: None) -> None:
    """Every search here knows its backbone."""


def eight(searcher: Searcher, *more: object) -> tuple[object, ...]:
    fixed = searcher.space(frozen="all", optimizer="adam", units=[0, 64])
    return ("--trials", 8, "--space", fixed, "--epochs", 4, *more)


def outcomes(searcher: Searcher) -> list[str]:
    """How all attempts ended."""
    with closing(Store.open(searcher.store)) as store:
        query = sa.select(schema.claims.c.outcome).order_by("trial_id", "attempt")
        return list(store.read(lambda connection: connection.execute(query).scalars().all()))


def test_any_number_of_workers_ends_with_the_same_trials(searcher: Searcher, other: Searcher, capsys: Capsys) -> None:
    alone = searcher.here(capsys, *eight(searcher))
    together = other.here(capsys, *eight(other, "--workers", 3))
    assert (alone.code, together.code) == (0, 0), together.err
    assert other.trials() == searcher.trials()
    assert other.leaderboard(capsys) == searcher.leaderboard(capsys)
    assert other.models() == searcher.models()
    assert together.summary["finished"] == 8
    # Each batch of images passed the frozen layers once, whichever worker it was.
    counts = [path.read_bytes() for path in other.runs.rglob("batches")]
    assert counts
    assert set(b"".join(counts)) == {1}


def test_more_workers_than_a_batch_propose_one_by_one_and_store_what_they_knew(
    searcher: Searcher, capsys: Capsys
) -> None:
    ended = searcher.here(capsys, *eight(searcher, "--workers", 3, "--batch-trials", 2))
    assert ended.code == 0, ended.err
    assert ended.summary["finished"] == 8
    with closing(Store.open(searcher.store)) as store:
        trials = store.trials()
        assert store.searches()[0].settings["batch trials"] is None
    for trial in trials:
        assert trial.knows is not None
        assert max(expanded(trial.knows), default=-1) < trial.number
    again = searcher.here(capsys, *eight(searcher, "--trials", 10))  # one worker goes on in the same way
    assert again.code == 0, again.err
    with closing(Store.open(searcher.store)) as store:
        assert expanded(store.trials()[9].knows or {}) >= set(range(8))


def test_engine_or_sampler_that_proposes_in_batches_alone_is_refused(searcher: Searcher, capsys: Capsys) -> None:
    for sampler in (("--engine", "keras-tuner"), ("--sampler", "nsga2")):
        ended = searcher.here(capsys, *eight(searcher, "--workers", 8, *sampler))
        assert ended.code == 2
        assert len(ended.err.splitlines()) == 1
        assert "--batch-trials" in ended.err
        assert not (searcher.folder / "results.db").exists()


def processes_of(store: Store) -> list[int]:
    """Of the workers that have something under way."""
    rows = store.read(claims.workers)
    return [row.process for row in rows if row.alive and row.trials]


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@contextmanager
def at_work(searcher: Searcher, process: "subprocess.Popen[str]") -> Iterator[list[int]]:
    """The workers of a command, as soon as one has a trial under way."""
    wait_for("the store", lambda: (searcher.folder / "results.db").exists() or process.poll() is not None)
    with closing(Store.open(searcher.store, create=True)) as store:
        found: list[int] = []
        wait_for("work", lambda: bool(found.extend(processes_of(store)) or found) or process.poll() is not None)
        yield found


# Each epoch takes a while, so that workers can be killed in the middle of training.
SLOWLY = """
import sys
if "search.worker" in " ".join(sys.orig_argv):
    import time
    import search.progress as p
    after = p.SearchProgress.after_epoch
    p.SearchProgress.after_epoch = lambda self, e, m: (time.sleep(0.4), after(self, e, m))[1]
"""


@pytest.fixture
def customized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has workers run some Python first."""

    def put(code: str) -> None:
        folder = tmp_path / "site"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), str(folder)]))

    return put


@pytest.fixture
def slow_workers(customized: Callable[[str], None]) -> None:
    """Workers that take their time for an epoch."""
    customized(SLOWLY)


def test_worker_that_is_killed_is_replaced_and_its_trials_are_taken_up_once(
    searcher: Searcher, other: Searcher, slow_workers: None, capsys: Capsys
) -> None:
    assert other.here(capsys, *eight(other)).code == 0
    killed: set[int] = set()
    with searcher.process(*eight(searcher, "--workers", 2)) as process:
        while process.poll() is None and len(killed) < 2:
            with at_work(searcher, process) as workers:
                for number in set(workers[:1]) - killed:
                    os.kill(number, signal.SIGKILL)
                    killed.add(number)
        _, err = process.communicate()
    assert len(killed) == 2  # else this would prove nothing
    assert process.returncode == 0, err
    assert searcher.trials() == other.trials()
    found = outcomes(searcher)
    assert found.count(FINISHED) == 8
    assert GONE in found
    assert "a worker died (by signal 9): another takes up its trials" in err


POISON = """
import sys
if "search.worker" in " ".join(sys.orig_argv):
    import os, signal
    import search.loop as loop
    train = loop.run_trial
    def run_trial(setting, task, *more):
        if task.configuration["units"] == 64:
            os.kill(os.getpid(), signal.SIGKILL)
        return train(setting, task, *more)
    loop.run_trial = run_trial
"""


def test_trial_that_kills_its_worker_three_times_is_failed_and_the_search_goes_on(
    searcher: Searcher, customized: Callable[[str], None], capsys: Capsys
) -> None:
    customized(POISON)
    ended = searcher.here(capsys, *eight(searcher, "--workers", 2, "--trials", 4))
    assert ended.code == 0, ended.err
    failed = [trial for trial in searcher.trials() if trial["state"] == "failed"]
    assert {json.loads(trial["config"])["units"] for trial in failed} == {64}
    assert "its worker died 3 times, at last by signal 9 (out of memory?)" in ended.err


def test_interrupted_command_ends_its_workers_and_goes_on(
    searcher: Searcher, slow_workers: None, capsys: Capsys
) -> None:
    with searcher.process(*eight(searcher, "--workers", 2)) as process:
        with at_work(searcher, process) as workers:
            process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130, err
    assert workers
    assert "resume with: python -m search.run" in err.splitlines()[-1]
    wait_for("the workers' end", lambda: not any(map(alive, workers)))
    assert searcher.here(capsys, *eight(searcher)).summary["finished"] == 8


def test_killed_command_leaves_no_worker_behind(searcher: Searcher, slow_workers: None, capsys: Capsys) -> None:
    with searcher.process(*eight(searcher, "--workers", 2)) as process:
        with at_work(searcher, process) as workers:
            process.kill()
        process.communicate()
    assert workers
    wait_for("the workers' end", lambda: not any(map(alive, workers)))
    assert searcher.here(capsys, *eight(searcher)).summary["finished"] == 8
    assert set(outcomes(searcher)) <= {FINISHED, GONE, RELEASED}


def alive(process: int) -> bool:
    """Whether it runs: a process that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
