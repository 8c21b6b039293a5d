"""The folders' rules: who may import whom, what a command may load, how long a module may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# DESIGN's table; `plumbing` is below all (see docs/architecture.md).
MAY_IMPORT = {
    "plumbing": set(),
    "radiographs": set(),
    "spaces": {"radiographs"},
    "features": {"radiographs", "spaces"},
    "results": set(),
    "search": {"radiographs", "spaces", "features", "results"},
    "reports": {"results", "radiographs", "spaces"},
    "predict": {"radiographs", "spaces", "features", "results"},
}
# What may unpickle, and why: an unpickler that knows four harmless names.
MAY_UNPICKLE = {"spaces/torch_file.py"}

COMMANDS = (
    "search.run",
    "search.compare",
    "search.worker",
    "search.campaign",
    "search.status",
    "radiographs.synthetic",
    "radiographs.check",
    "results.list",
    "results.export",
    "results.import_csv",
    "results.copy",
    "reports.leaderboard",
    "reports.build",
    "reports.study",
    "reports.explore",
    "predict",
    "predict.ensemble",
    "predict.export",
    "predict.serve",
)


def modules(package: str) -> list[Path]:
    return sorted((REPOSITORY / package).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Top-level names of all that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def breaches(package: str, source: str) -> set[str]:
    """Folders of ours that the source imports and its package may not."""
    allowed = MAY_IMPORT[package] | {package, "plumbing"}
    return {name for name in imported(ast.parse(source)) if name in MAY_IMPORT} - allowed


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_module_imports_a_folder_that_the_design_forbids_it(package: str) -> None:
    found = {str(path.relative_to(REPOSITORY)): breaches(package, path.read_text()) for path in modules(package)}
    assert found
    assert {path: names for path, names in found.items() if names} == {}


def test_a_forbidden_import_inside_a_function_is_found() -> None:
    assert breaches("results", "def f():\n    from spaces import ARCHITECTURES\n") == {"spaces"}
    assert breaches("radiographs", "import results.store") == {"results"}


def test_every_folder_with_modules_is_in_the_table() -> None:
    packages = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages == set(MAY_IMPORT)


@pytest.mark.parametrize("package", ["results", "reports", "radiographs", "plumbing"])
def test_packages_without_networks_never_import_tensorflow_or_keras(package: str) -> None:
    for path in modules(package):
        assert not {"tensorflow", "keras", "keras_tuner"} & set(imported(ast.parse(path.read_text()))), path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_answered_without_tensorflow(command: str) -> None:
    code = "import sys, runpy\nsys.argv = ['x', '--help']\n"
    code += f"try:\n    runpy.run_module({command!r}, run_name='__main__')\n"
    code += "except SystemExit as end:\n    assert end.code == 0\n"
    code += "print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "False False"
    assert f"python -m {command}" in ended.stdout


def test_invariant_7_nothing_unpickles_but_the_reader_of_known_names() -> None:
    for package in MAY_IMPORT:
        for path in modules(package):
            names = set(imported(ast.parse(path.read_text())))
            unsafe = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"} & names
            assert not unsafe or str(path.relative_to(REPOSITORY)) in MAY_UNPICKLE, path
            assert "allow_pickle=True" not in path.read_text()
            assert "safe_mode=False" not in path.read_text()
