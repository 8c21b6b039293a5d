"""The tour runs from its folder to its last cell, and what it tells comes out.

Its stored outputs are of a run on drawn data; `python -m tests.docs.tour` makes them anew.
"""

import re
from pathlib import Path

import nbformat
import pytest

from tests.docs.tour import TOUR, Notebook, code, run_tour

MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def stored() -> Notebook:
    return nbformat.read(TOUR, as_version=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tour")


@pytest.fixture(scope="module")
def run(folder: Path) -> Notebook:
    return run_tour(folder)


def said(notebook: Notebook, source: str) -> str:
    """The text that the only cell with that in its source put out."""
    (cell,) = (cell for cell in code(notebook) if source in cell.source)
    return "".join(each.text if "text" in each else each.data["text/plain"] for each in cell.outputs)


def kinds(notebook: Notebook) -> list[list[str]]:
    """What each code cell put out: streams (in however many pieces), tables, pictures."""
    return [
        sorted(
            {mime for each in cell.outputs for mime in (each.get("data") or {each.get("name", each.output_type): 0})}
        )
        for cell in code(notebook)
    ]


@pytest.mark.slow
def test_the_tour_finds_what_it_promises(run: Notebook) -> None:
    counted = said(run, "radiographs.check")
    assert re.search(r"^XR_ELBOW +abnormal +[1-9]\d* +[1-9]\d* +[1-9]\d*$", counted, re.MULTILINE)
    assert "leaks: 0" in counted
    searched = said(run, "search.run")
    assert "[12/12]" in searched
    assert '"finished": 12, "failed": 0' in searched
    (low,) = re.findall(r"test AUC 0\.\d+ \((0\.\d+) to ", searched)
    assert float(low) > 0.5
    (board,) = (each for cell in code(run) for each in cell.outputs if "text/markdown" in each.get("data", {}))
    assert re.search(r"^\|.* efficientnet_lite0_\w+_augment_10epochs", board.data["text/markdown"], re.MULTILINE)
    assert all(f"\n{number} " in said(run, "load_study") for number in range(5))
    verdicts = said(run, "model.studies(")
    assert len(re.findall(r"patient\d{5}/study\d_(?:positive|negative)", verdicts)) == 5
    assert re.search(r"image1\.png: (?:ab)?normal  P\(abnormal\) = ", said(run, "--gradcam"))
    assert "strange: True\nthis does not look like a radiograph of the trained kind" in said(run, "noise =")
    assert said(run, "picture").count("PIL") == 1


@pytest.mark.slow
def test_the_tour_writes_into_its_folder_only(run: Notebook, folder: Path) -> None:
    repository = folder / "repository"
    assert {path.name for path in repository.iterdir() if not path.is_symlink()} == {"docs", "runs"}
    assert [path.name for path in (repository / "runs").iterdir()] == ["tour"]
    assert list((repository / "docs").iterdir()) == []


@pytest.mark.slow
def test_the_stored_outputs_are_of_these_cells(run: Notebook, stored: Notebook) -> None:
    assert [cell.execution_count for cell in code(stored)] == list(range(1, len(code(stored)) + 1))
    assert kinds(stored) == kinds(run)
    assert not any("stderr" in each for each in kinds(stored))


def test_the_stored_tour_is_small_and_tells_nothing_of_the_machine_that_ran_it() -> None:
    text = TOUR.read_text()
    assert len(text) < MOST_BYTES
    assert re.findall(r"/(?:home|root|tmp|work|Users|usr|opt)/", text) == []
    assert '"output_type": "error"' not in text
