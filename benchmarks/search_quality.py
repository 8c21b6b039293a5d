"""Is the search any good? Our engines, variants of the default and plain libraries, replayed on recorded tables.

    python -m benchmarks.search_quality [--contestant NAME ...] [--repeats N] [--partial FILE]

Prints Markdown tables; writes benchmarks/results/search_quality.json, docs/search_quality.png and
docs/search_quality_pruners.png. Each search is kept in the partial file as soon as it has ended; the same command goes
on from there, and refuses a file that other code or libraries made.
"""

import argparse
import json
import time
from pathlib import Path

from benchmarks.common import REPOSITORY, RESULTS, machine
from benchmarks.quality.contestants import CONTESTANTS, all_jobs
from benchmarks.quality.drawing import draw
from benchmarks.quality.jobs import made_by, run_jobs
from benchmarks.quality.summary import summary
from benchmarks.quality.telling import told
from features.forward import processors
from plumbing.files import write_text_atomically

PARTIAL = REPOSITORY / "runs" / "search_quality.jsonl"  # ignored by git


def main() -> None:
    """Run all searches, save the figures, draw and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contestant", action="append", choices=CONTESTANTS, help="run these alone; nothing is told")
    parser.add_argument("--repeats", type=int, help="at most so many of each")
    parser.add_argument("--partial", type=Path, default=PARTIAL, help="where searches that have ended are kept")
    given = parser.parse_args()
    jobs = all_jobs(given.contestant or tuple(CONTESTANTS))
    jobs = [job for job in jobs if given.repeats is None or job.repeat < given.repeats]
    start = time.monotonic()
    runs = run_jobs(jobs, given.partial, processors())
    if given.contestant:
        return
    figures = {"machine": machine(), "made by": made_by(), "minutes of this command": (time.monotonic() - start) / 60}
    figures |= {"searches": len(runs), **summary(runs)}
    write_text_atomically(RESULTS / "search_quality.json", json.dumps(figures, indent=1) + "\n")
    draw(runs, REPOSITORY / "docs")
    print(told(figures))


if __name__ == "__main__":
    main()
