"""Campaigns of quick searches, in processes that can be killed."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.search.conftest import REPOSITORY, Ended, Searcher

RunCampaign = Callable[..., Ended]

TWO_BY_TWO = """
[[search]]
part = ["XR_WRIST", "XR_HAND"]
engine = ["optuna", "keras-tuner"]
"""


class Campaigner:
    """A campaign in one folder."""

    def __init__(self, searcher: Searcher, searches: str = TWO_BY_TWO, top: str = "", **defaults: object) -> None:
        self.searcher = searcher
        self.file = searcher.folder / "campaign.toml"
        given: dict[str, object] = {
            "data": str(searcher.data),
            "architecture": "efficientnet_lite0",
            "image-size": 32,
            "weights": "random",
            "epochs": 2,
            "views": 2,
            "batch-trials": 2,
            "trials": 3,
            "space": str(searcher.space(frozen="all")),
        }
        lines = (f"{key} = {json.dumps(value)}" for key, value in (given | defaults).items())
        places = f'store = "{searcher.store}"\nruns = "{searcher.runs}"\n'
        searcher.folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text(f"{places}{top}\n[defaults]\n" + "\n".join(lines) + f"\n{searches}")

    def process(self, *more: object) -> "subprocess.Popen[str]":
        """The campaign in a process of its own."""
        signals = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background
        code = f"{signals}import sys\nfrom plumbing.command import run_command\nfrom search.campaign import main\n"
        code += "sys.exit(run_command('search.campaign', main, sys.argv[1:]))"
        return subprocess.Popen(
            [sys.executable, "-c", code, str(self.file), *map(str, more)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def apart(self, *more: object) -> Ended:
        """The campaign in a process of its own, to its end."""
        with self.process(*more) as process:
            out, err = process.communicate()
        return Ended(process.returncode, out, err)

    def trials(self) -> list[dict[str, object]]:
        """All trials as `Searcher.trials` gives them, whatever order their searches were begun in."""
        return sorted(self.searcher.trials(), key=lambda trial: (trial["search"], trial["trial"]))


def await_line(process: "subprocess.Popen[str]", begins: str, count: int = 1) -> str:
    """The last of so many lines of the process that begin so, as soon as it is there."""
    assert process.stderr is not None
    for line in process.stderr:
        count -= line.startswith(begins)
        if count == 0:
            return line
    raise AssertionError(f"it ended before it told {begins!r}")


def items_of(runs: Path) -> list[int]:
    """Processes that search for a campaign with that runs folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        if b"search.campaigns.item" in words and str(runs).encode() in words:
            found.append(int(folder.name))
    return found


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it holds within a minute."""
    for _ in range(600):
        if holds():
            return True
        time.sleep(0.1)
    return False


def kill(process: "subprocess.Popen[str]") -> None:
    """SIGKILL, and wait for the end."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL  # else this would prove nothing
