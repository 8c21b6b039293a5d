"""Real Ray clusters of several nodes on this machine, whose nodes can be lost, or have a `--runs` of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from results.store import Store
from tests.search.conftest import REPOSITORY

PATIENCE = 240  # seconds

# A process of its own holds the cluster, so that Ray is not loaded into the tests'; each line it is given loses a node.
# A node of a folder of its own lives in a mount namespace in which another folder lies over the runs folder.
CLUSTER = """
import ctypes, subprocess, sys
from ray.cluster_utils import Cluster
runs, *own = sys.argv[1:]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = []
for folder in own:
    if folder:
        CLONE_NEWNS = 0x20000
        assert ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "--bind", folder, runs], check=True)
    nodes.append(cluster.add_node(num_cpus=1, memory=10 * 2**30, object_store_memory=80 * 2**20))
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(nodes.pop(), allow_graceful=False)
    print("removed", flush=True)
cluster.shutdown()
"""


class RayNodes:
    """A cluster of a head without processors and nodes of one each.

    Args:
        own: of each node, the folder that it has in the place of `runs`; empty where it sees `runs` itself, which none
            does after one that does not.
    """

    def __init__(self, own: tuple[Path | str, ...] = ("", ""), runs: Path | str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, str(runs), *map(str, own)],
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

    def close(self) -> None:
        """End all."""
        self.process.communicate(timeout=PATIENCE)

    def _line(self) -> str:
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            if line.startswith("removed") or ":" in line.split()[-1]:
                return line.split()[-1]
        raise AssertionError("the cluster ended")


def start(arguments: list[str], **environment: str) -> "subprocess.Popen[str]":
    """A search in a process of its own, with more in its environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "search.run", *arguments],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment,
    )  # fmt: skip


def states(store: str) -> list[str]:
    """Of all trials."""
    with closing(Store.open(store, create=True)) as opened:
        return [trial.state for trial in opened.trials()]


def wait_for(what: str, condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """While the process runs."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)
