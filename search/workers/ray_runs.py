"""Nodes that do not see the driver's `--runs`: features and models travel through Ray's object store.

The driver offers the features of its folder. So does each node whose folder is its own, and while its worker trains it
fetches what that lacks and others have, where it is worth the way (features/exchange.py), and sends each model that is
kept there home to the driver. A node that is lost offers nothing more.
"""

import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from features.exchange import Batch, Batches, Folder, fetch, wanted
from plumbing.files import atomic_path, remove_stale_temporaries, temporary_beside
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

    def has(self, file: str) -> bool:
        """Whether there is such a file below the folder."""
        return (self.runs / file).exists()

    def keep(self, file: str, content: bytes) -> None:
        """Write a file below the folder that another node made.

        Raises: OSError.
        """
        with atomic_path(self.runs / file) as temporary:
            temporary.write_bytes(content)


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
        with _acting(place) as (actor, _):
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
    with _acting(home.runs) as (_, name):
        yield Exchange(home, name)


class Exchange:
    """What a node with a folder of its own sends and fetches.

    Args:
        name: of its own actor.
    """

    def __init__(self, home: Home, name: str) -> None:
        self.home, self.name = home, name
        self.since = time.time()
        self._sent = {path: kept for path, kept in self._kept().items() if not self._is_unsent(path, kept)}
        self._asked = 0

    def send(self) -> None:
        """Send the models home that were written here and not sent yet.

        Raises: OSError where one cannot be written there.
        """
        import ray

        for path, kept in self._kept().items():
            if self._sent.get(path) == kept:
                continue
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # better ones came
                continue
            try:
                ray.get(self.home.actor.keep.remote(self._file(path), content))
            except OSError as error:  # as Ray passes it on
                reason = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
                raise OSError(reason.errno, reason.strerror, f"{path} at the driver") from None
            self._sent[path] = kept

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

        names = sorted(name for name in ray.util.list_named_actors() if name.startswith(ACTORS) and name != self.name)
        first = self._asked % max(len(names), 1)
        self._asked += ASKED_AT_ONCE
        found = []
        for name in (names[first:] + names[:first])[:ASKED_AT_ONCE]:
            try:
                found.append(RayPeer(ray.get_actor(name)))
            except ValueError:  # gone since
                continue
        return found

    def _kept(self) -> dict[Path, tuple[float, int]]:
        """The models here: path -> when it was written, and which file it is."""
        kept = {}
        for path in (self.home.runs / self.home.models).glob("[0-9]*.keras"):
            try:
                status = path.stat()
            except FileNotFoundError:  # better ones came
                continue
            kept[path] = (status.st_mtime, status.st_ino)
        return kept

    def _is_unsent(self, path: Path, kept: tuple[float, int]) -> bool:
        """Whether a model that was here before is the search's, and never came home: who wrote it was killed."""
        import ray

        written, _ = kept
        return written >= self.home.created and not ray.get(self.home.actor.has.remote(self._file(path)))

    def _file(self, path: Path) -> str:
        return str(path.relative_to(self.home.runs))


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
        answer: Answer = ray.get(asked, timeout=ANSWER_SECONDS)
    except ray.exceptions.RayError:
        return otherwise
    return answer


@contextmanager
def _acting(runs: Path) -> Iterator[tuple[Any, str]]:
    """An actor on this node for its folder while the block runs, and the name by which others find it."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    name = f"{ACTORS}{uuid.uuid4().hex}"
    made = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Runs)
    actor: Any = made.options(name=name, scheduling_strategy=here).remote(runs)
    try:
        yield actor, name
    finally:
        ray.kill(actor)
