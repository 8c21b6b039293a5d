"""Processes that fill a cache together: each asks for the toy's features, and dies or waits where a test wants it."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.features.toy import TOY

REPOSITORY = Path(__file__).parents[2]
IMAGES, BATCHES = 500, 16  # the last batch shorter
CUTS = ("low", "high")

# Each piece waits until `everyone` processes have a batch in hand, and while the file `held` is there.
PARTICIPANT = """
import json, os, sys, time
from pathlib import Path
from features import cache as module, chunks
from features.cache import FeatureCache
from features.forward import PIECE, Forward, onnx_forward
from features.records import FrozenNetwork
from plumbing import byte_locks
from tests.features.toy import toy_run, toy_views
told = json.loads(sys.argv[1])
network, cores = FrozenNetwork(**told["network"]), sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, cores[: told["cores"]])
parent = os.getppid()
folder, begun, held = Path(told["folder"]), Path(told["begun"]), Path(told["held"])
module.processors, module.LOOKS_UNTIL_SAID = lambda: 2, 4
if not told["byte_locks"]:
    byte_locks.available = lambda: False
layers = onnx_forward(Path(told["model"]), network.layers).run if told["model"] else toy_run
def run(grey, cuts):
    (begun / str(os.getpid())).touch()
    while os.getppid() == parent and (len(list(begun.iterdir())) < told["everyone"] or held.exists()):
        time.sleep(0.01)
    time.sleep(told["seconds_a_piece"])
    if told["dies_in"] == "layers":
        os.kill(os.getpid(), 9)
    return layers(grey, cuts)
write, count = chunks.write_at, iter(range(1, 999))
def torn(path, offset, content):
    if next(count) == told["dies_in"]:
        write(path, offset, content[: len(content) // 2])
        os.kill(os.getpid(), 9)
    write(path, offset, content)
chunks.write_at = torn
print("ready", flush=True)
sys.stdin.readline()
cache = FeatureCache(folder)
views = toy_views(view=told["view"], level=told["level"], count=told["images"], size=told["size"])
found = cache.features(network, lambda: Forward(PIECE, run), views, told["cut"], told["together"])
anew = FeatureCache(None).features(network, lambda: Forward(PIECE, layers), views, told["cut"])
assert found.tobytes() == anew.tobytes()
print(cache.ledger.extracted)
"""


class Participant:
    """A process that will ask for the features when it is told to go."""

    def __init__(self, scratch: Path, *, cut: str = "high", together: Sequence[str] = CUTS, **told: Any) -> None:
        self.begun = scratch / "begun"
        self.begun.mkdir(exist_ok=True)
        settings = {"view": 0, "level": "no", "images": IMAGES, "size": 4, "network": asdict(TOY), "model": None}
        settings |= {"cores": None, "everyone": 1, "dies_in": None, "byte_locks": True, "seconds_a_piece": 0}
        settings |= {"folder": str(scratch / "features"), "begun": str(self.begun), "held": str(scratch / "held")}
        line = [sys.executable, "-c", PARTICIPANT, json.dumps(settings | {"cut": cut, "together": together} | told)]
        self.process = subprocess.Popen(
            line,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def go(self) -> None:
        """Let it begin, once it has imported what it needs."""
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        assert self.process.stdout.readline() == "ready\n"
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def has_begun(self) -> None:
        """Wait until it has a batch in hand."""
        for _ in range(3000):
            if (self.begun / str(self.process.pid)).exists():
                return
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.01)
        raise AssertionError("took no batch")

    def said(self) -> str:
        """The next line on its stderr."""
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def ended(self) -> tuple[int, str]:
        """The images that it extracted, and what else it said on stderr."""
        out, error = self.process.communicate(timeout=240)
        assert self.process.returncode == 0, error
        return int(out), error


def counts(folder: Path) -> list[int]:
    """How often each batch of the one view below the folder was extracted."""
    (path,) = folder.rglob("batches")
    return list(path.read_bytes())
