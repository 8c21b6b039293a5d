"""What the benchmarks share: the machine, timed processes, the task, and where results are written."""

import csv
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbing.files import write_text_atomically
from radiographs.dataset import list_images
from search.feature_plan import matrix_speed

if TYPE_CHECKING:
    from predict.predictor import Predictor

REPOSITORY = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
RADIOGRAPHS = Path(os.environ.get("RADIOGRAPHS", REPOSITORY.parent / "shared" / "radiographs"))


@dataclass(frozen=True)
class Run:
    """A process that ended: wall time, processor time (children included), its last line of stdout, and all of it."""

    seconds: float
    processor_seconds: float
    told: dict[str, Any]
    output: str = ""


def run(arguments: Sequence[object], **environment: str) -> Run:
    """Run Python on arguments to its end.

    Raises: SystemExit with its stderr where it fails.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(map(str, arguments))} failed:\n{ended.stderr}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(seconds, used, json.loads(ended.stdout.splitlines()[-1]), ended.stdout)


def predictor_of(folder: Path, data: Path, part: str, frozen: str = "all", trials: int = 12) -> "Predictor":
    """The best model of a search of efficientnet_lite0 with ImageNet weights, without augmentation, 8 epochs a trial.

    Args:
        folder: where the search keeps its things. frozen: the cut.
    """
    import predict

    space, store = folder / f"{frozen}.toml", store_of(folder, data, frozen)
    space.write_text(f'[all]\nfrozen = "{frozen}"\naugmentation = "no"\n')
    options = ["--part", part, "--data", data, "--architecture", "efficientnet_lite0", "--weights", "imagenet"]
    options += ["--space", space, "--trials", trials, "--epochs", 8, "--runs", folder / "runs", "--store", store]
    run(["-m", "search.run", *options])
    return predict.load(part, store)


def store_of(folder: Path, data: Path, frozen: str = "all") -> str:
    """The address of the store that `predictor_of` fills."""
    return f"sqlite:///{folder / f'{data.name}-{frozen}'}.db"


def write_images(part: str, path: Path) -> Path:
    """The images of a part as the rivals read them: path, study, label, split."""
    listed = list_images(RADIOGRAPHS, part)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "study", "label", "split"))
        for row in listed.images.itertuples():
            writer.writerow((listed.root / row.path, row.study, row.label, row.split))
    return path


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    name = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    return {
        "processor": name,
        "cores": len(os.sched_getaffinity(0)),
        "matrix GFLOP/s": round(matrix_speed()),
        "python": platform.python_version(),
        "date": date.today().isoformat(),
    }


def save(name: str, figures: dict[str, Any]) -> None:
    """Print figures and keep them in results/NAME.json."""
    text = json.dumps({"machine": machine(), **figures}, indent=2)
    RESULTS.mkdir(exist_ok=True)
    write_text_atomically(RESULTS / f"{name}.json", text + "\n")
    print(text)
