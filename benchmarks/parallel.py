"""What do many workers cost in search quality? Searches on recorded tables, on a simulated clock.

    python -m benchmarks.parallel [--repeats N] [--partial FILE] [--until HH:MM]

Prints Markdown tables; writes benchmarks/results/parallel.json and docs/parallel_quality.png. Each search is kept in
the partial file as soon as it has ended; the same command goes on from there, and refuses a file that other code made.
"""

import argparse
import json
import sys
from datetime import datetime, time
from pathlib import Path

from benchmarks.common import REPOSITORY, RESULTS, machine
from benchmarks.quality.jobs import made_by
from benchmarks.quality.parallel_figures import draw, summary, told
from benchmarks.quality.parallel_jobs import CODE, REPEATS, all_jobs, run_jobs, whole_repeats
from plumbing.files import write_text_atomically

PARTIAL = REPOSITORY / "runs" / "parallel.jsonl"  # ignored by git


def main() -> None:
    """Run all searches, save the figures, draw and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of each search (%(default)s)")
    parser.add_argument("--partial", type=Path, default=PARTIAL, help="where searches that have ended are kept")
    parser.add_argument("--until", help="begin no search after that time of day; tell of the repeats that are whole")
    given = parser.parse_args()
    until = None if given.until is None else datetime.combine(datetime.now(), time.fromisoformat(given.until))
    runs = run_jobs(all_jobs(given.repeats), given.partial, until)
    whole = set(whole_repeats(runs, given.repeats))
    if not whole:
        sys.exit("no repeat is whole yet; the same command goes on")
    runs = {job: run for job, run in runs.items() if job.repeat in whole}
    figures = {"machine": machine(), "made by": made_by(CODE), "searches": len(runs), **summary(runs)}
    write_text_atomically(RESULTS / "parallel.json", json.dumps(figures, indent=1) + "\n")
    draw(runs, REPOSITORY / "docs")
    print(told(figures))


if __name__ == "__main__":
    main()
