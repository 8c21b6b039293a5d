"""What a report costs: 7 parts of many trials built at once, and built again by --watch after each of more trials.

    python -m benchmarks.reports [--trials N]...

The build is a process of its own, from the start of Python to its end. An update is what --watch tells of itself, from
its look at the store to the last file; trials are added to the parts in turn.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.common import REPOSITORY, save
from benchmarks.report_store import IMAGES, add_trial, fill
from results.records import FINISHED
from results.store import Store

UPDATES = 14  # two a part
TOLD = re.compile(r" (?P<finished>\d+) finished.* built in (?P<seconds>[\d.]+) s")


def main() -> None:
    """Measure each number of trials, and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, action="append", help="of each part; without it 50, then 200")
    trials = parser.parse_args().trials or [50, 200]
    save("reports", {f"{len(IMAGES)} parts x {number} trials": measured(number) for number in trials})


def measured(trials: int) -> dict[str, Any]:
    """Seconds and megabytes at that many trials a part."""
    with tempfile.TemporaryDirectory() as folder:
        url, out = f"sqlite:///{folder}/results.db", Path(folder, "report")
        store = Store.open(url, create=True)
        fill(store, trials)
        line = [sys.executable, "-m", "reports.build", "--store", url, "--out", str(out)]
        figures = full_build(line) | {"report.html, MB": round((out / "report.html").stat().st_size / 1e6, 2)}
        figures |= updates([*line, "--watch"], store, trials)
        store.close()
    return figures


def full_build(line: list[str]) -> dict[str, float]:
    """Time and memory of a process that has no children (POSIX: wait4)."""
    start = time.perf_counter()
    process = subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(line)} failed")
    return {
        "full build, s": round(time.perf_counter() - start, 1),
        "full build, processor s": round(used.ru_utime + used.ru_stime, 1),
        "full build, MB": round(used.ru_maxrss / 1024),
    }


def updates(line: list[str], store: Store, trials: int) -> dict[str, Any]:
    """What --watch tells of trials that finish one after the other, and what memory it had at the most."""
    searches = {search.task: search for search in store.searches()}
    finished = sum(summary.trials[FINISHED] for summary in store.summaries().values())
    process = subprocess.Popen(
        line, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )  # fmt: skip
    assert process.stdout is not None
    told_seconds(process.stdout, finished)
    seconds = []
    for number in range(UPDATES):
        add_trial(store, searches[list(IMAGES)[number % len(IMAGES)]], trials + number // len(IMAGES))
        seconds.append(told_seconds(process.stdout, finished + number + 1))
    memory = peak_memory(process.pid)
    process.send_signal(signal.SIGINT)
    process.wait()
    return {
        "update, s": sorted(seconds),
        "update, median s": statistics.median(seconds),
        "update, greatest s": max(seconds),
        "watching, MB": memory,
    }


def peak_memory(process: int) -> int:
    """The most that a process and its children have had, each for itself, in MB (Linux: VmHWM)."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    status = [Path(f"/proc/{each}/status").read_text() for each in (process, *children)]
    return round(sum(int(each) for text in status for each in re.findall(r"VmHWM:\s+(\d+) kB", text)) / 1024)


def told_seconds(lines: Iterable[str], finished: int) -> float:
    """The seconds of the build that first has that many finished trials."""
    for line in lines:
        told = TOLD.search(line)
        if told and int(told["finished"]) == finished:
            return float(told["seconds"])
    sys.exit("the watcher ended")


if __name__ == "__main__":
    main()
