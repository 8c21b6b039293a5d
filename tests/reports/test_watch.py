"""The report that follows a running search: what it builds again, when, and how it ends."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reports.build import build_report
from reports.watch import Watcher
from tests.reports.store_maker import StoreMaker

MADE = re.compile(r"Made \d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC")
FOLLOW = re.compile(r'<p id="follow".*?</p>\n')
PATIENCE = 60.0  # seconds


def two_parts(made: StoreMaker) -> None:
    for part in ("XR_HAND", "XR_WRIST"):
        made.images(part, {"train": [0, 1] * 20, "valid": [0, 1] * 20, "test": [0, 1] * 20})
        search = made.search(part, part)
        for number in range(3):
            made.measure(search, number, 0.3 * number, part)


def files(folder: Path) -> dict[str, bytes]:
    """The folder's files by name; of the page all but the time at which it was made and the control to follow it."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    page = MADE.sub("Made", found["report.html"].decode())
    return found | {"report.html": FOLLOW.sub("", page).encode()}


def built_from_nothing(made: StoreMaker, folder: Path) -> dict[str, bytes]:
    build_report(made.store, folder)
    return files(folder)


@pytest.mark.slow
def test_updates_end_with_the_files_of_one_build_from_nothing(made: StoreMaker, tmp_path: Path) -> None:
    watcher = Watcher(made.store, tmp_path / "out", 4)
    hand, wrist = (made.search(part, part) for part in ("XR_HAND", "XR_WRIST"))
    watcher.update()
    for part in ("XR_HAND", "XR_WRIST"):
        made.images(part, {"train": [0, 1] * 20, "valid": [0, 1] * 20, "test": [0, 1] * 20})
    for number in range(3):
        made.measure(hand, number, 0.2 * number)
        watcher.update()
        made.measure(wrist, number, 0.5 - 0.1 * number, "XR_WRIST")
        made.store.fail_trial(made.start(hand, 10 + number).id, "no memory", 1.0)
        made.start(wrist, 10 + number, "XR_WRIST")
        watcher.update()
        assert files(tmp_path / "out") == built_from_nothing(made, tmp_path / f"anew{number}")
    watcher.close()

    assert files(tmp_path / "out") == built_from_nothing(made, tmp_path / "anew")
    assert 'id="follow"' not in (tmp_path / "out" / "report.html").read_text()


def test_nothing_is_written_while_the_store_stays_the_same(made: StoreMaker, tmp_path: Path) -> None:
    two_parts(made)
    watcher = Watcher(made.store, tmp_path / "out", 4)
    assert watcher.update() is not None
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}

    assert watcher.update() is None
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before


def test_a_trial_of_one_part_leaves_the_files_of_the_others_alone(made: StoreMaker, tmp_path: Path) -> None:
    two_parts(made)
    watcher = Watcher(made.store, tmp_path / "out", 4)
    watcher.update()
    before = {path: path.stat().st_ino for path in (tmp_path / "out").rglob("*.*")}

    search = made.store.search("XR_HAND")
    assert search is not None
    made.measure(search, 3, 2.0)
    watcher.update()

    again = {path.name for path, inode in before.items() if path.stat().st_ino != inode}
    assert {"report.html", "leaderboard.md", "roc_XR_HAND.png", "history_XR_HAND.csv"} <= again
    assert [name for name in again if "WRIST" in name] == []


@pytest.mark.parametrize("change", ["search", "begun", "failed", "finished", "model forgotten", "removed"])
def test_every_change_that_reports_tell_of_makes_a_new_one(made: StoreMaker, tmp_path: Path, change: str) -> None:
    search = made.search()
    running = made.start(search, 0)
    kept = made.finish(search, 1)
    with made.store.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE results_trials SET model_path = 'a' WHERE id = {kept.id}")
    watcher = Watcher(made.store, tmp_path / "out", 4)
    watcher.update()

    changes: dict[str, Callable[[], object]] = {
        "search": lambda: made.search("newest"),
        "begun": lambda: made.start(search, 2),
        "failed": lambda: made.store.fail_trial(running.id, "no memory", 1.0),
        "finished": lambda: made.finish(search, 2),
        "model forgotten": lambda: made.store.forget_model(kept.id),
        "removed": lambda: made.store.remove_running([running.id]),
    }
    changes[change]()

    assert watcher.update() is not None
    assert watcher.update() is None


