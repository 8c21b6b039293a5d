"""A file of equal chunks that a kill cannot leave half-believed, and damage cannot pass unseen.

Two files: the numbers, a plain row-major float32 array as long as it will ever be, and beside it `<name>.sums`, the
CRC-32 of each chunk, 4 bytes in little-endian order, written after the chunk itself; 0, or nothing, where the chunk was
not written yet. A chunk is there when its sum is there and agrees. Chunks are written in any order.
"""

import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from plumbing.byte_locks import write_at

SUM_BYTES = 4


class ChunkedFile:
    """One array (rows, *shape) float32 in chunks of `chunk_rows` rows, the last one shorter.

    Whoever writes a chunk keeps other writers from it; readers need no lock once `checked` found the chunk whole.
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
        return not self.size or (bool(self._sums().all()) and self.path.exists())

    def missing(self) -> list[int]:
        """The chunks that were never written."""
        return np.flatnonzero(self._sums() == 0).tolist() if self.size else []

    def written(self) -> float:
        """When the last chunk was written, or the file made: seconds of the epoch; 0 where it is gone."""
        try:
            return self.sums_path.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def is_written(self, chunk: int) -> bool:
        """Whether the chunk was written, damaged since or not."""
        return bool(self._sums()[chunk])

    def checked(self, chunks: Iterable[int]) -> tuple[list[int], list[int]]:
        """Which of these chunks are whole, and which are damaged; the others were never written.

        Every byte of them is read.
        """
        whole, damaged = list[int](), list[int]()
        for chunk, content in self._written(chunks):
            (damaged if content is None else whole).append(chunk)
        return whole, damaged

    def read(self, chunks: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """Number and content of those of these chunks that are whole."""
        for chunk, content in self._written(chunks):
            if content is not None:
                yield chunk, content

    def reserve(self) -> None:
        """Give the file its whole length; may be called while others write chunks.

        Raises: OSError where the disk is full, which a write into a memory map could tell only by a signal.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self.sums_path.unlink(missing_ok=True)
        with self.path.open("ab") as file:
            if self.growth:
                _allocate(file, self.size)
            file.truncate(self.size)
        with self.sums_path.open("ab") as file:
            if torn := file.tell() % SUM_BYTES:  # a sum that a kill cut short
                file.truncate(file.tell() - torn)

    def write(self, chunk: int, values: NDArray[np.float32]) -> None:
        """Write a chunk and then its sum."""
        content = np.ascontiguousarray(values, np.float32).tobytes()
        write_at(self.path, self._span(chunk)[0], content)
        self._write_sum(chunk, sum_of(content))

    def discard(self, chunk: int) -> None:
        """Take a chunk for never written."""
        self._write_sum(chunk, 0)

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

    def _written(self, chunks: Iterable[int]) -> Iterator[tuple[int, bytes | None]]:
        """Number and content of those of these chunks that were written; None in place of a damaged one's."""
        sums = self._sums()
        with self.path.open("rb") as file:
            for chunk in chunks:
                if sums[chunk]:
                    offset, length = self._span(chunk)
                    file.seek(offset)
                    content = file.read(length)
                    yield chunk, content if sums[chunk] == sum_of(content) else None

    def _span(self, chunk: int) -> tuple[int, int]:
        """Offset and length of a chunk in bytes."""
        rows = min(self.chunk_rows, self.rows - chunk * self.chunk_rows)
        return chunk * self.chunk_rows * self.row_bytes, rows * self.row_bytes

    def _sums(self) -> NDArray[np.uint32]:
        """(chunks,), 0 where a chunk was never written."""
        try:
            content = self.sums_path.read_bytes()
        except FileNotFoundError:
            content = b""
        known = np.frombuffer(content[: len(content) // SUM_BYTES * SUM_BYTES], "<u4")[: self.chunks]
        return np.pad(known, (0, self.chunks - len(known)))

    def _write_sum(self, chunk: int, value: int) -> None:
        write_at(self.sums_path, chunk * SUM_BYTES, value.to_bytes(SUM_BYTES, "little"))


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


def sum_of(content: bytes) -> int:
    """The checksum of a chunk, as stored."""
    return zlib.crc32(content) or 2**32 - 1  # 0 says that nothing was written
