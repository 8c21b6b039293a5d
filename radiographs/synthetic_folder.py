"""A folder that is whole or absent: filled under a temporary name beside it, then renamed.

The folder counterpart of `plumbing.files.atomic_path`, with the same names for what a killed process leaves.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from plumbing import files


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, renamed to it when the block ends well, else removed.

    If another process has made `folder` meanwhile, that one stays and ours goes: for callers whose folders are
    alike whoever makes them. A kill leaves at most the temporary folder; see `remove_stale_folders`.

    Raises: OSError where the folder cannot be made or written.
    """
    missing = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f".tmp-{files._host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}-{folder.name}"
    try:
        temporary.mkdir()
        yield temporary
        try:
            temporary.rename(folder)
            files.sync_folder(folder.parent)
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


def remove_stale_folders(folder: Path) -> int:
    """Remove temporary folders in the folder whose writers, processes of this machine, are dead; their number."""
    removed = 0
    for path in folder.glob(".tmp-*"):
        match = files._TEMPORARY.match(path.name)
        if match and path.is_dir() and match["host"] == files._host() and not files._alive(int(match["process"])):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    return removed