def test_a_search_that_begins_while_a_report_is_made_is_in_the_next(made: StoreMaker, tmp_path: Path) -> None:
    trials = made.store.trials

    def then_another(*arguments: object, **named: object) -> object:
        found = trials()
        made.store.trials = trials  # type: ignore[method-assign]
        made.finish(made.search("meanwhile"), 0, valid_auc=0.8)
        return found

    made.store.trials = then_another  # type: ignore[method-assign, assignment]
    watcher = Watcher(made.store, tmp_path / "out", 4)

    watcher.update()
    watcher.update()

    assert files(tmp_path / "out") == built_from_nothing(made, tmp_path / "anew")


class Watching:
    """A real `python -m reports.build --watch`, its lines read as they come."""

    def __init__(self, url: str, out: Path) -> None:
        self.out = out
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reports.build", "--out", str(out), "--store", url, "--watch"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.lines: list[str] = []

    def wait_for(self, told: str) -> None:
        """Read lines until one holds these words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if told in line:
                return
        raise AssertionError(f"ended before it told {told!r}: {self.lines} {self.ended()}")

    def interrupt(self) -> tuple[int, str]:
        """As Ctrl-C in a terminal does: all its processes at once."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.ended()

    def helpers(self) -> list[int]:
        """Its children (Linux)."""
        return [
            int(each) for each in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]

    def ended(self) -> tuple[int, str]:
        _, error = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, error


@pytest.fixture
def watching(made: StoreMaker, tmp_path: Path) -> Iterator[Watching]:
    two_parts(made)
    watched = Watching(made.url, tmp_path / "out")
    yield watched
    if watched.process.poll() is None:
        watched.process.kill()
        watched.process.communicate()


@pytest.mark.slow
def test_watcher_follows_trials_and_ends_at_ctrl_c_with_the_report_of_one_build(
    made: StoreMaker, watching: Watching, tmp_path: Path
) -> None:
    watching.wait_for("6 finished; built in")
    assert 'id="follow"' in (tmp_path / "out" / "report.html").read_text()
    search = made.store.search("XR_HAND")
    assert search is not None
    made.measure(search, 3, 1.0)
    watching.wait_for("7 finished; built in")

    code, error = watching.interrupt()

    assert (code, error.count("\n")) == (130, 1)
    assert "interrupted" in error
    assert files(tmp_path / "out") == built_from_nothing(made, tmp_path / "anew")
    assert 'id="follow"' not in (tmp_path / "out" / "report.html").read_text()
    assert not list((tmp_path / "out").rglob(".tmp-*"))


def test_watcher_interrupted_at_any_time_leaves_whole_files(
    made: StoreMaker, watching: Watching, tmp_path: Path
) -> None:
    search = made.store.search("XR_HAND")
    assert search is not None
    watching.wait_for("6 finished; built in")
    made.measure(search, 3, 1.0)
    time.sleep(1.2)  # somewhere in the next build

    code, _ = watching.interrupt()

    assert code == 130
    assert not list((tmp_path / "out").rglob(".tmp-*"))
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.endswith("</html>\n") or page.endswith("</html>")
    assert 'id="follow"' not in page


@pytest.mark.slow
def test_watcher_waits_for_a_locked_store_and_then_tells_of_it(
    made: StoreMaker, watching: Watching, tmp_path: Path
) -> None:
    watching.wait_for("6 finished; built in")
    writer = sqlite3.connect(tmp_path / "results.db", isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    writer.execute("UPDATE results_trials SET state = 'failed', reason = 'taken away' WHERE id = 1")
    assert watching.process.stderr is not None
    told = watching.process.stderr.readline()
    assert "cannot be read now, trying again: database is locked" in told
    writer.execute("COMMIT")
    writer.close()

    watching.wait_for("5 finished, 1 failed; built in")

    assert watching.interrupt()[0] == 130
    assert "taken away" in (tmp_path / "out" / "tables" / "failures.csv").read_text()


def test_watcher_hears_ctrl_c_while_the_store_is_locked(made: StoreMaker, watching: Watching, tmp_path: Path) -> None:
    watching.wait_for("6 finished; built in")
    writer = sqlite3.connect(tmp_path / "results.db", isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    assert watching.process.stderr is not None
    watching.process.stderr.readline()

    code, _ = watching.interrupt()

    writer.close()
    assert code == 130


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_stays_behind_a_killed_watcher(watching: Watching) -> None:
    watching.wait_for("6 finished; built in")
    helpers = watching.helpers()

    watching.process.kill()
    watching.ended()

    assert helpers
    deadline = time.monotonic() + PATIENCE
    while any(map(alive, helpers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [each for each in helpers if alive(each)] == []


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_absent_store_is_the_usual_error(tmp_path: Path) -> None:
    code, error = Watching(f"sqlite:///{tmp_path}/none.db", tmp_path / "out").ended()

    assert (code, error.count("\n")) == (2, 1)
    assert list(tmp_path.iterdir()) == []
