"""Features that another machine has made: which batches are wanted here, offered there, read there and written here.

For machines that have folders of their own; whatever carries the bytes. Beside `<cut>.f32` lies `<cut>.json`, which
says what it takes to read the file without its network: images, shape, and the seconds that a pass takes. What was
fetched is written as by one more process that extracts: batch by batch, each under its lock, with its checksum.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from features.chunks import ChunkedFile
from features.filling import filling
from features.forward import BATCH
from plumbing import byte_locks
from plumbing.files import locked, write_text_atomically

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


class Peer(Protocol):
    """A folder of features elsewhere."""

    def offered(self, wanted: Batches) -> Batches:
        """Those of the wanted batches that are there."""

    def read(self, offered: Batches) -> Mapping[int, bytes]:
        """Number and features of each batch, row-major float32; what is damaged or gone is left out."""


class Folder:
    """A folder of this machine, for others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def offered(self, wanted: Batches) -> Batches:
        """Those of the wanted batches that were written here."""
        known = _known(self.folder / wanted.file)
        missing = wanted.numbers if known is None else known.file(self.folder / wanted.file).missing()
        return Batches(wanted.file, tuple(sorted(set(wanted.numbers) - set(missing))))

    def read(self, offered: Batches) -> Mapping[int, bytes]:
        """The batches' features, each compared with its checksum."""
        path = self.folder / offered.file
        known = _known(path)
        return {} if known is None else dict(known.file(path).read(offered.numbers))


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
    """Write what others must know of the file beside it, once."""
    path = description_of(file.path)
    if not path.exists():
        write_text_atomically(path, json.dumps(asdict(Description(file.rows, file.shape, seconds_an_image))))


def description_of(path: Path) -> Path:
    """Where a file of features is described."""
    return path.with_suffix(".json")


def wanted(folder: Path) -> Iterator[Batches]:
    """What files below the folder lack, where it is sooner fetched than made.

    The estimate: the bytes of an image's features over a network of 1 Gbit/s, against the seconds of its pass through
    the backbone, as measured on this machine.
    """
    for description in sorted(folder.glob("*/*/*.json")):
        path = description.with_suffix(".f32")
        if (known := _known(path)) is None:
            continue
        file = known.file(path)
        if file.row_bytes / NETWORK < known.seconds_an_image and (missing := file.missing()):
            yield Batches(str(path.relative_to(folder)), tuple(missing))


def fetch(folder: Path, peers: Callable[[], Sequence[Peer]]) -> int:
    """Fetch what the folder's files lack and peers have; how many batches came.

    Nothing comes where there are no locks on bytes of a file: who extracts has the folder to itself there.

    Args:
        peers: called only where something is wanted.
    Raises: OSError where the folder cannot be written.
    """
    came = 0
    for lacking in wanted(folder) if byte_locks.available() else ():
        left = set(lacking.numbers)
        for peer in peers():
            offered = peer.offered(Batches(lacking.file, tuple(sorted(left))))
            for some in _portions(folder, offered):
                found = peer.read(some)
                came += _write(folder / lacking.file, found)
                left -= set(found)
    return came


def _portions(folder: Path, offered: Batches) -> Iterator[Batches]:
    """The batches in portions of `AT_ONCE` bytes, at least one batch each."""
    known = _known(folder / offered.file)
    if known is None:
        return
    count = max(AT_ONCE // (BATCH * known.file(folder / offered.file).row_bytes), 1)
    for start in range(0, len(offered.numbers), count):
        yield Batches(offered.file, offered.numbers[start : start + count])


def _write(path: Path, found: Mapping[int, bytes]) -> int:
    """Write batches into a file unless it was removed, or others have them in hand or have written them; how many."""
    with locked(path.parent / "lock", shared=True):  # as who extracts: what is being filled is not removed
        if (known := _known(path)) is None:
            return 0
        with filling({path.stem: known.file(path)}) as mine:
            taken = [batch for batch in found if mine.take(batch)]
            for batch in taken:
                features = np.frombuffer(found[batch], np.float32).reshape(-1, *known.shape)
                mine.write(batch, {path.stem: features}, extracted=False)
    return len(taken)


def _known(path: Path) -> Description | None:
    """What is known of a file; None where it, or its description, is absent."""
    try:
        told = json.loads(description_of(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Description(**told | {"shape": tuple(told["shape"])}) if path.exists() else None
