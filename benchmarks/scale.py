"""What a store and a scheduler bear: trials a second by 1, 8 and 64 client processes on a real PostgreSQL, Ray's delay.

Our store beside Optuna's RDBStorage on one server, each in an empty database, in turns; the server as it is by default,
so each commit waits for the disk (`fsync` on), but with room for the connections. Clients are processes, each with its
own connection; server and clients share this machine. Which writes what: benchmarks/scale_clients.py. Besides: what
proposals, looks at a long search and claims among a thousand workers take, for the simulation, and Ray's delay.

    python -m benchmarks.scale [--seconds S] [--rounds N] [--widths 1,8,64]
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import REPOSITORY, save
from benchmarks.scale_clients import (
    SEARCH,
    SIDES,
    Ours,
    Told,
    measure,
    new_trial,
    prepare,
    reading_milliseconds,
)
from results import claims
from results.records import FINISHED, Trial
from results.store import Store
from tests.postgres import Server, started_server

TRIALS_SIDES = ("ours", "Optuna's RDBStorage")
NEXT_NUMBER = "ours, all wanting the next number"
OTHER_ROUNDS = 1
SQLITE_WIDTH = 8
WIDTHS = (1, 8, 64)
KNOWN = (10, 100, 1000)
CONNECTIONS = 300
EMPTY_TASKS = 100


def main() -> None:
    """Measure all and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--widths", type=lambda text: tuple(map(int, text.split(","))), default=WIDTHS)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    with real_server() as server:
        figures: dict[str, Any] = {"store": stores(server, given.widths, given.rounds, given.seconds)}
        figures |= {"one client": one_client(server)}
    figures |= {f"SQLite, {SQLITE_WIDTH} clients all wanting the next number": on_sqlite(SQLITE_WIDTH, given.seconds)}
    figures |= {"proposal, ms by known trials": proposals(), "ray": ray_delays()}
    save("scale", {"load before, and after": [load, os.getloadavg()[0]], "seconds": given.seconds, **figures})


@contextmanager
def real_server() -> Iterator[Server]:
    """A server that loses nothing in a power cut, unlike that of the tests, with room for all connections."""
    with started_server() as server:
        server.run("ALTER SYSTEM RESET fsync", f"ALTER SYSTEM SET max_connections = {CONNECTIONS}")
        server.stop()
        server.start()
        assert server.run("SHOW fsync") == [("on",)]
        yield server


def stores(server: Server, widths: Sequence[int], rounds: int, seconds: float) -> dict[str, Any]:
    """All sides at all widths in turns."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for turn in range(rounds):
        for width in widths:
            for side in list(SIDES)[:: -1 if turn % 2 else 1]:
                if side in TRIALS_SIDES or turn < OTHER_ROUNDS:
                    start = time.perf_counter()
                    with server.database() as url:
                        run = one_turn(url, side, width, seconds, partial(_server_seconds, server))
                    found.setdefault((side, width), []).append(run)
                    took = f"{time.perf_counter() - start:.0f} s in all"
                    print(side, width, f"{found[side, width][-1]['rate']:.1f} a second, {took}", file=sys.stderr)
    told: dict[str, Any] = {
        side: {f"{width} clients": summary(found[side, width]) for width in widths} for side in SIDES
    }
    pairs = {width: zip(*(found[side, width] for side in TRIALS_SIDES), strict=True) for width in widths}
    ratios = {width: sorted(ours["rate"] / theirs["rate"] for ours, theirs in pairs[width]) for width in widths}
    told["ours over Optuna's"] = {
        f"{width} clients": f"{statistics.median(each):.2f}x ({each[0]:.2f}-{each[-1]:.2f}, {rounds} pairs)"
        for width, each in ratios.items()
    }
    return told


def on_sqlite(width: int, seconds: float) -> dict[str, Any]:
    """Processes that all want the next number of a SQLite store, where there are no turns."""
    with tempfile.TemporaryDirectory(dir=REPOSITORY) as folder:  # a temporary folder may be memory
        url = f"sqlite:///{folder}/results.db"
        return summary([one_turn(url, NEXT_NUMBER, width, seconds, lambda: 0.0)])


def one_turn(url: str, side: str, width: int, seconds: float, server_seconds: Callable[[], float]) -> dict[str, Any]:
    """Trials a second, processor time a trial of clients and of the server, milliseconds of each operation."""
    prepare(url, side)
    taken, used, told = measure(url, side, width, seconds, server_seconds)
    trials = sum(each.trials for each in told)
    names = sorted({name for each in told for name in each.milliseconds})
    return {
        "rate": trials / taken,
        "client": 1e3 * sum(each.processor_seconds for each in told) / max(trials, 1),
        "server": 1e3 * used / max(trials, 1),
        "lost": sum(len(each.milliseconds.get("claim lost", ())) for each in told) / max(trials, 1),
        "ms": {name: [ms for each in told for ms in each.milliseconds.get(name, ())] for name in names},
    }


def summary(turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of several turns: the median rate and its range; quantiles of all operations of all turns."""
    rates = sorted(turn["rate"] for turn in turns)
    names = sorted({name for turn in turns for name in turn["ms"]})
    each = {name: [ms for turn in turns for ms in turn["ms"].get(name, ())] for name in names}
    return {
        "a second": round(statistics.median(rates), 1),
        "range": [round(rates[0], 1), round(rates[-1], 1)],
        "processor ms, clients": round(statistics.median(turn["client"] for turn in turns), 2),
        "processor ms, server": round(statistics.median(turn["server"] for turn in turns), 2),
        "claims lost a trial": round(statistics.median(turn["lost"] for turn in turns), 2),
        "ms, median and 99th percentile": {
            name: [round(float(np.percentile(values, share)), 2) for share in (50, 99)]
            for name, values in each.items()
            if values
        },
    }


