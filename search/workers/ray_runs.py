"""Nodes that do not see the driver's `--runs`: features and models travel through Ray's object store.

The driver offers the features of its folder. So does each node whose folder is its own, and while its worker trains it
fetches what files there lack and others have, where that is worth the way (features/exchange.py), and sends each model
that is kept there home to the driver. A node that is lost offers nothing more.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from features.exchange import Batches, Folder, fetch
from plumbing.files import atomic_path, temporary_beside

NAMED = "features of "  # Ray's names of the actors that offer
SECONDS = 30.0  # after which a node is believed to offer nothing
FEATURES = "features"

Answer = TypeVar("Answer")


class Runs(Folder):
    """A node's `--runs`, for other nodes."""

    def __init__(self, runs: Path) -> None:
        super().__init__(runs / FEATURES)
        self.runs = runs

    def keep(self, file: str, content: bytes) -> None:
        """Write a file that another node made; `file` is its path below the folder.

        Raises: OSError.
        """
        with atomic_path(self.runs / file) as temporary:
            temporary.write_bytes(content)


@dataclass(frozen=True)
class Home:
    """The driver's folder, as its workers know it.

    Attributes:
        runs: the folder. seen: a file there, by which a node that shares the folder knows that it does.
        models: where the search's models are kept, below the folder. actor: of `Runs`.
    """

    runs: Path
    seen: Path
    models: Path
    actor: Any


class RayPeer:
    """The features of another node, behind its actor."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def offered(self, wanted: Batches) -> Batches:
        """Those of the wanted batches that are there; none where the node is gone or silent."""
        return _answer(self.actor.offered.remote(wanted), Batches(wanted.file, ()))

    def read(self, offered: Batches) -> Mapping[int, bytes]:
        """Number and features of each batch; none where the node is gone or silent."""
        return _answer(self.actor.read.remote(offered), {})


def _answer(asked: Any, otherwise: Answer) -> Answer:
    import ray

    try:
        answer: Answer = ray.get(asked, timeout=SECONDS)
    except (ray.exceptions.RayError, TimeoutError):
        return otherwise
    return answer


@contextmanager
def home(runs: Path, models: Path) -> Iterator[Home]:
    """The driver's folder, open to its workers while the block runs.

    Args:
        models: where the search's models are kept, in the folder.
    """
    runs.mkdir(parents=True, exist_ok=True)
    place = runs.resolve()
    seen = temporary_beside(place / "seen")  # named so that the next search removes what a kill leaves
    seen.touch()
    try:
        with _offered("the driver", place) as actor:
            yield Home(place, seen, models.resolve().relative_to(place), actor)
    finally:
        seen.unlink(missing_ok=True)


@contextmanager
def exchange(home: Home, label: str) -> Iterator[Callable[[], None]]:
    """On a node, what to call now and then while its worker runs, and once after; it does nothing where all is shared.

    Raises: OSError where a file cannot be written, here or at home.
    """
    if home.seen.exists():
        yield lambda: None
        return
    print(f"worker: {home.runs} is this node's own; features are fetched, models sent", file=sys.stderr)
    models = Models(home)
    with _offered(label, home.runs):

        def both() -> None:
            models.send()
            fetch(home.runs / FEATURES, partial(_peers, label))

        yield both


class Models:
    """The search's models on this node that were written since; those of before may be another search's."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._sent = self._kept()

    def send(self) -> None:
        """Send home what was not sent yet.

        Raises: OSError where it cannot be written there.
        """
        import ray

        for path, written in self._kept().items():
            if self._sent.get(path) == written:
                continue
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # better ones came
                continue
            file = self.home.models / path.name
            try:
                ray.get(self.home.actor.keep.remote(str(file), content))
            except OSError as error:  # as Ray passes it on from the driver's machine
                reason = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
                raise OSError(reason.errno, reason.strerror, f"{self.home.runs / file} at the driver") from None
            self._sent[path] = written

    def _kept(self) -> dict[Path, tuple[int, int]]:
        """Path -> what tells one writing of it from another."""
        told = {}
        for path in (self.home.runs / self.home.models).glob("[0-9]*.keras"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            told[path] = (status.st_mtime_ns, status.st_ino)
        return told


@contextmanager
def _offered(name: str, runs: Path) -> Iterator[Any]:
    """An actor on this node, to be asked for under a name while the block runs."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    made = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Runs)
    actor: Any = made.options(name=f"{NAMED}{name}", scheduling_strategy=here).remote(runs)
    try:
        yield actor
    finally:
        ray.kill(actor)


def _peers(label: str) -> list[RayPeer]:
    """All that offer, but for the worker itself."""
    import ray

    names = [name for name in ray.util.list_named_actors() if name.startswith(NAMED) and name != f"{NAMED}{label}"]
    peers = []
    for name in names:
        try:
            peers.append(RayPeer(ray.get_actor(name)))
        except ValueError:  # gone since
            continue
    return peers
