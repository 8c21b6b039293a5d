"""What workers, PostgreSQL and Ray cost a search that needs none of them.

A frozen search with its features ready (efficientnet_lite0, random weights, 128 px, XR_HAND, no augmentation, 50 trials
x 20 epochs). Sides take turns; each is compared with the plain command of the same turn, which is compared with the
code from before there were workers. All must find the same trials.

    python -m benchmarks.overhead [--rounds N] [--trials N]
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.common import RADIOGRAPHS, REPOSITORY, save
from benchmarks.scale import real_server
from results import schema
from results.store import Store
from tests.postgres import Server

BEFORE_WORKERS = "9cef765"
PLAIN, BEFORE, POSTGRESQL, TWO, RAY = "plain", "before workers", "PostgreSQL", "--workers 2", "--ray local, 1 worker"
SIDES = {BEFORE: [], PLAIN: [], POSTGRESQL: [], TWO: ["--workers", "2"], RAY: ["--ray", "local", "--workers", "1"]}
COMPARED = {PLAIN: BEFORE, POSTGRESQL: PLAIN, TWO: PLAIN, RAY: PLAIN}
SPACE = '[all]\nfrozen = "all"\naugmentation = "no"\n'


@dataclass(frozen=True)
class Ended:
    """A search that ended.

    Attributes:
        seconds: of the whole command. training: from the first claim to the last result; None before workers.
        first_claim: seconds from the command's start; None before workers.
        values: of its trials, by number.
    """

    seconds: float
    first_claim: float | None
    training: float | None
    values: tuple[float | None, ...]


def main() -> None:
    """Measure, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=50)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    found: dict[str, list[Ended]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as name, real_server() as server:
        folder = Path(name)
        _unpack(BEFORE_WORKERS, folder / "before")
        for side in (BEFORE, PLAIN):
            _search(folder, server, side, "ready", 1)  # features
        for turn in range(given.rounds):
            for side in list(SIDES)[:: -1 if turn % 2 else 1]:
                found[side].append(_search(folder, server, side, f"turn-{turn}", given.trials))
                print(side, f"{found[side][-1].seconds:.2f} s", file=sys.stderr)
    assert len({each.values for sides in found.values() for each in sides}) == 1, "trials differ"
    save("overhead", {"load before, and after": [load, os.getloadavg()[0]], **figures(found, given.trials)})


def figures(found: dict[str, list[Ended]], trials: int) -> dict[str, Any]:
    """Seconds, ratios of pairs, and where the time went."""
    told: dict[str, Any] = {"trials": trials, "rounds": len(found[PLAIN])}
    for side, sides in found.items():
        told[side] = {"seconds": _spread([each.seconds for each in sides], "s")}
        if side in COMPARED:
            pairs = zip(sides, found[COMPARED[side]], strict=True)
            ratios = [100 * (ours.seconds / other.seconds - 1) for ours, other in pairs]
            told[side][f"more than {COMPARED[side]}"] = _spread(ratios, "%")
        if side != BEFORE:
            told[side]["until the first claim"] = _spread([each.first_claim or 0.0 for each in sides], "s")
            told[side]["from then to the last result"] = _spread([each.training or 0.0 for each in sides], "s")
    told["seconds until a worker's first claim"] = statistics.median(each.first_claim or 0.0 for each in found[TWO])
    return told


def _spread(values: Sequence[float], unit: str) -> str:
    return f"{statistics.median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f})"


def _unpack(commit: str, folder: Path) -> None:
    """The code as it was."""
    packed = subprocess.run(["git", "archive", commit], cwd=REPOSITORY, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def _search(folder: Path, server: Server, side: str, name: str, trials: int) -> Ended:
    """One search in a store of its own."""
    if side == POSTGRESQL:
        with server.database() as url:
            return _run(folder, side, name, trials, url)
    return _run(folder, side, name, trials, f"sqlite:///{folder / f'{side} {name}.db'.replace(' ', '_')}")


def _run(folder: Path, side: str, name: str, trials: int, url: str) -> Ended:
    (space := folder / "space.toml").write_text(SPACE)
    code, runs = (folder / "before", folder / "runs-before") if side == BEFORE else (REPOSITORY, folder / "runs")
    options = [
        "--part",
        "XR_HAND",
        "--data",
        RADIOGRAPHS,
        "--architecture",
        "efficientnet_lite0",
        "--weights",
        "random",
    ]
    options += ["--image-size", 128, "--space", space, "--trials", trials, "--runs", runs, "--store", url]
    begun = time.time()
    ended = subprocess.run(
        [sys.executable, "-m", "search.run", *map(str, options), "--name", name, *SIDES[side]],
        cwd=code,
        env={**os.environ, "PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.time() - begun
    if ended.returncode != 0:
        sys.exit(f"{side}: {ended.stderr}")
    return _told(url, seconds, begun, with_claims=side != BEFORE)


def _told(url: str, seconds: float, begun: float, with_claims: bool) -> Ended:
    with closing(Store.open(url)) as store:
        values = tuple(trial.value for trial in store.trials())
        if not with_claims:
            return Ended(seconds, None, None, values)
        claims = schema.claims.c
        query = sa.select(sa.func.min(claims.claimed), sa.func.max(claims.ended))
        first, last = store.read(lambda connection: connection.execute(query).one())
    return Ended(seconds, first - begun, last - first, values)


if __name__ == "__main__":
    main()
