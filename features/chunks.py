"""A file of equal chunks that a kill cannot leave half-believed, and damage cannot pass unseen.

Two files: the numbers, a plain row-major float32 array as long as it will ever be, and beside it `<name>.sums`, the
CRC-32 of each chunk, 4 bytes in little-endian order, appended after the chunk itself was written. A chunk is there when
its sum is there and agrees.
"""

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

SUM_BYTES = 4


class ChunkedFile:
    """One array (rows, *shape) float32 in chunks of `chunk_rows` rows, the last one shorter.

    Whoever writes holds a lock of its own; readers need none once `missing` found nothing.
    """

    def __init__(self, path: Path, rows: int, shape: Sequence[int], chunk_rows: int) -> None:
        self.path, self.sums_path = path, path.with_name(f"{path.name}.sums")
        self.rows, self.shape, self.chunk_rows = rows, tuple(shape), chunk_rows
        self.row_bytes = 4 * int(np.prod(self.shape, dtype=np.int64))

    @property
    def chunks(self) -> int:
        return -(-self.rows // self.chunk_rows)

    @property
    def size(self) -> int:
        """Bytes of the numbers."""
        return self.rows * self.row_bytes

    def is_complete(self) -> bool:
        """Whether every chunk was written, damaged since or not."""
        return not self.size or (len(self._sums()) >= SUM_BYTES * self.chunks and self.path.exists())

    def missing(self) -> tuple[list[int], list[int]]:
        """Chunks that were never written, and those written but damaged since; every byte is read."""
        sums = self._sums()
        known = len(sums) // SUM_BYTES
        if known == 0 or not self.path.exists():
            return list(range(self.chunks)), []
        damaged = []
        with self.path.open("rb") as file:
            for chunk in range(min(known, self.chunks)):
                content = file.read(self._span(chunk)[1])
                if sums[chunk * SUM_BYTES : (chunk + 1) * SUM_BYTES] != _sum_of(content):
                    damaged.append(chunk)
        return list(range(known, self.chunks)), damaged

    def reserve(self) -> None:
        """Give the file its whole length.

        Raises: OSError where the disk is full, which a write into a memory map could tell only by a signal.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self.sums_path.unlink(missing_ok=True)
        with self.path.open("ab") as file:
            if self.growth:
                _allocate(file, self.size)
            file.truncate(self.size)
        known = len(self._sums()) // SUM_BYTES
        with self.sums_path.open("ab") as file:
            file.truncate(known * SUM_BYTES)  # a sum that a kill cut short

    def write(self, chunk: int, values: NDArray[np.float32]) -> None:
        """Write a chunk and then its sum: the next one, or again one that was damaged."""
        content = np.ascontiguousarray(values, np.float32).tobytes()
        for path, offset, part in (
            (self.path, self._span(chunk)[0], content),
            (self.sums_path, chunk * SUM_BYTES, _sum_of(content)),
        ):
            with path.open("r+b") as file:
                file.seek(offset)
                file.write(part)

    def array(self) -> NDArray[np.float32]:
        """The whole array, memory-mapped, read-only."""
        if self.size == 0:
            return read_only(np.zeros((self.rows, *self.shape), np.float32))
        return np.asarray(np.memmap(self.path, np.float32, "r", shape=(self.rows, *self.shape)))

    @property
    def growth(self) -> int:
        """Bytes that the file still lacks."""
        return max(self.size - (self.path.stat().st_size if self.path.exists() else 0), 0)

    def remove(self) -> None:
        """Remove both files; arrays mapped before stay readable."""
        self.sums_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _span(self, chunk: int) -> tuple[int, int]:
        """Offset and length of a chunk in bytes."""
        rows = min(self.chunk_rows, self.rows - chunk * self.chunk_rows)
        return chunk * self.chunk_rows * self.row_bytes, rows * self.row_bytes

    def _sums(self) -> bytes:
        return self.sums_path.read_bytes() if self.sums_path.exists() else b""


def _allocate(file: BinaryIO, size: int) -> None:
    """Give an open file disk for so many bytes."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(os.fstat(file.fileno()).st_size, size, 2**20):  # macOS has no such call
        file.write(bytes(min(2**20, size - start)))


def read_only(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """The array, closed to writing."""
    array.flags.writeable = False
    return array


def _sum_of(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(SUM_BYTES, "little")
