"""`--ray ADDRESS|local`: workers as Ray tasks, each `search.worker` with the CPUs, GPUs and memory that it declares.

Ray places workers and tells when one ends; it keeps no state that matters. A node or driver that is lost costs what its
workers had under way since their last checkpoint: the store knows the rest, and the same command goes on.
"""

import logging
import math
import os
import random
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from plumbing.command import MENDABLE, surroundings
from plumbing.errors import UsageError
from plumbing.progress import console
from search.loop import SearchRun
from search.options import Options
from search.workers.coordinate import AWAY, LOOK_SECONDS, OWN, coordinate, remaining
from search.workers.limits import GIB, Share
from search.workers.local import LocalWorker, arguments, python_path
from search.workers.ray_runs import Home, exchanging, open_home

LOCAL = "local"
CONNECT_SECONDS = 10.0
CRASHED = 134  # any code but 0, 1, 2 and 130
KEPT_LINE = 2000  # characters of a worker's last line


@dataclass(frozen=True)
class Needs:
    """What a worker declares to Ray."""

    cpus: float
    gpus: float
    memory_gib: float

    def as_ray(self) -> dict[str, float]:
        """Ray's arguments."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": self.memory_gib * GIB}

    def __str__(self) -> str:
        return f"{self.cpus:g} CPUs, {self.gpus:g} GPUs and {self.memory_gib:g} GiB of memory"


def run_on_ray(run: SearchRun, options: Options) -> None:
    """Run the search by workers that Ray, which is `connected`, places.

    Never more workers are asked for than the search has trials left, so that a cluster that grows with what is asked
    does not grow for nothing.

    Raises: SearchFailed, UserError.
    """
    with open_home(options.runs, run.keeper.folder, run.search) as home:
        coordinate(run, partial(_start, run, options, _needs(options), home), options.workers)
    run.keeper.tidy()  # of models that nodes sent before better ones came
    if lost := run.keeper.lost():
        told = f"models that did not come from their nodes: {', '.join(lost)}; copy them there"
        console().print(told, soft_wrap=True, markup=False)


@contextmanager
def connected(options: Options) -> Iterator[None]:
    """Ray, found at `--ray`'s address or started on this machine, with room for a worker; nothing without `--ray`.

    Raises: UsageError where there is none, Ray is not installed, or no node can hold a worker.
    """
    if options.ray is None:
        yield
        return
    try:
        import ray
    except ImportError:
        raise UsageError(
            f"--ray {options.ray}: Ray is not installed; pip install ray, as requirements.txt has it"
        ) from None
    _check_address(options.ray)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is started here tells nobody
    try:
        ray.init(
            address=options.ray,
            logging_level=logging.ERROR,
            include_dashboard=False if options.ray == LOCAL else None,
            runtime_env={"env_vars": {"PYTHONPATH": python_path()}},
        )
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise _no_cluster(options.ray, error) from None
    try:
        check_room(_needs(options), options.ray)
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raises: UsageError where it is Ray Client's, or nobody listens there: Ray itself would try for minutes."""
    if address.startswith("ray://"):
        raise UsageError(
            f"--ray {address}: Ray Client is not used here; run the command on a node of the cluster, and give "
            "HOST:PORT of its head"
        )
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if address == LOCAL or not (port.isascii() and port.isdigit()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: Exception) -> UsageError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UsageError(
        f"--ray {address}: no cluster there: {reason}; give another address, or {LOCAL}, or RAY_AUTH_MODE=token in the "
        "environment where a cluster asks for its token"
    )


def _needs(options: Options) -> Needs:
    return Needs(options.worker_cpus, options.worker_gpus, options.worker_memory_gib)


