"""Locks on bytes of a file, which the system frees when their holder dies.

Linux's open file description locks (fcntl(2)): they belong to one opening of a file. So threads exclude each other too,
and closing another descriptor of the same file frees nothing, as it would with POSIX record locks. Over NFS they hold
between machines from version 4 on.
"""

import errno
import fcntl
import struct
import sys
import tempfile
from functools import cache
from pathlib import Path

_FLOCK = "hhqqi0q"  # struct flock: type, whence, start, length, process; filled up to its alignment


@cache
def available() -> bool:
    """Whether this system has such locks: Linux has, macOS and some sandboxes that stand for Linux have not."""
    if sys.platform != "linux":
        return False
    with tempfile.TemporaryFile() as file:
        try:
            _set(file.fileno(), wait=False, kind=fcntl.F_WRLCK, start=0, length=1)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
    return True


def try_lock(handle: int, start: int, length: int = 1) -> bool:
    """Hold bytes of a file against its other openings, without waiting; whether they are held.

    Args:
        handle: of a file open for writing.
    Raises: OSError where the file system has no locks.
    """
    try:
        _set(handle, wait=False, kind=fcntl.F_WRLCK, start=start, length=length)
    except BlockingIOError:
        return False
    return True


def unlock(handle: int, start: int, length: int = 1) -> None:
    """Free bytes that are held."""
    _set(handle, wait=False, kind=fcntl.F_UNLCK, start=start, length=length)


def write_at(path: Path, offset: int, content: bytes) -> None:
    """Write into a file without touching the bytes beside, which other machines may be writing.

    An NFS client may write whole pages as it knows them, and so undo another's; not while it holds a lock on bytes.

    Raises: OSError where the file is absent or the disk is full.
    """
    with path.open("r+b") as file:
        if content and available():  # a length of 0 would mean all bytes
            _set(file.fileno(), wait=True, kind=fcntl.F_WRLCK, start=offset, length=len(content))
        file.seek(offset)
        file.write(content)


def _set(handle: int, *, wait: bool, kind: int, start: int, length: int) -> None:
    if sys.platform != "linux":
        raise NotImplementedError(f"locks on bytes of a file are Linux's, this is {sys.platform}")
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    fcntl.fcntl(handle, command, struct.pack(_FLOCK, kind, 0, start, length, 0))
