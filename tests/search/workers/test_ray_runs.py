"""A real Ray node that does not see the driver's `--runs`: features come to it, models come from it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from results.store import Store
from tests.search.conftest import Searcher
from tests.search.workers.ray_nodes import PATIENCE, RayNodes, start

pytestmark = pytest.mark.slow

# Read by every Python process: workers extract slowly, so that what comes from elsewhere comes in time.
SLOWLY = """
import sys
if "search.worker" in sys.orig_argv:
    import time
    import features.cache as cache
    extract = cache.extract
    def slowly(*given):
        for each in extract(*given):
            time.sleep(1)
            yield each
    cache.extract = slowly
"""


def has_mount_namespaces() -> bool:
    try:
        return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def files(runs: Path, pattern: str) -> dict[Path, bytes]:
    """Name below the folder -> content, of features."""
    return {path.relative_to(runs): path.read_bytes() for path in sorted((runs / "features").rglob(pattern))}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A node's own folder."""
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


@pytest.fixture
def node(searcher: Searcher, own: Path) -> Iterator[RayNodes]:
    searcher.runs.mkdir(parents=True)
    found = RayNodes((own,), searcher.runs)
    yield found
    found.close()


@pytest.mark.skipif(not has_mount_namespaces(), reason="mount namespaces are root's on Linux (unshare -m)")
def test_features_come_to_a_node_with_a_folder_of_its_own_and_models_come_home(
    searcher: Searcher, other: Searcher, shared: Path, node: RayNodes, own: Path, known_backbones: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOWLY)
    shutil.copytree(known_backbones, own / "backbones")
    searcher.know(known_backbones)
    other.know(known_backbones)
    space = searcher.space(frozen="all", optimizer="adam", units=0, augmentation="no")
    real = ("--part", "XR_HAND", "--data", shared / "radiographs", "--space", space, "--keep-models", 2)
    assert searcher.apart(*real, "--trials", 1, "--name", "first").code == 0  # the driver's machine has all features

    arguments = searcher.arguments(*real, "--trials", 4, "--ray", node.address, "--workers", 1)
    with start(arguments, PYTHONPATH=str(tmp_path)) as driver:
        _, err = driver.communicate(timeout=PATIENCE)

    assert driver.returncode == 0, err
    assert f"{searcher.runs} is this node's own; features are fetched, models sent" in err
    assert files(own, "*.f32*") == files(searcher.runs, "*.f32*")
    assert len(files(own, "*.f32")) == 3  # train, valid, test
    by_driver, by_node = (b"".join(files(folder, "batches").values()) for folder in (searcher.runs, own))
    assert set(by_driver) == {1}
    assert sum(by_node) < len(by_driver) / 2  # what it extracted itself, until the others' came

    with closing(Store.open(searcher.store)) as store:
        kept = [Path(trial.model_path) for trial in store.trials() if trial.model_path and trial.search_id == 2]
    assert len(kept) == 2
    assert sorted(path.name for path in kept[0].parent.glob("*.keras")) == sorted(path.name for path in kept)
    for path in kept:
        assert path.read_bytes() == (own / path.relative_to(searcher.runs)).read_bytes()
    assert not list(searcher.runs.glob(".tmp-*"))

    assert other.apart(*real, "--trials", 4).code == 0
    assert other.trials() == [trial for trial in searcher.trials() if trial["search"] != "first"]