def check_room(needs: Needs, address: str) -> None:
    """Raises: UsageError where no node of the cluster is large enough for a worker."""
    import ray

    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    nodes: list[dict[str, float]] = [node["Resources"] for node in found if node["Alive"]]
    if not any(_fits(needs, node) for node in nodes):
        largest = max(nodes, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)), default={})
        has = Needs(largest.get("CPU", 0), largest.get("GPU", 0), largest.get("memory", 0) / GIB)
        raise UsageError(
            f"--ray {address}: no node has the {needs} of a worker, the largest has {has.cpus:g} CPUs, "
            f"{has.gpus:g} GPUs and {has.memory_gib:.1f} GiB; give less by --worker-cpus, --worker-gpus, "
            "--worker-memory-gib"
        )


def _fits(needs: Needs, node: Mapping[str, float]) -> bool:
    enough = node.get("CPU", 0) >= needs.cpus and node.get("GPU", 0) >= needs.gpus
    return enough and node.get("memory", 0) >= needs.memory_gib * GIB


def _start(run: SearchRun, options: Options, needs: Needs, home: Home, place: int, label: str) -> "RayWorker":
    seconds = remaining(options.timeout, run.stopping.started)
    share = Share(memory_gib=None if needs.gpus else needs.memory_gib)  # the GPU is told by Ray, in the environment
    given = arguments(run.search.name, share, seconds, label)
    given += ["--runs", str(home.runs), "--begin-at", str(place / options.workers)]
    return RayWorker(label, needs, options.store, given, home)


class RayWorker:
    """A worker within a Ray task; it ends when the task does, because its standard input does."""

    def __init__(self, label: str, needs: Needs, store: str, given: list[str], home: Home) -> None:
        import ray

        self.label = label
        task = ray.remote(max_retries=0)(work).options(name=f"search.worker {label}", **needs.as_ray())
        self.task = task.remote(label, store, given, str(Path.cwd()), math.ceil(needs.cpus), home)
        self._said = ""
        self._told: Mapping[str, Any] | None = None

    def code(self) -> int | None:
        """None while it runs or waits for a place."""
        import ray

        ended, _ = ray.wait([self.task], timeout=0)
        if not ended:
            return None
        try:
            code, self._said, self._told = ray.get(self.task)
        except ray.exceptions.RayError as error:
            cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
            self._said = (str(cause).splitlines() or [type(cause).__name__])[0]
            lost = isinstance(cause, ray.exceptions.RayError)  # else the task itself failed
            return AWAY if lost and not isinstance(cause, ray.exceptions.OutOfMemoryError) else CRASHED
        return int(code)

    def said(self) -> str:
        """The last line of its stderr."""
        return self._said

    def told(self) -> Mapping[str, Any] | None:
        """What it said of itself."""
        return self._told

    def stop(self) -> None:
        """By force: the store takes its trials back."""
        import ray

        ray.cancel(self.task, force=True)


def some_cores(count: int) -> list[int]:
    """So many of this node's cores, drawn, as Ray counts CPUs but names none; all where there are no more."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return cores if len(cores) <= count else sorted(random.SystemRandom().sample(cores, count))


def work(
    label: str, store: str, given: list[str], folder: str, cpus: int, home: Home
) -> tuple[int, str, Mapping[str, Any] | None]:
    """Be a Ray task: run a worker to its end; its exit code, its last line of stderr, what it said of itself."""
    cores = some_cores(cpus)
    more = ["--cpus", ",".join(map(str, cores))] if cores else []
    worker = LocalWorker("worker", label, store, [*given, *more], Path(folder) if Path(folder).is_dir() else None)
    try:
        with exchanging(home) as exchange:
            while (code := worker.code()) is None:
                time.sleep(LOOK_SECONDS)
                if exchange is not None:
                    exchange.send()
                    exchange.fetch()
            if exchange is not None:
                exchange.send()
    except BaseException as error:
        worker.stop()
        if not isinstance(error, OSError) or error.errno not in MENDABLE:
            raise
        return 2, f"{OWN}{surroundings(error)}", None
    return code, worker.said()[:KEPT_LINE], worker.told() if code == 0 else None
