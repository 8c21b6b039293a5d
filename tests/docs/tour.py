"""Runs the tour as a reader does, in a kernel of its own; `python -m tests.docs.tour` stores what it puts out."""

import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

REPOSITORY = Path(__file__).parents[2]
TOUR = REPOSITORY / "docs" / "tour.ipynb"
Notebook = Any  # nbformat has no types
JUPYTERS_OWN = ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")


def code(notebook: Notebook) -> list[Any]:
    """Its code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run_tour(folder: Path) -> Notebook:
    """The tour with new outputs; `folder`/repository, in which it runs, looks like ours and takes what it writes.

    Raises: nbclient.exceptions.CellExecutionError where a cell fails.
    """
    repository, own = folder / "repository", folder / "jupyter"
    (repository / "docs").mkdir(parents=True)
    for package in REPOSITORY.glob("*/__init__.py"):
        (repository / package.parent.name).symlink_to(package.parent)
    notebook = nbformat.read(TOUR, as_version=4)
    for cell in code(notebook):
        cell.outputs, cell.execution_count = [], None
    metadata = notebook.metadata.copy()
    with pytest.MonkeyPatch.context() as patched:
        for name in JUPYTERS_OWN:
            patched.setenv(name, str(own))
        place = {"metadata": {"path": str(repository / "docs")}}
        NotebookClient(notebook, timeout=None, record_timing=False, coalesce_streams=True, resources=place).execute()
    notebook.metadata = metadata  # without the version of Python that ran it
    return notebook


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        ran = run_tour(Path(temporary))
    nbformat.write(ran, TOUR)
