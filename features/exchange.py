"""Features that another machine has made: which batches are wanted here, offered there, read there and written here.

For machines that have folders of their own; whatever carries the bytes. Beside `<cut>.f32` lies `<cut>.json`, which
says what it takes to read the file without its network: images, shape, and the seconds that a pass takes. What was
fetched is compared with its checksum and written as by one more process that extracts: batch by batch, each under its
lock.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from features.chunks import ChunkedFile, sum_of
from features.filling import filling
from features.forward import BATCH
from plumbing import byte_locks
from plumbing.files import locked, locked_if_free, write_text_atomically

NETWORK = 100e6  # bytes a second that the estimate counts with: what a network of 1 Gbit/s carries
AT_ONCE = 32 * 2**20  # bytes asked for at once


@dataclass(frozen=True)
class Batches:
    """Some batches of a file.

    Attributes:
        file: its path below the folder of all features.
    """

    file: str
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """One batch on its way.

    Attributes:
        content: (images, *shape) float32, row-major. checksum: as stored where it was made.
    """

    content: bytes
    checksum: int


class Peer(Protocol):
    """A folder of features elsewhere."""

    def offered(self, wanted: Batches) -> Batches:
        """Those of the wanted batches that are there."""

    def read(self, offered: Batches) -> Mapping[int, Batch]:
        """The batches by number; what is damaged or gone is left out."""


class Folder:
    """A folder of this machine, for others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def offered(self, wanted: Batches) -> Batches:
        """Those of the wanted batches that were written here."""
        path = self.folder / wanted.file
        known = _known(path)
        missing = wanted.numbers if known is None else known.file(path).missing()
        return Batches(wanted.file, tuple(sorted(set(wanted.numbers) - set(missing))))

    def read(self, offered: Batches) -> Mapping[int, Batch]:
        """The batches, each compared with its checksum."""
        path = self.folder / offered.file
        known = _known(path)
        try:
            read = [] if known is None else list(known.file(path).read(offered.numbers))
        except FileNotFoundError:  # removed for others to have room
            return {}
        return {number: Batch(content, sum_of(content)) for number, content in read}


@dataclass(frozen=True)
class Description:
    """What it takes to read a file of features.

    Attributes:
        shape: of one image's features. seconds_an_image: that a pass takes.
    """

    images: int
    shape: tuple[int, ...]
    seconds_an_image: float

    def file(self, path: Path) -> ChunkedFile:
        """The file that is so described."""
        return ChunkedFile(path, self.images, self.shape, BATCH)


def describe(file: ChunkedFile, seconds_an_image: float) -> None:
    """Write what others must know of the file beside it, where nothing is known of it yet."""
    if _known(file.path) is None:
        told = Description(file.rows, file.shape, seconds_an_image)
        write_text_atomically(description_of(file.path), json.dumps(asdict(told)))


def description_of(path: Path) -> Path:
    """Where a file of features is described."""
    return path.with_suffix(".json")


def wanted(folder: Path, since: float) -> Iterator[Batches]:
    """What files below the folder lack, where it is sooner fetched than made.

    The estimate: the bytes of an image's features over a network of 1 Gbit/s, against the seconds of its pass through
    the backbone, as measured on this machine.

    Args:
        since: seconds of the epoch; files that nobody has written into since are left alone.
    """
    for description in sorted(folder.glob("*/*/[!.]*.json")):
        path = description.with_suffix(".f32")
        if ChunkedFile(path, 0, (), 1).written() < since or (known := _known(path)) is None:
            continue
        file = known.file(path)
        if file.row_bytes / NETWORK < known.seconds_an_image and (left := file.missing()):
            yield Batches(str(path.relative_to(folder)), tuple(left))


def fetch(folder: Path, peers: Sequence[Peer], lacking: Batches) -> int:
    """Fetch what a file lacks, from the first peer that has some, at most `AT_ONCE` bytes; how many batches came.

    Nothing comes where another process of this machine is fetching, nor where there are no locks on bytes of a file:
    who extracts has the folder to itself there.

    Raises: OSError where the folder cannot be written.
    """
    path = folder / lacking.file
    with locked_if_free(folder / "fetching") as free:
        if not free or not byte_locks.available() or (known := _known(path)) is None:
            return 0
        most = max(AT_ONCE // (BATCH * known.file(path).row_bytes), 1)
        for peer in peers:
            if offered := peer.offered(lacking).numbers[:most]:
                return _write(path, peer.read(Batches(lacking.file, offered)))
    return 0


def _write(path: Path, found: Mapping[int, Batch]) -> int:
    """Write batches into a file unless it was removed, or others have them in hand or have written them; how many."""
    with locked(path.parent / "lock", shared=True):  # as who extracts: what is being filled is not removed
        if (known := _known(path)) is None:
            return 0
        with filling({path.stem: known.file(path)}) as mine:
            whole = (number for number, batch in found.items() if sum_of(batch.content) == batch.checksum)
            taken = [number for number in whole if mine.take(number)]
            for number in taken:
                features = np.frombuffer(found[number].content, np.float32).reshape(-1, *known.shape)
                mine.write(number, {path.stem: features}, extracted=False)
    return len(taken)


def _known(path: Path) -> Description | None:
    """What is known of a file; None where it is absent, or its description is, or cannot be read."""
    if not path.exists():
        return None
    try:
        told = json.loads(description_of(path).read_text(encoding="utf-8"))
        return Description(told["images"], tuple(told["shape"]), told["seconds_an_image"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
