"""Searches on real Ray clusters of several nodes on this machine: nodes and drivers are lost, trials are not."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from results.records import FINISHED
from results.store import Store
from tests.search.conftest import REPOSITORY, Searcher
from tests.search.workers.ray_nodes import PATIENCE, RayNodes, start, states, wait_for

pytestmark = pytest.mark.slow
Capsys = pytest.CaptureFixture[str]
TRIALS = 24


@pytest.fixture
def nodes() -> Iterator[RayNodes]:
    found = RayNodes()
    yield found
    found.close()


def command(searcher: Searcher, shared: Path, *more: object) -> list[str]:
    """A search of real radiographs whose trials are heads."""
    given = ("--part", "XR_HAND", "--data", shared / "radiographs", "--trials", TRIALS, "--image-size", 32)
    space = searcher.space(frozen="all", optimizer="adam", units=0, augmentation=["no", "light"])
    return searcher.arguments(*given, "--space", space, "--weights", "random", *more)


def test_search_on_two_nodes_survives_the_loss_of_one_and_then_of_its_driver(
    searcher: Searcher, other: Searcher, postgres_url: str, shared: Path, nodes: RayNodes, known_backbones: Path
) -> None:
    searcher.know(known_backbones)
    other.know(known_backbones)
    searcher.store = postgres_url
    arguments = command(searcher, shared, "--ray", nodes.address, "--workers", 2)

    with start(arguments) as driver:
        wait_for("trials", lambda: states(postgres_url).count(FINISHED) >= 4, driver)
        nodes.lose_one()
        at_loss = states(postgres_url).count(FINISHED)
        wait_for("trials after the loss", lambda: states(postgres_url).count(FINISHED) >= at_loss + 4, driver)
        driver.kill()
        driver.communicate()
    assert driver.returncode == -signal.SIGKILL
    at_kill = states(postgres_url).count(FINISHED)
    assert at_kill < TRIALS  # else this would prove nothing

    with start(arguments) as resumed:
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


def test_cluster_without_room_or_not_there_is_one_line_and_nothing_is_made(
    searcher: Searcher, capsys: Capsys, known_backbones: Path
) -> None:
    searcher.know(known_backbones)
    for asked, told in (
        (("--ray", "local", "--worker-gpus", 64), "no node has the 1 CPUs, 64 GPUs and 4 GiB of memory of a worker"),
        (("--ray", "127.0.0.1:1"), "--ray 127.0.0.1:1: no cluster there"),
        (("--ray", "ray://127.0.0.1:10001"), "Ray Client is not used here; run the command on a node of the cluster"),
    ):
        with start(searcher.arguments(*asked)) as process:
            _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 2, err
        (line,) = [line for line in err.splitlines() if line.startswith("search.run: ")]
        assert told in line
        assert not (searcher.folder / "results.db").exists()
