"""How long the leaderboard of a large store takes, on SQLite and on PostgreSQL.

    python -m benchmarks.store_sizes [--trials 100000] [--rounds 5]

The store is drawn: seven parts, two searches each, every metric with its interval, an eighth of the trials failed. No
probabilities are stored: more than a thousand trials of a part are not compared by a leaderboard, with or without them.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from benchmarks.common import save
from plumbing.seeds import generator_of
from radiographs.parts import PARTS
from results import schema
from results.evaluation import METRICS
from results.records import FAILED, FINISHED, NewSearch
from results.store import Store
from tests.postgres import started_server

SEARCHES_A_PART = 2
TRIALS_A_FAILURE = 8
CHUNK = 500  # trials written at once
ARCHITECTURES = ("densenet121", "efficientnet_lite0", "inception_v3", "resnet152")


def fill(store: Store, trials: int) -> None:
    """Write that many trials, without histories and probabilities."""
    searches = [
        store.create_search(
            NewSearch(f"{part}-{turn}", "search", "optuna", "0.1.0", part, "val_auc", 0, f"{part:0<16}")
        )
        for part in PARTS
        for turn in range(SEARCHES_A_PART)
    ]
    numbers = range(0, trials, CHUNK)
    for first in numbers:
        rows = [row_of(number, searches) for number in range(first, min(first + CHUNK, trials))]
        measured = [measure for row in rows if row["state"] == FINISHED for measure in measures_of(row)]

        def write(connection: sa.Connection, rows: Any = rows, measured: Any = measured) -> None:
            connection.execute(sa.insert(schema.trials), rows)
            connection.execute(sa.insert(schema.metrics), measured)

        store.write(write)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def row_of(number: int, searches: Sequence[Any]) -> dict[str, Any]:
    """A row of `results_trials`, drawn from its number."""
    generator = generator_of("trial", number)
    search = searches[number % len(searches)]
    architecture = ARCHITECTURES[number // len(searches) % len(ARCHITECTURES)]
    failed = number % TRIALS_A_FAILURE == 0
    configuration = {
        "architecture": architecture, "lr": float(10 ** generator.uniform(-5, -2)), "augmentation": "deep",
        "conv_dropout": float(generator.uniform(0, 0.6)), "callbacks_patience": 6, "frozen": "all", "batch_size": 32,
        "optimizer": "adam", "units": 128, "weight_decay": 0.0, "label_smoothing": 0.0, "class_weights": "none",
    }  # fmt: skip
    value = None if failed else float(generator.uniform(0.5, 0.9))
    return {
        "id": number + 1, "search_id": search.id, "number": number // len(searches), "part_body": search.task,
        "state": FAILED if failed else FINISHED, "reason": "loss is not finite" if failed else None,
        "architecture": architecture, "name_code": f"{architecture}_deep_augment_20epochs",
        "model_name": f"{search.name}_{number}", "configuration": configuration, "weights": "imagenet",
        "image_size": 224, "seed": 0, "fit_epochs": 20, "epochs_trained": 20, "value": value, "seconds": 1.0,
        **{f"{split}_accuracy_eval": value and 100 * value for split in ("train", "valid", "test")},
        "code_version": "0.1.0", "created": "2026-01-31T12:00:00+00:00", "finished": "2026-01-31T12:00:00+00:00",
    }  # fmt: skip


def measures_of(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every metric of a trial, by image and by study, on valid and test."""
    for split in ("valid", "test"):
        for level in ("image", "study"):
            for metric in METRICS:
                value = row["value"]
                yield {"trial_id": row["id"], "split": split, "level": level, "metric": metric, "value": value,
                       "low": value - 0.05, "high": value + 0.05}  # fmt: skip


def seconds_of(url: str, *more: str) -> float:
    """How long the command takes as a user runs it, its start included."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "reports.leaderboard", "--store", url, *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    seconds: dict[str, str] = {}
    with TemporaryDirectory() as folder, started_server() as server, server.database() as postgresql:
        urls = {"SQLite": f"sqlite:///{Path(folder) / 'results.db'}", "PostgreSQL": postgresql}
        for url in urls.values():
            with closing(Store.open(url, create=True)) as store:
                fill(store, options.trials)
        for more in ((), ("--part", "XR_HAND")):
            for name, url in urls.items():
                times = [seconds_of(url, *more) for _ in range(options.rounds + 1)][1:]  # the first warms up
                told = f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})"
                seconds[f"{name}, {' '.join(more) or 'all parts'}"] = told
    save("store_sizes", {"trials": options.trials, "rounds": options.rounds, "seconds": seconds})


if __name__ == "__main__":
    main()