def _server_seconds(server: Server) -> float:
    """Processor time of the server's processes that run."""
    main = (server.folder / "postmaster.pid").read_text().splitlines()[0]
    stats = (path.read_text().rpartition(")")[2].split() for path in _processes())
    ticks = sum(int(each[11]) + int(each[12]) for each in stats if each[1] == main)
    return ticks / os.sysconf("SC_CLK_TCK")


def _processes() -> Iterator[Path]:
    for folder in Path("/proc").glob("[0-9]*"):
        if (path := folder / "stat").exists():
            yield path


def one_client(server: Server) -> dict[str, Any]:
    """What a single client's operations take where the search is long, or has many workers."""
    with server.database() as url:
        prepare(url, "ours")
        client = Ours(url, 0, 1)
        try:
            for _ in range(max(KNOWN)):
                client.trial(Told())
            looks, histories = reading_milliseconds(client.store, client.search_id, KNOWN)
            by_workers = {}
            for workers in (1, *KNOWN):
                _join_more(client.store, client.search_id, workers)
                told = Told()
                for _ in range(30):
                    client.trial(told)
                by_workers[workers] = round(statistics.median(told.milliseconds["claim"]), 2)
        finally:
            client.close()
    return {
        "look, ms by trials read": looks,
        "histories, ms by trials read": histories,
        "claim, ms by workers of the search": by_workers,
    }


def _join_more(store: Store, search_id: int, workers: int) -> None:
    """Let the search have so many workers, which live."""
    there = len(store.read(lambda connection: claims.workers(connection, search_id)))
    store.write(lambda connection: [claims.join(connection, search_id, 1e9) for _ in range(workers - there)])


def proposals() -> dict[int, float]:
    """Milliseconds of one proposal by TPE in the space of all architectures, by how many trials it knows; medians."""
    from search.engines import Request, engine_module
    from spaces import ARCHITECTURES
    from spaces.declaration import draw
    from spaces.narrowing import make_space

    found = {}
    for known in KNOWN:
        with tempfile.TemporaryDirectory() as folder:
            space = make_space(ARCHITECTURES, {}, cheap_cuts=True)
            engine = engine_module("optuna").make(
                Request(f"sqlite:///{folder}/store.db", Path(folder), SEARCH, space, "tpe", "none", "val_auc", 0, 4, 20,
                        fresh=True)
            )  # fmt: skip
            with closing(engine):
                begun: dict[int, Any] = {}
                generator = np.random.default_rng(0)
                for number in range(known):
                    begun[number] = draw(space, generator)
                    value = float(generator.random())
                    engine.tell(replace(ended_trial(number), configuration=begun[number], value=value), [value])
                times = []
                for _ in range(9):
                    start = time.perf_counter()
                    assert engine.propose_one(known, set(range(known)), begun) is not None
                    times.append(1e3 * (time.perf_counter() - start))
        found[known] = round(statistics.median(times[1:]), 1)
    return found


def ended_trial(number: int) -> Trial:
    """A finished trial as an engine is told of it."""
    new = new_trial(number)
    blank: dict[str, Any] = dict.fromkeys(Trial.__dataclass_fields__)
    told = {name: getattr(new, name) for name in new.__dataclass_fields__}
    return Trial(**blank | told | {"id": number + 1, "search_id": 1, "state": FINISHED, "created": ""})


def ray_delays() -> dict[str, Any]:
    """Milliseconds from the submission of an empty task to its start, and what starting Ray takes."""
    import ray

    start = time.time()
    ray.init(address="local", include_dashboard=False, logging_level=logging.ERROR)
    try:
        up = time.time() - start
        task: Any = ray.remote(lambda: time.time())
        delays = []
        for _ in range(EMPTY_TASKS + 1):
            submitted = time.time()
            delays.append(1e3 * (ray.get(task.remote()) - submitted))
    finally:
        ray.shutdown()
    return {
        "seconds until Ray is up": round(up, 2),
        "ms until the first task starts": round(delays[0]),
        "ms until a later task starts, median and 99th percentile": [
            round(float(np.percentile(delays[1:], share)), 2) for share in (50, 99)
        ],
    }


if __name__ == "__main__":
    main()
