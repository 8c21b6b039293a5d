"""A small search whose best model predicts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from plumbing.command import run_command
from radiographs.synthetic import LEAST_PATIENTS, draw_dataset
from results.store import Store
from tests.predict.serving import Server, serving


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data set and a store of two searches: XR_HAND, and all parts."""
    from search.run import main

    folder = tmp_path_factory.mktemp("searched")
    data = draw_dataset(folder / "data", LEAST_PATIENTS)
    for part in ("XR_HAND", "all_parts"):
        given = {
            "--part": part,
            "--trials": 2,
            "--data": data,
            "--architecture": "efficientnet_lite0",
            "--image-size": 32,
            "--epochs": 2,
            "--views": 1,
            "--store": f"sqlite:///{folder / 'results.db'}",
            "--runs": folder / "runs",
        }
        arguments = [str(each) for option in given.items() for each in option]
        assert run_command("search.run", main, arguments) == 0
    return folder


@pytest.fixture(scope="session")
def url(searched: Path) -> str:
    return f"sqlite:///{searched / 'results.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def hands(searched: Path) -> list[Path]:
    """The images of XR_HAND's test split."""
    return sorted((searched / "data" / "MURA-v1.1" / "valid" / "XR_HAND").rglob("*.png"))


@pytest.fixture(scope="session")
def server(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of both models, ready."""
    with serving(tmp_path_factory.mktemp("server") / "written.txt", "--store", url) as ready:
        yield ready
