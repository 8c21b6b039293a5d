"""The simulated searches by many workers: which, and run one after another; each is kept as soon as it has ended."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.quality.clock import Simulated, simulate
from benchmarks.quality.contestants import table_named
from benchmarks.quality.jobs import made_by
from plumbing.files import write_text_atomically
from plumbing.progress import progress_bar

# What a simulated search depends on; how a study is stored it does not.
_ENGINE = ("optuna_engine", "optuna_memory", "optuna_sampling", "tried")
CODE = (*(f"search/engines/{name}.py" for name in _ENGINE), "benchmarks/tables", "benchmarks/quality/clock.py")
# One of our own, and the first two of each published family.
TABLES = (
    "XR_HAND",
    "hpobench-australian",
    "hpobench-blood_transfusion",
    "fcnet-naval_propulsion",
    "fcnet-parkinsons_telemonitoring",
    "nasbench201-cifar10",
    "nasbench201-cifar100",
)
WORKERS = (1, 4, 16, 64)
TRIALS = {1: 100, 4: 100, 16: 100, 64: 128}
REPEATS = 20


@dataclass(frozen=True, order=True)
class Job:
    """One search; jobs in order take all through a repeat before the next. `batches`: of as many as workers."""

    repeat: int
    table: str
    sampler: str
    workers: int
    batches: bool = False

    def run(self) -> Simulated:
        """Search."""
        return simulate(
            table_named(self.table), self.repeat, self.sampler, self.workers, TRIALS[self.workers], self.batches
        )


def all_jobs(repeats: int) -> list[Job]:
    """TPE both ways, random search one by one: what it proposes hangs on the trial's number alone."""
    ways = [("tpe", workers, batches) for workers in WORKERS for batches in (False, True) if workers > 1 or not batches]
    ways += [("random", workers, False) for workers in WORKERS]
    return sorted(Job(repeat, table, *way) for repeat in range(repeats) for table in TABLES for way in ways)


def run_jobs(jobs: list[Job], path: Path, until: datetime | None) -> dict[Job, Simulated]:
    """The searches of all jobs, or of those that were run until then; those in the file are read.

    Raises: SystemExit where other code or libraries made the file.
    """
    first = json.dumps({**made_by(CODE), "trials": TRIALS})
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(path, first + "\n")
    head, *lines = path.read_text().splitlines()
    if head != first:
        sys.exit(f"{path}: made by other code or libraries; move it away, or give another --partial")
    done = dict(_read(line) for line in lines if line.endswith("}}"))  # a kill may have cut the last
    left = [job for job in jobs if job not in done]
    with path.open("a") as file, progress_bar("searches", len(left)) as advance:
        for job in left:
            if until is not None and datetime.now() >= until:
                break
            done[job] = job.run()
            file.write(json.dumps({"job": asdict(job), "run": asdict(done[job])}) + "\n")
            file.flush()
            advance(1)
    return {job: done[job] for job in jobs if job in done}


def _read(line: str) -> tuple[Job, Simulated]:
    told = json.loads(line)
    run = {name: tuple(value) if isinstance(value, list) else value for name, value in told["run"].items()}
    return Job(**told["job"]), Simulated(**run)


def whole_repeats(runs: Mapping[Job, Simulated], repeats: int) -> Iterator[int]:
    """Those of which every search has been run."""
    each = len(all_jobs(1))
    return (repeat for repeat in range(repeats) if sum(job.repeat == repeat for job in runs) == each)
