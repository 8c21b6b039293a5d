"""Features of images at a cut, computed once and kept below the runs folder, memory-mapped.

    features/<architecture>/<level>-<view>-<key>/<cut>.f32, .f32.sums and .json

The key is the digest of all that the numbers depend on, so a change of any of it asks for other files. Processes that
need the same files fill them together, batch by batch (features/filling.py), sharing the folder's lock, so that what
anyone is filling stays. A kill loses the batches that the killed one had in hand. Without the cache the same extractor
computes the same numbers again, in memory. Files not used for longest go first where the budget asks for room.
"""

import hashlib
import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.chunks import ChunkedFile, read_only
from features.exchange import describe, description_of
from features.extractor import Views, code_of_features, extract
from features.filling import Filling, filling
from features.forward import BATCH, PIECE, Forward, processors
from features.records import FrozenNetwork
from plumbing import byte_locks
from plumbing.files import locked, locked_if_free
from plumbing.progress import console, progress_bar
from plumbing.seeds import DATA_SEED

OPEN_FILES = 64  # memory maps that a process keeps
STAMP_SECONDS = 60.0
LOOK_SECONDS = 0.05  # between two looks at what other processes have in hand
LOOKS_UNTIL_SAID = 200  # about ten seconds: at a file's end each waits a little for the others' last batches


class Ledger:
    """What was asked for and what it took, counted by several threads.

    Attributes:
        served: images whose features were asked for, again and again. seconds_anew: what a pass for each would take.
        extracted: images that passed through frozen layers in this process, in `seconds`; where several fill a file
            together, their counts add up to its images.
    """

    def __init__(self) -> None:
        self.served, self.seconds_anew, self.extracted, self.seconds = 0, 0.0, 0, 0.0
        self._lock = threading.Lock()

    def counts(self) -> dict[str, float]:
        """All, as `add` takes them."""
        names = ("served", "seconds_anew", "extracted", "seconds")
        return {name: getattr(self, name) for name in names}

    def add(self, served: int = 0, seconds_anew: float = 0.0, extracted: int = 0, seconds: float = 0.0) -> None:
        """Count."""
        with self._lock:
            self.served += served
            self.seconds_anew += seconds_anew
            self.extracted += extracted
            self.seconds += seconds


