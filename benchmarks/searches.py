"""Whole searches beside the rivals': frozen DenseNet121, 224 px, XR_HAND, no augmentation, 50 trials x 20 epochs.

Each side runs as a process of its own, ours with its durable store, models and intervals of every metric; sides take
turns. For equal work every trial trains all 20 epochs (patience 20), and (c) and (d) train the configurations that our
sampler proposed, which saves them their own; with its own proposals and the space's own patience (d+) runs besides.
(d+) is (d) with an ONNX graph made by hand and trials side by side in processes. The naive rivals run 2 trials of 2
epochs and are scaled up.

    python -m benchmarks.searches [--repeats N]
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import RADIOGRAPHS, Run, run, save, write_images
from plumbing.files import write_text_atomically
from results.records import Trial
from results.store import Store

PART, TRIALS, EPOCHS = "XR_HAND", 50, 20
RIVALS = Path("benchmarks/rivals")
OWN, FULL = 3, 20  # least patience: as the space has it, or such that every epoch is trained


def ours(folder: Path, name: str, patience: int = FULL) -> Run:
    """Our search, its features below `folder`."""
    folder.mkdir(exist_ok=True)
    space = folder / "space.toml"
    narrowed = "callbacks_patience = 20\n" if patience == FULL else ""
    space.write_text(f'[all]\nfrozen = "all"\naugmentation = "no"\n{narrowed}')
    store = f"sqlite:///{folder / name}.db"
    options = ["--part", PART, "--data", RADIOGRAPHS, "--architecture", "densenet121", "--weights", "random"]
    options += ["--space", space, "--trials", TRIALS, "--epochs", EPOCHS]
    ended = run(["-m", "search.run", *options, "--runs", folder / "runs", "--store", store])
    trials = Store.open(store).trials()
    write_text_atomically(folder / f"{name}.json", json.dumps([proposed(trial) for trial in trials]))
    epochs = sum(trial.epochs_trained or 0 for trial in trials)
    return Run(ended.seconds, ended.processor_seconds, {**ended.told, "epochs_trained": epochs})


def proposed(trial: Trial) -> dict[str, Any]:
    """A trial's configuration as the rivals know it."""
    fixed = ("architecture", "frozen", "augmentation")
    return {name: value for name, value in trial.configuration.items() if name not in fixed}


def rival(name: str, images: Path, *options: object, trials: int = TRIALS, epochs: int = EPOCHS) -> Run:
    """A rival script."""
    return run([RIVALS / f"{name}.py", "--images", images, "--trials", trials, "--epochs", epochs, *options])


def naive(name: str, images: Path) -> dict[str, Any]:
    """A naive rival's 2 trials of 2 epochs, scaled to 50 of 20.

    An epoch costs what second ones did; a trial once what lies outside of its epochs (building, test metrics) and what
    its first epoch costs more (tracing); what lies outside of trials counts once.
    """
    ended = rival(name, images, "--least-patience", FULL, trials=2, epochs=2)
    epochs, trials = ended.told["epoch_seconds"], ended.told["trial_seconds"]
    later = statistics.mean(second for _, second in epochs)
    more = statistics.mean(trial - 2 * second for trial, (_, second) in zip(trials, epochs, strict=True))
    return {
        "seconds": round(ended.seconds - sum(trials) + TRIALS * (more + EPOCHS * later)),
        "epochs trained": TRIALS * EPOCHS,
        "scaled from": {
            "seconds of 2 trials x 2 epochs": round(ended.seconds, 1),
            "of a later epoch": round(later, 2),
            "of a trial besides": round(more, 1),
        },
    }


def figures(runs: list[Run]) -> dict[str, Any]:
    """The median run of several."""
    return {
        "seconds": round(statistics.median(each.seconds for each in runs), 1),
        "all seconds": [round(each.seconds, 1) for each in runs],
        "processor seconds": round(statistics.median(each.processor_seconds for each in runs), 1),
        "epochs trained": runs[0].told["epochs_trained"],
    }


Sides = dict[str, Callable[[int], Run]]


def sides(top: Path, images: Path) -> Sides:
    """What takes turns: name -> the run of a turn."""
    same = ("--least-patience", FULL, "--enqueue", top / "nothing0" / "first.json")
    ready = {name: ("--features", top / f"{name}.npz") for name in ("features_keras", "features_numpy")}
    for name, features in ready.items():
        rival(name, images, *features, trials=1, epochs=1)
    one, both = (*same, "--jobs", 1), (*same, "--by-hand")
    numpy = ready["features_numpy"]
    return {
        "ours, from nothing": lambda turn: ours(top / f"nothing{turn}", "first"),
        "(d), from nothing": lambda turn: rival("features_numpy", images, *one),
        "(d+), from nothing": lambda turn: rival("features_numpy", images, *both),
        "ours, features ready": lambda turn: ours(top / "nothing0", f"again{turn}"),
        "(d), features ready": lambda turn: rival("features_numpy", images, *one, *numpy),
        "(d+), features ready": lambda turn: rival("features_numpy", images, *both, *numpy),
        "ours, features ready, own patience": lambda turn: ours(top / "nothing0", f"own{turn}", OWN),
        "(d+), features ready, own patience": lambda turn: rival("features_numpy", images, *numpy),
        "(c), features ready": lambda turn: rival("features_keras", images, *same, *ready["features_keras"]),
    }


def main() -> None:
    """Run all sides in turns and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary)
        images = write_images(PART, top / "images.csv")
        starts = sides(top, images)
        ended: dict[str, list[Run]] = {side: [] for side in starts}
        for turn in range(repeats):
            for side, start in starts.items():
                if turn == 0 or "(c)" not in side:  # minutes: once
                    ended[side].append(start(turn))
        found = {side: figures(runs) for side, runs in ended.items()}
        found |= {
            "(a) naive Optuna": naive("naive_optuna", images),
            "(b) naive Keras Tuner": naive("naive_keras_tuner", images),
        }
        save("searches", {"task": str(__doc__).splitlines()[0], "sides": found, "ratios": ratios(found)})


def ratios(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The figures that are promised: seconds of one side over another's, whole processes."""

    def ratio(one: str, other: str) -> float:
        return round(found[one]["seconds"] / found[other]["seconds"], 2)

    nothing, ready = "ours, from nothing", "ours, features ready"
    return {
        "(a) / ours, from nothing": ratio("(a) naive Optuna", nothing),
        "(b) / ours, from nothing": ratio("(b) naive Keras Tuner", nothing),
        "(d) / ours, from nothing": ratio("(d), from nothing", nothing),
        "(d+) / ours, from nothing": ratio("(d+), from nothing", nothing),
        "(c) / ours, features ready": ratio("(c), features ready", ready),
        "ours / (d), features ready": ratio(ready, "(d), features ready"),
        "ours / (d+), features ready": ratio(ready, "(d+), features ready"),
        "ours / (d+), features ready, own patience": ratio(
            f"{ready}, own patience", "(d+), features ready, own patience"
        ),
    }


if __name__ == "__main__":
    main()
