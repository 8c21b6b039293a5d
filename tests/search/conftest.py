"""Searches on a small drawn data set: in this process, or as processes that can be killed."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plumbing.command import run_command
from radiographs.synthetic import LEAST_PATIENTS, draw_dataset

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        """The last line of stdout."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


class Searcher:
    """Searches in one folder."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        self.store = f"sqlite:///{folder / 'results.db'}"
        self.runs = folder / "runs"

    def know(self, backbones: Path) -> None:
        """Put what is known of backbones where a search finds it: searches on them are quick, and need no network."""
        shutil.copytree(backbones, self.runs / "backbones", dirs_exist_ok=True)

    def arguments(self, *more: object) -> list[str]:
        """A quick search's; `more` comes last, so that it wins."""
        given = {
            "--part": "XR_WRIST",
            "--trials": 3,
            "--data": self.data,
            "--architecture": "efficientnet_lite0",
            "--image-size": 32,
            "--weights": "random",
            "--epochs": 3,
            "--views": 2,
            "--store": self.store,
            "--runs": self.runs,
        }
        named = {str(each) for each in more[::2]}
        flat = [part for option, value in given.items() if option not in named for part in (option, str(value))]
        return [*flat, *map(str, more)]

    def here(self, capsys: pytest.CaptureFixture[str], *more: object, flags: Sequence[str] = ()) -> Ended:
        """Search in this process."""
        from search.run import main

        capsys.readouterr()
        code = run_command("search.run", main, [*self.arguments(*more), *flags])
        output = capsys.readouterr()
        return Ended(code, output.out, output.err)

    def space(self, **values: object) -> Path:
        """A file that fixes parameters, or narrows them to lists."""
        path = self.data.parent / f"space-{abs(hash(json.dumps(values, sort_keys=True)))}.toml"
        path.write_text("\n".join(["[all]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]))
        return path

    def process(self, *more: object, before: str = "") -> "subprocess.Popen[str]":
        """Search in a process of its own; `before` is Python run in it first, to kill it at a chosen instant."""
        # A shell's background jobs inherit a SIGINT that is ignored: the tests' own must not.
        signals = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        code = f"{signals}{before}\nimport sys\nfrom plumbing.command import run_command\nfrom search.run import main\n"
        code += "sys.exit(run_command('search.run', main, sys.argv[1:]))"
        return subprocess.Popen(
            [sys.executable, "-c", code, *self.arguments(*more)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def apart(self, *more: object, before: str = "") -> Ended:
        """Search in a process of its own, to its end."""
        with self.process(*more, before=before) as process:
            out, err = process.communicate()
        return Ended(process.returncode, out, err)

    def trials(self) -> list[dict[str, Any]]:
        """All trials as exported, their histories and probabilities among them, times left out."""
        from results.export import as_json, export_table
        from results.store import Store

        store = Store.open(self.store)
        try:
            rows: list[dict[str, Any]] = json.loads(as_json(export_table(store)))
            for row, trial in zip(rows, store.trials(), strict=True):
                row.pop("seconds")
                for split in ("valid", "test"):
                    found = store.probabilities(trial.id, split)
                    row[f"{split}_probabilities"] = None if found is None else found.tolist()
            return rows
        finally:
            store.close()

    def models(self) -> list[str]:
        """The names of the models that are kept."""
        return sorted(path.name for path in (self.runs / "models").rglob("*.keras"))

    def leaderboard(self, capsys: pytest.CaptureFixture[str]) -> str:
        """What reports.leaderboard prints."""
        from reports.leaderboard import main

        capsys.readouterr()
        assert main(["--store", self.store, "--top", "99"]) == 0
        return capsys.readouterr().out


def killed(ended: Ended) -> bool:
    """Whether the process died by SIGKILL."""
    return ended.code == -signal.SIGKILL


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten patients a part."""
    return draw_dataset(tmp_path_factory.mktemp("small"), LEAST_PATIENTS)


@pytest.fixture(scope="session")
def known_backbones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What searches write down of efficientnet_lite0 at 32 px with random weights."""
    from features.forward import BATCH
    from features.frozen import Backbones
    from plumbing.seeds import generator_of
    from spaces import architecture_named

    folder, lite = tmp_path_factory.mktemp("known") / "backbones", architecture_named("efficientnet_lite0")
    grey = generator_of("first batch").integers(0, 256, (BATCH, 32, 32, 1)).astype(np.float32)
    backbones = Backbones(folder, {lite.name: "random"})
    assert backbones.confirmed(lite, 32, {}, backbones.frozen(lite, 32, {}, lambda: grey))
    return folder


@pytest.fixture
def knowing(searcher: "Searcher", other: "Searcher", known_backbones: Path) -> None:
    """Both searchers know the backbone."""
    searcher.know(known_backbones)
    other.know(known_backbones)


@pytest.fixture
def searcher(tmp_path: Path, small_data: Path) -> Searcher:
    return Searcher(tmp_path / "one", small_data)


@pytest.fixture
def other(tmp_path: Path, small_data: Path) -> Searcher:
    return Searcher(tmp_path / "other", small_data)


@pytest.fixture
def run_campaign(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs the campaign of a file in this process."""
    from search.campaign import main

    def run(file: Path, *more: object) -> Ended:
        capsys.readouterr()
        code = run_command("search.campaign", main, [str(file), *map(str, more)])
        output = capsys.readouterr()
        return Ended(code, output.out, output.err)

    return run
