"""A real Ray node that does not see the driver's `--runs`: features come to it, models come from it."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from results.records import FINISHED
from results.store import Store
from tests.search.conftest import Searcher
from tests.search.workers.ray_nodes import PATIENCE, RayNodes, start, states, wait_for

pytestmark = pytest.mark.slow

# Read by every Python process: workers begin together and extract slowly, so that what others have comes in time.
SITECUSTOMIZE = """
import sys
if "search.worker" in sys.orig_argv:
    import fcntl, os, time
    from pathlib import Path
    import features.cache as cache
    import search.loop as loop
    extract, run_search = cache.extract, loop.run_search
    def slowly(*given):
        for each in extract(*given):
            time.sleep(1)
            yield each
    def together(*given):
        here = Path(__file__).parent
        (here / f"{os.getpid()}.begun").touch()
        lock = open(Path(sys.argv[sys.argv.index("--runs") + 1]) / "one", "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            (here / "two on one processor").touch()
        while len(list(here.glob("*.begun"))) < WORKERS:
            time.sleep(0.05)
        ran = run_search(*given)
        lock.close()
        return ran
    cache.extract, loop.run_search = slowly, together
"""


def slow_workers(folder: Path, workers: int) -> str:
    """A PYTHONPATH of such workers."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE.replace("WORKERS", str(workers)))
    return str(folder)


def has_mount_namespaces() -> bool:
    try:
        return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def files(runs: Path, pattern: str) -> dict[Path, bytes]:
    """Name below the folder -> content, of features."""
    return {path.relative_to(runs): path.read_bytes() for path in sorted((runs / "features").rglob(pattern))}


def extracted(runs: Path) -> bytes:
    """How often each batch of all views was extracted there."""
    return b"".join(files(runs, "batches").values())


@pytest.fixture
def shut() -> Iterator[list[RayNodes]]:
    """Clusters to be ended."""
    clusters: list[RayNodes] = []
    yield clusters
    for each in clusters:
        each.close()


def nodes_with_folders(searcher: Searcher, count: int, known_backbones: Path) -> tuple[RayNodes, list[Path]]:
    """So many nodes, each with a folder of its own over the searcher's runs."""
    own = [searcher.folder / f"own{number}" for number in range(count)]
    for folder in own:
        shutil.copytree(known_backbones, folder / "backbones")
    return RayNodes(tuple(own), searcher.runs), own


def command(searcher: Searcher, shared: Path, *more: object) -> list[str]:
    """A search of real radiographs whose trials are heads on one view."""
    space = searcher.space(frozen="all", optimizer="adam", units=0, augmentation="no")
    return searcher.arguments("--part", "XR_HAND", "--data", shared / "radiographs", "--space", space, *more)


def kept_models(searcher: Searcher, name: str) -> list[Path]:
    with closing(Store.open(searcher.store)) as store:
        search = store.search(name)
        assert search is not None
        return [Path(trial.model_path) for trial in store.trials(search.id) if trial.model_path is not None]


needs_mounts = pytest.mark.skipif(
    not has_mount_namespaces(), reason="mount namespaces are root's on Linux (unshare -m)"
)


@needs_mounts
def test_features_come_from_the_driver_and_models_come_home(
    searcher: Searcher, other: Searcher, shared: Path, known_backbones: Path, tmp_path: Path, shut: list[RayNodes]
) -> None:
    searcher.know(known_backbones)
    other.know(known_backbones)
    nodes, (own,) = nodes_with_folders(searcher, 1, known_backbones)
    shut.append(nodes)
    first = searcher.apart(*command(searcher, shared, "--trials", 1, "--name", "first"))
    assert first.code == 0, first.err  # the driver's machine has all features

    of_node = ("--trials", 4, "--keep-models", 2, "--ray", nodes.address, "--workers", 1)
    with start(command(searcher, shared, *of_node), PYTHONPATH=slow_workers(tmp_path / "slow", 1)) as driver:
        _, err = driver.communicate(timeout=PATIENCE)

    assert driver.returncode == 0, err
    assert f"{searcher.runs} is this node's own; features are fetched, models sent" in err
    assert files(own, "*.f32*") == files(searcher.runs, "*.f32*")
    assert len(files(own, "*.f32")) == 3  # train, valid, test
    by_driver, by_node = extracted(searcher.runs), extracted(own)
    assert set(by_driver) == {1}
    assert sum(by_node) < len(by_driver) / 2  # what it extracted itself, until the others' came

    kept = kept_models(searcher, "XR_HAND-optuna")
    assert len(kept) == 2
    assert sorted(kept[0].parent.glob("*.keras")) == sorted(kept)
    for path in kept:
        assert path.read_bytes() == (own / path.relative_to(searcher.runs)).read_bytes()
    assert not list(searcher.runs.glob(".tmp-*"))
    assert other.apart(*command(other, shared, "--trials", 4, "--keep-models", 2)).code == 0
    assert other.trials() == [trial for trial in searcher.trials() if trial["search"] != "first"]


@needs_mounts
def test_nodes_complete_one_another_and_send_after_an_interruption_what_had_not_come_home(
    searcher: Searcher, other: Searcher, shared: Path, known_backbones: Path, tmp_path: Path, shut: list[RayNodes]
) -> None:
    searcher.know(known_backbones)
    other.know(known_backbones)
    nodes, own = nodes_with_folders(searcher, 2, known_backbones)
    shut.append(nodes)
    arguments = command(searcher, shared, "--trials", 8, "--keep-models", 8, "--ray", nodes.address, "--workers", 3)

    with start(arguments, PYTHONPATH=slow_workers(tmp_path / "slow", 2)) as driver:
        wait_for("trials", lambda: states(searcher.store).count(FINISHED) >= 3, driver)
        driver.send_signal(signal.SIGINT)
        driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 130
    assert not (tmp_path / "slow" / "two on one processor").exists()  # the third waits for a place
    with start(arguments) as resumed:
        _, err = resumed.communicate(timeout=PATIENCE)
    assert resumed.returncode == 0, err

    alone = other.apart(*command(other, shared, "--trials", 8, "--keep-models", 8))
    assert alone.code == 0, alone.err
    assert other.trials() == searcher.trials()
    assert files(own[0], "*.f32") == files(own[1], "*.f32") == files(other.runs, "*.f32")
    by_nodes = [extracted(folder) for folder in own]
    assert sum(map(sum, by_nodes)) < 1.6 * len(extracted(other.runs))  # each on its own would make it 2

    kept = kept_models(searcher, "XR_HAND-optuna")
    assert len(kept) == 8
    assert sorted(kept[0].parent.glob("*.keras")) == sorted(kept)
    for path in kept:
        places = [folder / path.relative_to(searcher.runs) for folder in own]
        assert path.read_bytes() in [place.read_bytes() for place in places if place.exists()]
