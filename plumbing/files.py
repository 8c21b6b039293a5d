"""Files that are whole or absent: written under a temporary name, flushed to disk, then renamed.

A killed process leaves at most temporary files, whose names carry its machine and process number, so that a
later run can tell its own machine's dead writers from live ones and clean up after them.
"""

import fcntl
import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TEMPORARY = re.compile(r"\.tmp-(?P<host>[A-Za-z0-9_]+)-(?P<process>\d+)-")


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder, renamed to `path` when the block ends well, else removed.

    The suffix is kept, because writers such as Keras choose the format by it.

    Raises: OSError where the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, renamed to it when the block ends well, else removed.

    If another process has made `folder` meanwhile, that one stays and ours goes: for callers whose folders are alike
    whoever makes them. Files inside are not flushed one by one: a kill leaves nothing half-made, a power cut may.

    Raises: OSError where the folder cannot be made or written.
    """
    missing = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(folder)
    try:
        temporary.mkdir()
        yield temporary
        try:
            temporary.rename(folder)
            sync_folder(folder.parent)
        except OSError:
            if not folder.is_dir():
                raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):  # another process has put something there
                parent.rmdir()
        raise
    shutil.rmtree(temporary, ignore_errors=True)


def temporary_beside(path: Path) -> Path:
    """A name in the same folder that no other process uses, and that tells whose it is."""
    return path.parent / f".tmp-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}-{path.name}"


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a file, made where it is absent; the system frees it when its holder dies.

    Args:
        waiting: called where another holds it, before waiting.
        shared: with others who hold it shared; nobody can hold it alone meanwhile.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:  # over NFS a shared lock asks for a file that can be read
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(file, kind)
        yield


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock of a file unless another holds it, without waiting; whether it is held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def sync_file(path: Path) -> None:
    """Make a file's content survive a power cut."""
    with path.open("rb") as written:
        os.fsync(written.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames inside the folder survive a power cut (POSIX: fsync of the directory)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text_atomically(path: Path, text: str) -> None:
    """Write the text as UTF-8; the file is whole or absent."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_stale_temporaries(folder: Path) -> int:
    """Remove what dead processes of this machine left unfinished below the folder; how many files and folders."""
    stale = [path for path in folder.rglob(".tmp-*") if _is_stale(path.name)]
    for path in stale:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(stale)


def _is_stale(name: str) -> bool:
    match = _TEMPORARY.match(name)
    return match is not None and match["host"] == _host() and not _alive(int(match["process"]))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
