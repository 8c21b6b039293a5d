"""Every image's grey pixels, decoded and resized once per size, in one memory-mapped file that all work shares.

A row is found by the image's content digest, so moved, copied and duplicate files are decoded once. Two files a size:
`pixels.u8`, rows of size x size bytes, and `digests`, 16 bytes a row. Rows are written and flushed before their
digests, so what the digests name is whole after a kill; a lock lets one process append while others wait and then find
it done.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plumbing.errors import DataError
from plumbing.files import locked, write_text_atomically
from plumbing.progress import progress_bar
from radiographs.decoding import Unreadable, decode

DIGEST_BYTES = 16
BATCH = 256  # images between two writes: what a kill costs at most


def digest_of(content: bytes) -> str:
    """An image file's content digest, 32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


class PixelStore:
    """Pixels below a folder; safe for several processes at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def digests(self, root: Path, paths: Sequence[str]) -> dict[str, str]:
        """Path -> content digest. Files whose size and time of change are as remembered are not read again.

        Raises: DataError naming the file where one cannot be read at all.
        """
        memory_file = self.folder / "digests.json"
        remembered = json.loads(memory_file.read_text()) if memory_file.exists() else {}

        def digest(path: str) -> tuple[str, list[object], str]:
            file = root / path
            try:
                status = file.stat()
                known = remembered.get(str(file.resolve()))
                stamp: list[object] = [status.st_size, status.st_mtime_ns]
                if known and known[:2] == stamp:
                    return str(file.resolve()), stamp, known[2]
                return str(file.resolve()), stamp, digest_of(file.read_bytes())
            except OSError as error:
                raise DataError(
                    f"{file}: cannot be read: {error.strerror}; mend its permissions or remove it"
                ) from None

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(digest, paths))
        fresh = {file: [*stamp, value] for file, stamp, value in found}
        if any(remembered.get(file) != entry for file, entry in fresh.items()):
            write_text_atomically(memory_file, json.dumps(remembered | fresh))
        return {path: value for path, (_, _, value) in zip(paths, found, strict=True)}

    def remembered(self, root: Path, paths: Sequence[str]) -> dict[str, str]:
        """Path -> content digest of those files that were read before and have not changed since; none is read now."""
        memory_file = self.folder / "digests.json"
        known = json.loads(memory_file.read_text()) if memory_file.exists() else {}
        found = {}
        for path in paths:
            file = (root / path).resolve()
            entry = known.get(str(file))
            if entry and file.exists() and entry[:2] == [file.stat().st_size, file.stat().st_mtime_ns]:
                found[path] = entry[2]
        return found

    def decode_missing(self, root: Path, digests: dict[str, str], size: int) -> dict[str, str]:
        """Decode every image that has no row yet; digest -> reason for those that cannot be read.

        Raises: OSError where the disk is full or the folder cannot be written; what was written stays whole.
        """
        folder = self.folder / str(size)
        folder.mkdir(parents=True, exist_ok=True)
        path_of = {digest: path for path, digest in digests.items()}
        unreadable: dict[str, str] = {}
        with locked(folder / "lock"):
            known = set(_known_digests(folder, size))
            missing = [digest for digest in path_of if digest not in known]
            with (
                progress_bar(f"decoding to {size} px", len(missing)) as advance,
                ThreadPoolExecutor(os.cpu_count()) as pool,
            ):
                for start in range(0, len(missing), BATCH):
                    batch = missing[start : start + BATCH]
                    files = [root / path_of[digest] for digest in batch]
                    decoded = list(pool.map(lambda file: _decode_file(file, size), files))
                    pairs = list(zip(batch, decoded, strict=True))
                    unreadable |= {digest: found for digest, found in pairs if isinstance(found, str)}
                    _append(folder, size, [(digest, found) for digest, found in pairs if not isinstance(found, str)])
                    advance(len(batch))
        return unreadable

    def rows(self, digests: Sequence[str], size: int) -> NDArray[np.int64]:
        """The row of each digest in `pixels(size)`: (digests,) int64; all must have been decoded."""
        row_of = {digest: row for row, digest in enumerate(_known_digests(self.folder / str(size), size))}
        return np.array([row_of[digest] for digest in digests], np.int64)

    def pixels(self, size: int) -> NDArray[np.uint8]:
        """All rows: (rows, size, size) uint8, memory-mapped, read-only."""
        folder = self.folder / str(size)
        rows = len(_known_digests(folder, size))
        if rows == 0:
            return np.zeros((0, size, size), np.uint8)
        return np.memmap(folder / "pixels.u8", np.uint8, "r", shape=(rows, size, size))


def _known_digests(folder: Path, size: int) -> list[str]:
    """Digests of the rows that are whole, in order; a torn tail of either file does not count."""
    names, data = folder / "digests", folder / "pixels.u8"
    if not names.exists() or not data.exists():
        return []
    content = names.read_bytes()
    rows = min(len(content) // DIGEST_BYTES, data.stat().st_size // (size * size))
    return [content[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES].hex() for row in range(rows)]


def _append(folder: Path, size: int, images: Sequence[tuple[str, NDArray[np.uint8]]]) -> None:
    rows = len(_known_digests(folder, size))
    parts = (
        (folder / "pixels.u8", rows * size * size, b"".join(image.tobytes() for _, image in images)),
        (folder / "digests", rows * DIGEST_BYTES, b"".join(bytes.fromhex(digest) for digest, _ in images)),
    )
    for path, offset, content in parts:
        with path.open("ab") as file:
            file.truncate(offset)  # what a killed writer left behind the last whole row
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _decode_file(file: Path, size: int) -> NDArray[np.uint8] | str:
    try:
        return decode(file.read_bytes(), size)
    except Unreadable as reason:
        return str(reason)
