"""The files of one view, filled together by the processes that need them, each batch by one of them.

Beside the files `batches` has a byte a batch. Who extracts a batch holds a lock on its byte, which the system frees
when its holder dies. The byte counts how often the batch was extracted, by whomever: bytes of 1 tell that it was once;
what came from another machine (features/exchange.py) is not counted. Without locks on bytes (plumbing/byte_locks.py)
the caller must see to it that one process at a time is here.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from features.chunks import ChunkedFile
from plumbing import byte_locks
from plumbing.progress import console


class Filling:
    """What this process knows of the files of one view, and the batches that it has taken. For one thread."""

    def __init__(self, files: Mapping[str, ChunkedFile], handle: int) -> None:
        self.files, self._handle = files, handle
        self._whole: dict[str, set[int]] = {cut: set() for cut in files}  # read and found so, or written here
        self._taken: dict[int, list[str]] = {}  # batch -> the cuts that lack it

    def left(self) -> list[int]:
        """The batches that a file lacks, ascending.

        What is new in the files is read and compared with its sums; what is damaged is said, and counts as lacking.
        """
        left: set[int] = set()
        for cut, file in self.files.items():
            unknown = [chunk for chunk in range(file.chunks) if chunk not in self._whole[cut]]
            if not unknown:
                continue
            whole, damaged = file.checked(unknown)
            self._whole[cut].update(whole)
            if discarded := sum(self._discarded(file, chunk) for chunk in damaged):
                told = f"{discarded} of {file.chunks} pieces are damaged, computed again"
                console().print(f"features: {file.path}: {told}", soft_wrap=True)
            left.update(set(unknown) - set(whole))
        return sorted(left)

    def lacking(self) -> list[str]:
        """The cuts whose files are not known to be whole."""
        return [cut for cut, file in self.files.items() if len(self._whole[cut]) < file.chunks]

    def take(self, batch: int) -> bool:
        """Take a batch, unless another process has it or has written it meanwhile; whether it was taken."""
        if not self._lock(batch):
            return False
        lacking = [
            cut for cut, file in self.files.items() if batch not in self._whole[cut] and not file.is_written(batch)
        ]
        if lacking:
            self._taken[batch] = lacking
        else:
            self._unlock(batch)
        return bool(lacking)

    def write(self, batch: int, found: Mapping[str, NDArray[np.float32]], *, extracted: bool = True) -> None:
        """Write a batch that was taken into the files that lack it, and let go of it.

        Args:
            found: cut -> features (images, *shape). extracted: here, which is counted; else they came from elsewhere.
        """
        if extracted:
            known = os.pread(self._handle, 1, batch) or b"\0"
            os.pwrite(self._handle, bytes([min(known[0] + 1, 255)]), batch)
        for cut in self._taken.pop(batch):
            self.files[cut].write(batch, found[cut])
            self._whole[cut].add(batch)
        self._unlock(batch)

    def _discarded(self, file: ChunkedFile, chunk: int) -> bool:
        """Discard a chunk that was found damaged, unless another process has it in hand or mended it meanwhile."""
        if not self._lock(chunk):
            return False
        _, damaged = file.checked([chunk])
        if damaged:
            file.discard(chunk)
        self._unlock(chunk)
        return bool(damaged)

    def _lock(self, batch: int) -> bool:
        return not byte_locks.available() or byte_locks.try_lock(self._handle, batch)

    def _unlock(self, batch: int) -> None:
        if byte_locks.available():
            byte_locks.unlock(self._handle, batch)


@contextmanager
def filling(files: Mapping[str, ChunkedFile]) -> Iterator[Filling]:
    """The files of one folder, to fill; what was taken and not written is free again at the end.

    Raises: OSError where the folder cannot be written or its file system has no locks.
    """
    (folder,) = {file.path.parent for file in files.values()}
    handle = os.open(folder / "batches", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield Filling(files, handle)
    finally:
        os.close(handle)
