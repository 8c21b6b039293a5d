"""Files are whole or absent, whatever happens to their writers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plumbing import files
from plumbing.files import atomic_folder, atomic_path, remove_stale_temporaries, write_text_atomically

REPOSITORY = Path(__file__).parents[2]


def started(body: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs the body, with `folder` and the rest of `plumbing.files`, until it prints a line."""
    code = f"import os, sys, time\nfrom pathlib import Path\nfrom plumbing.files import *\n{body}"
    line = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert process.stdout is not None
    process.stdout.close()


HALF_A_FILE = """
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""
HALF_A_FOLDER = """
with atomic_folder(Path(sys.argv[1])) as temporary:
    (temporary / "file").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""
HOLD_THE_LOCK = """
with locked(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_with_its_suffix_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "model.keras"
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".keras"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["model.keras"]


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text_atomically(tmp_path / "file", "old")
    with pytest.raises(TypeError), atomic_path(tmp_path / "file") as temporary:
        temporary.write_text(None)  # type: ignore[arg-type]
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("body", [HALF_A_FILE, HALF_A_FOLDER])
def test_a_killed_writer_leaves_no_half_file_and_the_next_run_cleans_up(tmp_path: Path, body: str) -> None:
    kill(started(body, tmp_path / "sub" / "thing"))
    left = names(tmp_path / "sub")
    assert len(left) == 1
    assert left[0].startswith(".tmp-")
    assert remove_stale_temporaries(tmp_path) == 1
    assert names(tmp_path / "sub") == []


def test_temporaries_of_live_processes_are_kept(tmp_path: Path) -> None:
    process = started(HALF_A_FILE, tmp_path / "file")
    before = names(tmp_path)
    assert remove_stale_temporaries(tmp_path) == 0
    assert names(tmp_path) == before != []
    kill(process)


def test_temporaries_of_other_machines_and_strangers_are_kept(tmp_path: Path) -> None:
    (tmp_path / ".tmp-another_machine-999999-aaaaaaaa-file").touch()
    (tmp_path / ".tmp-of-someone-else").touch()
    assert remove_stale_temporaries(tmp_path) == 0
    assert len(names(tmp_path)) == 2


def test_temporaries_of_a_live_process_of_another_user_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(process: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    (tmp_path / f".tmp-{files._host()}-1-aaaaaaaa-file").touch()
    assert remove_stale_temporaries(tmp_path) == 0


def test_cleaning_a_folder_that_is_absent_removes_nothing(tmp_path: Path) -> None:
    assert remove_stale_temporaries(tmp_path / "absent") == 0


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "set") as temporary:
        (temporary / "file").write_text("whole")
        assert not (tmp_path / "set").exists()
    assert (tmp_path / "set" / "file").read_text() == "whole"
    assert names(tmp_path) == ["set"]


def test_of_two_writers_of_a_folder_the_first_stays(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "set") as temporary:
        (temporary / "file").write_text("second")
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "file").write_text("first")
    assert (tmp_path / "set" / "file").read_text() == "first"
    assert names(tmp_path) == ["set"]


def test_a_failing_folder_takes_the_parents_it_made_with_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in the middle"), atomic_folder(tmp_path / "a" / "b" / "set"):
        raise ValueError("in the middle")
    assert names(tmp_path) == []


def test_a_file_where_the_folder_should_be_is_an_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("a file")
    with pytest.raises(NotADirectoryError), atomic_folder(tmp_path / "set"):
        pass
    assert names(tmp_path) == ["set"]


def test_a_lock_keeps_others_out_until_its_holder_dies(tmp_path: Path) -> None:
    holder = started(HOLD_THE_LOCK, tmp_path / "lock")
    waiter = subprocess.Popen([sys.executable, "-c", WAIT_FOR_THE_LOCK, tmp_path / "lock"], cwd=REPOSITORY)
    time.sleep(0.5)  # long enough for a waiter that does not wait to end
    assert waiter.poll() is None
    kill(holder)
    assert waiter.wait(timeout=240) == 0


WAIT_FOR_THE_LOCK = """
import sys
from pathlib import Path
from plumbing.files import locked
with locked(Path(sys.argv[1])):
    pass
"""
