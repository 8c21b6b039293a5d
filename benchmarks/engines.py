"""The search of `benchmarks.searches` by each engine, and what the engine itself takes of it.

Frozen DenseNet121 with random weights, 224 px, XR_HAND, no augmentation, 50 trials x 20 epochs, all epochs trained but
Hyperband's. Sides take turns, each a process of its own; features are made by the first of all, then ready.

    python -m benchmarks.engines [--repeats N]
"""

import argparse
import re
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import RADIOGRAPHS, Run, run, save
from results.store import Store

PART, TRIALS, EPOCHS = "XR_HAND", 50, 20
SIDES = (
    ("optuna", "tpe"),
    ("keras-tuner", "random"),
    ("keras-tuner", "bayesian"),
    ("keras-tuner", "hyperband"),
    ("keras-tuner", "grid"),
)


def search(folder: Path, runs: Path, engine: str, sampler: str, turn: int) -> tuple[Run, int]:
    """One search; and the epochs that it trained itself."""
    space = folder / "space.toml"
    space.write_text('[all]\nfrozen = "all"\naugmentation = "no"\ncallbacks_patience = 20\n')
    store = f"sqlite:///{folder / f'{engine}-{sampler}-{turn}'}.db"
    options = ["--part", PART, "--data", RADIOGRAPHS, "--architecture", "densenet121", "--weights", "random"]
    options += ["--space", space, "--trials", TRIALS, "--epochs", EPOCHS, "--engine", engine, "--sampler", sampler]
    name = f"{engine}-{sampler}-{turn}"
    ended = run(["-m", "search.run", *options, "--runs", runs, "--store", store, "--name", name])
    trials = Store.open(store).trials()
    return ended, sum((trial.epochs_trained or 0) - (trial.first_epoch or 0) for trial in trials)


def own_seconds(ended: Run) -> float:
    """What the engine itself took, as the command tells."""
    found = re.search(r"itself took ([\d.]+) s", ended.output)
    assert found is not None
    return float(found[1])


def figures(runs: list[tuple[Run, int]]) -> dict[str, Any]:
    """Medians of several turns."""
    seconds = statistics.median(ended.seconds for ended, _ in runs)
    own = statistics.median(own_seconds(ended) for ended, _ in runs)
    return {
        "seconds": round(seconds, 1),
        "of them the engine's own": own,
        "without them": round(seconds - own, 1),
        "epochs trained": runs[0][1],
    }


def main() -> None:
    """Run all sides in turns and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        nothing = {
            f"{engine} {sampler}, from nothing": [search(folder, folder / engine, engine, sampler, 0)]
            for engine, sampler in SIDES[:2]
        }
        ready: dict[str, list[tuple[Run, int]]] = {f"{engine} {sampler}": [] for engine, sampler in SIDES}
        for turn in range(1, repeats + 1):
            for engine, sampler in SIDES:
                ready[f"{engine} {sampler}"].append(search(folder, folder / "optuna", engine, sampler, turn))
        found = {side: figures(runs) for side, runs in (nothing | ready).items()}
    save("engines", {"task": str(__doc__).splitlines()[0], "sides": found})


if __name__ == "__main__":
    main()
