"""Nodes that do not see the driver's `--runs`: features and models travel through Ray's object store.

The driver offers the features of its folder. So does each node whose folder is its own, and while its worker trains it
fetches what that lacks and others have, where it is worth the way (features/exchange.py), and sends each model that is
kept there home to the driver. A node that is lost offers nothing more.
"""

import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from features.exchange import Batch, Batches, Folder, fetch, wanted
from plumbing.files import atomic_path, locked, remove_stale_temporaries, temporary_beside
from results.records import Search

ACTORS = "runs "  # what Ray's names of the actors begin with
ANSWER_SECONDS = 10.0  # after which a node is believed to offer nothing
ASKED_AT_ONCE = 4  # of the nodes, each look other ones: all asking all would be too much for a large cluster
FEATURES = "features"

Answer = TypeVar("Answer")


class Runs(Folder):
    """A node's `--runs`, for other nodes."""

    def __init__(self, runs: Path) -> None:
        super().__init__(runs / FEATURES)
        self.runs = runs

    def now(self) -> float:
        """This node's time, seconds of the epoch."""
        return time.time()

    def has(self, file: str, written: int) -> bool:
        """Whether there is such a file below the folder, written then: nanoseconds of the epoch."""
        path = self.runs / file
        return path.exists() and path.stat().st_mtime_ns == written

    def keep(self, file: str, written: int, content: bytes) -> None:
        """Write a file below the folder that another node wrote then: nanoseconds of the epoch.

        Raises: OSError.
        """
        with atomic_path(self.runs / file) as temporary:
            temporary.write_bytes(content)
            os.utime(temporary, ns=(written, written))


@dataclass(frozen=True)
class Home:
    """The driver's folder, as its workers know it.

    Attributes:
        runs: the folder's path, on all nodes. seen: a file there, by which a node that shares the folder knows it.
        models: where the search's models are kept, below the folder. created: when the search was, seconds of the
            epoch. actor: of `Runs`, at the driver.
    """

    runs: Path
    seen: Path
    models: Path
    created: float
    actor: Any


@contextmanager
def open_home(runs: Path, models: Path, search: Search) -> Iterator[Home]:
    """The driver's folder, open to its workers while the block runs.

    Args:
        models: where the search's models are kept, within the folder.
    """
    runs.mkdir(parents=True, exist_ok=True)
    place = runs.absolute()  # not resolved: a link may lead elsewhere on other nodes
    seen = temporary_beside(place / "seen")  # named so that the next search removes what a kill leaves
    seen.touch()
    try:
        with _acting(place) as actor:
            created = datetime.fromisoformat(search.created).timestamp()
            yield Home(place, seen, models.relative_to(runs), created, actor)
    finally:
        seen.unlink(missing_ok=True)


@contextmanager
def exchanging(home: Home) -> Iterator["Exchange | None"]:
    """What a node does beside its worker while the block runs; None where it sees the driver's folder."""
    if home.seen.exists():
        yield None
        return
    print(f"worker: {home.runs} is this node's own; features are fetched, models sent", file=sys.stderr)
    home.runs.mkdir(parents=True, exist_ok=True)
    remove_stale_temporaries(home.runs)
    with _acting(home.runs):
        yield Exchange(home)


class Exchange:
    """What a node with a folder of its own sends and fetches."""

    def __init__(self, home: Home) -> None:
        self.home, self.since = home, time.time()
        self.models = home.runs / home.models
        ahead = self._asked(home.actor.now.remote()) - time.time()
        self._created = home.created - ahead  # by this node's clock; older models are another search's
        self._sent: set[tuple[Path, int]] = set()
        self._next_peer = 0

    def send(self) -> None:
        """Send the models home that were written on this node and are not there yet.

        Raises: OSError where one cannot be written there.
        """
        for path in self.models.glob("[0-9]*.keras"):
            try:
                written = path.stat().st_mtime_ns
            except FileNotFoundError:  # better ones came
                continue
            if written >= self._created * 1e9 and (path, written) not in self._sent:
                with locked(self.models / "sending"):  # this node's workers, one after another
                    self._send(path, written)
                self._sent.add((path, written))

    def _send(self, path: Path, written: int) -> None:
        file, actor = str(path.relative_to(self.home.runs)), self.home.actor
        if self._asked(actor.has.remote(file, written)):
            return
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return
        self._asked(actor.keep.remote(file, written, content))

    def _asked(self, asked: Any) -> Any:
        """The driver's answer.

        Raises: OSError that says where.
        """
        try:
            return _got(asked)
        except OSError as error:
            place = f"{error.filename or self.home.runs} at the driver"
            raise OSError(error.errno, error.strerror or str(error), place) from None

    def fetch(self) -> None:
        """Fetch some of the features that are being made here, where others have them.

        Raises: OSError where they cannot be written.
        """
        folder, peers = self.home.runs / FEATURES, list[RayPeer]()
        for lacking in wanted(folder, self.since):
            peers = peers or self._peers()
            if fetch(folder, peers, lacking):
                return

    def _peers(self) -> list["RayPeer"]:
        """Some of the others; the next ones each time."""
        import ray

        own = ray.get_runtime_context().get_node_id()
        names = sorted(
            name for name in ray.util.list_named_actors() if name.startswith(ACTORS) and own not in name.split()
        )
        first = self._next_peer % max(len(names), 1)
        self._next_peer += ASKED_AT_ONCE
        found = []
        for name in (names[first:] + names[:first])[:ASKED_AT_ONCE]:
            with suppress(ValueError):  # gone since
                found.append(RayPeer(ray.get_actor(name)))
        return found


class RayPeer:
    """The features of another node, behind its actor."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def offered(self, wanted: Batches) -> Batches:
        """Those of the wanted batches that are there; none where the node is gone or silent."""
        return _answer(self.actor.offered.remote(wanted), Batches(wanted.file, ()))

    def read(self, offered: Batches) -> Mapping[int, Batch]:
        """The batches by number; none where the node is gone or silent."""
        return _answer(self.actor.read.remote(offered), {})


def _answer(asked: Any, otherwise: Answer) -> Answer:
    import ray

    try:
        answer: Answer = _got(asked, ANSWER_SECONDS)
    except (ray.exceptions.RayError, OSError):
        return otherwise
    return answer


def _got(asked: Any, timeout: float | None = None) -> Any:
    """An actor's answer, waited for in another thread: while a task's own waits, Ray lends its CPUs to other tasks.

    Raises: what the actor raised; ray.exceptions.RayError where there is no answer.
    """
    import ray

    with ThreadPoolExecutor(1) as waiting:
        try:
            return waiting.submit(ray.get, asked, timeout=timeout).result()
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None


@contextmanager
def _acting(runs: Path) -> Iterator[Any]:
    """An actor on this node for its folder while the block runs; its name holds the node's, so that others find it."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    made = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Runs).options(
        name=f"{ACTORS}{node} {uuid.uuid4().hex}", scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
    )
    actor: Any = made.remote(runs)
    try:
        yield actor
    finally:
        ray.kill(actor)
