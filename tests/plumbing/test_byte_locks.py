"""Locks on bytes: kept from other openings of the file, threads' too, and freed by death alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plumbing import byte_locks
from plumbing.byte_locks import try_lock, unlock, write_at

pytestmark = pytest.mark.skipif(not byte_locks.available(), reason="locks on bytes of a file are Linux's")

REPOSITORY = Path(__file__).parents[2]
HOLD = """
import os, sys, time
from plumbing.byte_locks import try_lock
assert try_lock(os.open(sys.argv[1], os.O_RDWR), 3)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], int]]:
    """Opens one file once more."""
    path = tmp_path / "file"
    path.write_bytes(bytes(8))
    handles: list[int] = []

    def open_it() -> int:
        handles.append(os.open(path, os.O_RDWR))
        return handles[-1]

    yield open_it
    for handle in handles:
        os.close(handle)


def test_a_held_byte_is_kept_from_other_openings_of_the_same_process(opened: Callable[[], int]) -> None:
    one, other = opened(), opened()
    assert try_lock(one, 3)
    assert not try_lock(other, 3)
    assert not try_lock(other, 2, 2)
    assert try_lock(other, 2)
    assert try_lock(other, 4)
    unlock(one, 3)
    assert try_lock(other, 3)


def test_closing_another_opening_of_the_file_frees_nothing(opened: Callable[[], int], tmp_path: Path) -> None:
    one, other = opened(), opened()
    assert try_lock(one, 3)
    (tmp_path / "file").read_bytes()
    write_at(tmp_path / "file", 0, b"ab")
    assert not try_lock(other, 3)


def test_a_byte_is_free_when_its_holder_is_killed(opened: Callable[[], int], tmp_path: Path) -> None:
    line = [sys.executable, "-c", HOLD, str(tmp_path / "file")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        handle = opened()
        assert not try_lock(handle, 3)
        holder.kill()
        assert holder.wait() == -signal.SIGKILL
    assert try_lock(handle, 3)


def test_writing_at_a_place_leaves_the_bytes_beside(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")
    write_at(path, 2, b"XY")
    write_at(path, 8, b"Z")
    write_at(path, 0, b"")
    assert path.read_bytes() == b"abXYef\0\0Z"


def test_writing_into_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_at(tmp_path / "file", 0, b"a")
