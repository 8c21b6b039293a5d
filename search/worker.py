"""One worker more for a search that runs, from any machine that sees its store and its data.

    python -m search.worker --name XR_ELBOW-optuna --store postgresql+psycopg://...

It ends when the search has its trials. It may be killed at any time: others take up what it had under way.
"""

import argparse
import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plumbing.command import CommandParser, Interrupted, not_negative, positive, run_command
from plumbing.errors import StoreError, UsageError
from results.claims import PATIENCE
from results.connection import DEFAULT_URL
from search.interrupt import prompt_interrupt
from search.workers.limits import LEAST_GIB, Share, check_gpu, keep_to

MOST_GIB = 1e6


def main(arguments: Sequence[str]) -> int:
    """The command."""
    given = _parser().parse_args(arguments)
    if given.store != "-":  # else who began this worker has asked
        check_gpu(given.gpu)
    store = _store_of_parent() if given.store == "-" else given.store
    keep_to(Share(tuple(given.cpus or ()), given.memory_gib, given.gpu))
    told = "its trials are free for others"
    try:
        with prompt_interrupt(f"search.worker: interrupted; {told}"):
            return work(given.name, store, vars(given), given.store == "-")
    except KeyboardInterrupt:
        raise Interrupted(told) from None


def work(name: str, store: str, given: dict[str, Any], quiet: bool) -> int:
    """Join, train, leave; the last line of stdout says what was done."""
    from results.records import FINISHED, RUNNING
    from results.store import Store
    from search.loop import run_search
    from search.preparation import prepare
    from search.workers.joining import Joining, options_of, plan_of

    opened = Store.open(store, has_worked=quiet)  # whoever began this worker has it open
    try:
        search = opened.search(name)
    finally:
        opened.close()
    if search is None:
        raise StoreError(f"--name {name}: the store has no such search; python -m results.list shows them")
    here = {key: given[key] for key in ("data", "runs", "weights", "timeout", "cache_gib")}
    plan = plan_of(options_of(search, store, here), search)
    with prepare(plan, "", Joining(quiet, given["patience"], given["label"], given["begin_at"])) as run:
        ran = run_search(run)
        states = [trial.state for trial in run.store.trials(search.id)]
        ended = sum(state != RUNNING for state in states)
        if not quiet:
            print(f"search {name} has {ended} of {run.trials} trials; this worker ran {ran}")
        told = {"search": name, "trials": len(states), "finished": states.count(FINISHED), "ran": ran}
        features = run.setting.source.cache.ledger.counts()
        print(json.dumps({**told, "engine_seconds": run.clock.seconds, "features": features}))
    return 0


def _store_of_parent() -> str:
    """The store's URL from the first line of standard input; when that ends, whoever began this worker is gone."""
    url = sys.stdin.readline().strip()
    if not url:
        raise UsageError("--store -: standard input gave no URL; give one, or name the store")

    def end_with_parent() -> None:
        sys.stdin.read()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    return url


def _cores(text: str) -> list[int]:
    """An argparse type: numbers of cores that this process may use."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and int(part) in allowed for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} are no cores to use; give some of {sorted(allowed)}, as 0,1")
    return [int(part) for part in parts]


def _memory(text: str) -> float:
    """An argparse type: GiB that a worker can live with."""
    gib = positive(text)
    if not LEAST_GIB <= gib <= MOST_GIB:
        raise argparse.ArgumentTypeError(f"{text} is not from {LEAST_GIB:g} to {MOST_GIB:g} GiB")
    return gib


def _share(text: str) -> float:
    """An argparse type: a number from 0 to below 1."""
    share = not_negative(text)
    if share >= 1:
        raise argparse.ArgumentTypeError(f"{text} is not below 1; give a number from 0 to below 1")
    return share


def _parser() -> CommandParser:
    parser = CommandParser("search.worker", "Join a search that was begun by search.run, until it has its trials.")
    add = parser.add_argument
    add("--name", required=True, metavar="SEARCH", help="of the search")
    add("--store", default=DEFAULT_URL, metavar="URL",
        help="the results store; -: standard input's first line, and the worker ends when that does")  # fmt: skip
    add("--data", metavar="DIR", help="the radiographs here; default: where search.run has them")
    add("--runs", type=Path, metavar="DIR", help="models and caches here; default: where search.run has them")
    add("--weights", metavar="imagenet|random|DIR", help="of the backbones; default: as search.run has them")
    add("--cache-gib", type=positive, metavar="G", help="most GiB of features kept under --runs")
    add("--timeout", type=positive, metavar="SECONDS", help="begin nothing new after so long")
    add("--patience", type=positive, default=PATIENCE, metavar="SECONDS",
        help="of silence, after which others take over what this worker has under way")  # fmt: skip
    add("--label", metavar="TEXT", help="by which search.run knows the workers that it begins")
    add("--begin-at", type=_share, default=0.0, metavar="SHARE",
        help="of a view's images, after which this worker begins to extract: machines that fetch features from one "
        "another should not all begin with the same")  # fmt: skip
    add("--cpus", type=_cores, metavar="LIST", help="cores to use, such as 0,1; default: all that are allowed")
    add("--memory-gib", type=_memory, metavar="G", help="most memory of its own")
    add("--gpu", metavar="N", help="the GPU to use, as in CUDA_VISIBLE_DEVICES")
    return parser


if __name__ == "__main__":
    sys.exit(run_command("search.worker", main, sys.argv[1:]))