class FeatureCache:
    """Features below a folder, at most `budget` bytes; with `folder` None nothing is kept.

    Safe for several threads and processes.

    Args:
        begin_at: the share of a view's batches after which extraction begins: machines that fetch batches from one
            another (features/exchange.py) should not all begin with the same.
    """

    def __init__(
        self, folder: Path | None, budget: int = 2**63, ledger: Ledger | None = None, begin_at: float = 0.0
    ) -> None:
        self.folder, self.budget, self.begin_at = folder, budget, begin_at
        self.ledger = ledger or Ledger()
        self._open: OrderedDict[Path, tuple[float, NDArray[np.float32]]] = OrderedDict()
        self._open_lock = threading.Lock()
        self._filling = threading.Condition()  # one thread at a time extracts, on all cores

    def features(
        self,
        network: FrozenNetwork,
        forward: Callable[[], Forward],
        views: Views,
        cut: str,
        together: Sequence[str] = (),
    ) -> NDArray[np.float32]:
        """The features of the views at the cut: (images, *shape) float32, read-only.

        Args:
            forward: makes what runs the frozen layers; called only where something must be computed.
            together: cuts whose features are kept in the same pass where they are missing too.
        Raises: OSError where the folder cannot be written or the disk is full.
        """
        self.ledger.add(served=len(views), seconds_anew=len(views) * network.seconds_an_image)
        kept = self.keep(network, forward, views, cut, together)
        return self._in_memory(network, forward(), views, cut) if kept is None else kept

    def keep(
        self,
        network: FrozenNetwork,
        forward: Callable[[], Forward],
        views: Views,
        cut: str,
        together: Sequence[str] = (),
        *,
        wait: bool = True,
    ) -> NDArray[np.float32] | None:
        """What `features` gives, not counted as used; None where nothing is kept, or no room can be made for it.

        Args:
            wait: for the batches that other processes have in hand; if not, also None where they are all that lacks.
        """
        if self.folder is None:
            return None
        file = self._file(self.folder, network, views, cut)
        if (known := self._known(file)) is not None:
            return known
        others = [self._file(self.folder, network, views, other) for other in together if other != cut]
        with self._filling:
            if (known := self._known(file)) is not None:  # another thread has just made it
                return known
            with locked(file.path.parent / "lock", partial(_say_waiting, file), shared=byte_locks.available()):
                lacking = [other for other in others if not other.is_complete()]
                files = {each.path.stem: each for each in (file, *lacking) if self._reserved(each)}
                if cut not in files:
                    return None
                for each in files.values():
                    describe(each, network.seconds_an_image)
                opened = {each: self._opened(files[each]) for each in self._fill(forward, views, files, cut, wait)}
                return opened.get(cut)

    def holds(self, network: FrozenNetwork, views: Views, cut: str) -> bool:
        """Whether the features are there already; what the files hold is not checked."""
        if self.folder is None:
            return False
        return self._file(self.folder, network, views, cut).is_complete()

    def _file(self, folder: Path, network: FrozenNetwork, views: Views, cut: str) -> ChunkedFile:
        numbers = [views.level, views.view, DATA_SEED, BATCH, PIECE]
        settings = [network.digest, network.engine, sorted(network.layers.items()), *numbers, code_of_features()]
        settings.append(views.images.key)
        key = hashlib.blake2b(json.dumps(settings).encode(), digest_size=12).hexdigest()
        path = folder / network.architecture / f"{views.level}-{views.view}-{key}" / f"{cut}.f32"
        return ChunkedFile(path, len(views), network.shapes[cut], BATCH)

    def _known(self, file: ChunkedFile) -> NDArray[np.float32] | None:
        """The array of a file opened before; one in use stays readable where its file is removed for others."""
        with self._open_lock:
            if file.path not in self._open:
                return None
            if not file.path.exists():  # removed for others to have room: its map must not hold the disk
                del self._open[file.path]
                return None
            stamped, array = self._open.pop(file.path)
            now = time.monotonic()
            if now - stamped > STAMP_SECONDS:
                _stamp(file)
                stamped = now
            self._open[file.path] = (stamped, array)
            return array

    def _opened(self, file: ChunkedFile) -> NDArray[np.float32]:
        """The array of a verified file."""
        array = file.array()
        _stamp(file)
        with self._open_lock:
            self._open[file.path] = (time.monotonic(), array)
            while len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)
        return array

    def _fill(
        self, forward: Callable[[], Forward], views: Views, files: Mapping[str, ChunkedFile], cut: str, wait: bool
    ) -> list[str]:
        """Compute what the files lack, beside other processes that do; the cuts that are whole now, this one at least.

        Args:
            wait: until it is; if not, it may be missing.
        """
        looks, layers = 0, None
        with filling(files) as mine:
            while left := self._in_order(mine.left(), len(views.batches)):
                layers = layers or forward()
                if self._extracted(layers, views, mine, left):
                    continue
                if not wait or cut not in mine.lacking():
                    break
                looks += 1
                if looks == LOOKS_UNTIL_SAID:
                    _say_held(files[cut], len(left))
                self._filling.wait(LOOK_SECONDS)  # another thread may extract other views meanwhile
            return [each for each in files if each not in mine.lacking()]

    def _in_order(self, batches: Sequence[int], of: int) -> list[int]:
        """Those from where this process begins, and then the ones before."""
        return sorted(batches, key=lambda batch: (batch < self.begin_at * of, batch))

    def _extracted(self, layers: Forward, views: Views, mine: Filling, left: Sequence[int]) -> int:
        """Pass batches that are left and that nobody else takes through the layers, one after another; how many."""
        free = (batch for batch in left if mine.take(batch))
        # As few as keep all cores at work while a batch is written: who holds more leaves less to others at the end.
        taken = list(islice(free, 1 + min(-(-processors() * layers.piece // BATCH), 8)))
        if taken:
            for batch, found in self._passed(layers, views, mine.lacking(), taken, left):
                mine.write(batch, found)
                taken += islice(free, 1)  # the extractor begins what is added to its list while it works
        return len(taken)

    def _in_memory(self, network: FrozenNetwork, forward: Forward, views: Views, cut: str) -> NDArray[np.float32]:
        features = np.empty((len(views), *network.shapes[cut]), np.float32)
        with self._filling:
            for batch, found in self._passed(forward, views, [cut], views.batches, views.batches):
                features[batch * BATCH : batch * BATCH + len(found[cut])] = found[cut]
        return read_only(features)

    def _passed(
        self, forward: Forward, views: Views, cuts: Sequence[str], batches: Sequence[int], left: Sequence[int]
    ) -> Iterator[tuple[int, dict[str, NDArray[np.float32]]]]:
        """Number and features, cut by cut, of each of these batches; the bar moves over all that are left."""
        images, shown = [len(views.of_batch(batch)) for batch in left], 0
        start = time.monotonic()
        with progress_bar(f"extracting {views.level} view {views.view}", sum(images)) as advance:
            for batch, found in extract(forward, views, cuts, batches):
                yield batch, found
                now, passed = time.monotonic(), left.index(batch) + 1
                self.ledger.add(extracted=images[passed - 1], seconds=now - start)
                advance(sum(images[shown:passed]))
                start, shown = now, passed

    def _reserved(self, file: ChunkedFile) -> bool:
        """Whether a file has its whole length, or is given it now, those not used for longest removed for it."""
        assert self.folder is not None
        with locked(self.folder / "lock"):
            if not file.growth:
                file.reserve()
                return True
            kept = {path: path.stat() for path in self.folder.glob("*/*/*.f32")}
            over = sum(status.st_size for status in kept.values()) + file.growth - self.budget
            others = [path for path in kept if path.parent != file.path.parent]
            if over > sum(kept[path].st_size for path in others):
                return False
            for path in sorted(others, key=lambda path: kept[path].st_mtime_ns):
                if over <= 0:
                    break
                over -= kept[path].st_size if _remove(path) else 0
            if over > 0:
                return False
            file.reserve()
            return True


def _say_waiting(file: ChunkedFile) -> None:
    console().print(f"waiting for another process that extracts into {file.path.parent}", soft_wrap=True)


def _say_held(file: ChunkedFile, batches: int) -> None:
    told = f"{batches} of {file.chunks} pieces; if it does not go on, a process that was stopped has them"
    console().print(f"waiting for another process that extracts into {file.path.parent}: {told}", soft_wrap=True)


def _stamp(file: ChunkedFile) -> None:
    """Note the time of use, by which files are chosen to go."""
    with suppress(FileNotFoundError):  # removed for others to have room, or never made for no images
        os.utime(file.path)


def _remove(path: Path) -> bool:
    """Remove a file that no process is filling; whether it was removed."""
    with locked_if_free(path.parent / "lock") as free:
        if free:
            ChunkedFile(path, 0, (), 1).remove()
            description_of(path).unlink(missing_ok=True)
    return free
