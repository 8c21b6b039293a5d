"""Searches on real Ray clusters of several nodes on this machine: nodes and drivers are lost, trials are not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from results.records import FINISHED
from results.store import Store
from tests.search.conftest import REPOSITORY, Searcher

pytestmark = pytest.mark.slow
Capsys = pytest.CaptureFixture[str]
PATIENCE = 240  # seconds
TRIALS = 24

# A process of its own holds the cluster, so that Ray is not loaded into the tests'; each line it is given loses a node.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1, memory=5 * 2**30, object_store_memory=80 * 2**20) for _ in range(2)]
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(nodes.pop(), allow_graceful=False)
    print("removed", flush=True)
cluster.shutdown()
"""


class RayNodes:
    """A cluster of a head without processors and two nodes of one each."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        )
        self.address = self._line()

    def lose_one(self) -> None:
        """A node is gone at once, as when its machine is."""
        assert self.process.stdin is not None
        self.process.stdin.write("lose\n")
        self.process.stdin.flush()
        assert self._line() == "removed"

    def _line(self) -> str:
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            if line.startswith("removed") or ":" in line.split()[-1]:
                return line.split()[-1]
        raise AssertionError("the cluster ended")


@pytest.fixture
def nodes() -> Iterator[RayNodes]:
    found = RayNodes()
    yield found
    found.process.communicate(timeout=240)


def command(searcher: Searcher, shared: Path, *more: object) -> list[str]:
    """A search of real radiographs whose trials are heads."""
    given = ("--part", "XR_HAND", "--data", shared / "radiographs", "--trials", TRIALS, "--image-size", 32)
    space = searcher.space(frozen="all", optimizer="adam", units=0, augmentation=["no", "light"])
    return searcher.arguments(*given, "--space", space, "--weights", "random", *more)


def states(store: str) -> list[str]:
    with closing(Store.open(store, create=True)) as opened:
        return [trial.state for trial in opened.trials()]


def wait_for(what: str, condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


def test_search_on_two_nodes_survives_the_loss_of_one_and_then_of_its_driver(
    searcher: Searcher, other: Searcher, postgres_url: str, shared: Path, nodes: RayNodes, known_backbones: Path
) -> None:
    searcher.know(known_backbones)
    other.know(known_backbones)
    searcher.store = postgres_url
    arguments = command(searcher, shared, "--ray", nodes.address, "--workers", 2)

    with start(arguments, {}) as driver:
        wait_for("trials", lambda: states(postgres_url).count(FINISHED) >= 4, driver)
        nodes.lose_one()
        at_loss = states(postgres_url).count(FINISHED)
        wait_for("trials after the loss", lambda: states(postgres_url).count(FINISHED) >= at_loss + 4, driver)
        driver.kill()
        driver.communicate()
    assert driver.returncode == -signal.SIGKILL
    at_kill = states(postgres_url).count(FINISHED)
    assert at_kill < TRIALS  # else this would prove nothing

    with start(arguments, {}) as resumed:
        _, err = resumed.communicate(timeout=PATIENCE)
    assert resumed.returncode == 0, err
    with closing(Store.open(postgres_url)) as store:
        trials = store.trials()
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert Counter(trial.state for trial in trials) == {FINISHED: TRIALS}
    assert len({json.dumps(trial.configuration, sort_keys=True) for trial in trials}) == TRIALS

    # One worker on one machine, left alone, comes to the same trials.
    alone = subprocess.run(
        [sys.executable, "-m", "search.run", *command(other, shared)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    assert searcher.trials() == other.trials()
    # The cache counts how often each batch of images was extracted; what a lost node had in hand is done again.
    counts = b"".join(path.read_bytes() for path in searcher.runs.rglob("batches"))
    assert set(counts) <= {1, 2}
    assert counts.count(2) <= 2


def start(arguments: list[str], environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "search.run", *arguments],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def test_cluster_without_room_or_not_there_is_one_line_and_nothing_is_made(
    searcher: Searcher, capsys: Capsys, known_backbones: Path
) -> None:
    searcher.know(known_backbones)
    for asked, told in (
        (("--ray", "local", "--worker-gpus", 64), "no node has the 1 CPUs, 64 GPUs and 4 GiB of memory of a worker"),
        (("--ray", "127.0.0.1:1"), "--ray 127.0.0.1:1: no cluster there"),
    ):
        with start(searcher.arguments(*asked), {}) as process:
            _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 2, err
        (line,) = [line for line in err.splitlines() if line.startswith("search.run: ")]
        assert told in line
        assert not (searcher.folder / "results.db").exists()
