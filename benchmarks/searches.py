"""Whole searches beside the rivals': frozen DenseNet121, 224 px, XR_HAND, no augmentation, 50 trials, up to 20 epochs.

Each side runs as a process of its own, ours with its durable store, models and report of the best; sides take turns.
The naive rivals run 2 trials of 2 epochs and are scaled up by epochs.

    python -m benchmarks.searches [--repeats N]
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import RADIOGRAPHS, Run, run, save, write_images

PART, TRIALS, EPOCHS = "XR_HAND", 50, 20
RIVALS = Path("benchmarks/rivals")


def ours(folder: Path, name: str, trials: int = TRIALS, seed: int = 0) -> Run:
    """Our search, its features below `folder`."""
    space = folder / "space.toml"
    space.write_text('[all]\nfrozen = "all"\naugmentation = "no"\n')
    store = f"sqlite:///{folder / name}.db"
    options = ["--part", PART, "--data", RADIOGRAPHS, "--architecture", "densenet121", "--weights", "random"]
    options += ["--space", space, "--trials", trials, "--epochs", EPOCHS, "--seed", seed]
    ended = run(["-m", "search.run", *options, "--runs", folder / "runs", "--store", store])
    rows = run(["-c", _EPOCHS, store])
    return Run(ended.seconds, ended.processor_seconds, {**ended.told, "epochs_trained": rows.told["epochs"]})


_EPOCHS = """
import json, sys
from results.store import Store
print(json.dumps({"epochs": sum(trial.epochs_trained or 0 for trial in Store.open(sys.argv[1]).trials())}))
"""


def rival(name: str, images: Path, *options: object, trials: int = TRIALS, epochs: int = EPOCHS) -> Run:
    """A rival script."""
    return run([RIVALS / f"{name}.py", "--images", images, "--trials", trials, "--epochs", epochs, *options])


def figures(runs: list[Run]) -> dict[str, Any]:
    """The median run of several."""
    return {
        "seconds": round(statistics.median(each.seconds for each in runs), 1),
        "all seconds": [round(each.seconds, 1) for each in runs],
        "processor seconds": round(statistics.median(each.processor_seconds for each in runs), 1),
        "epochs trained": runs[0].told["epochs_trained"],
    }


def scaled(ended: Run, epochs: int) -> dict[str, Any]:
    """A naive rival's time for 50 trials of so many epochs in all.

    Later epochs cost what its second ones did; each trial pays once what a first epoch costs more (tracing); what lies
    outside of epochs counts once.
    """
    firsts, seconds = zip(*ended.told["epoch_seconds"], strict=True)
    later, more = statistics.mean(seconds), statistics.mean(firsts) - statistics.mean(seconds)
    outside = ended.seconds - sum(firsts) - sum(seconds)
    return {
        "seconds of 2 trials x 2 epochs": round(ended.seconds, 1),
        "seconds of a later epoch": round(later, 2),
        "seconds": round(outside + TRIALS * more + epochs * later),
        "epochs trained": epochs,
        "scaled": True,
    }


def main() -> None:
    """Run all sides in turns and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary)
        images = write_images(PART, top / "images.csv")
        sides: dict[str, Callable[[int], Run]] = {
            "ours, from nothing": lambda turn: ours(_new(top / f"nothing{turn}"), "first"),
            "ours, features ready": lambda turn: ours(top / "nothing0", f"again{turn}"),
            "(c) features kept, Keras fit, features ready": lambda turn: rival(
                "features_keras", images, "--features", top / "c.npz"
            ),
            "(d) numpy heads, from nothing": lambda turn: rival("features_numpy", images),
            "(d) numpy heads, own ONNX graph, from nothing": lambda turn: rival("features_numpy", images, "--by-hand"),
            "(d) numpy heads, features ready": lambda turn: rival(
                "features_numpy", images, "--features", top / "d.npz"
            ),
        }
        rival("features_keras", images, "--features", top / "c.npz", trials=1, epochs=1)
        rival("features_numpy", images, "--features", top / "d.npz", trials=1, epochs=1)
        ended: dict[str, list[Run]] = {side: [] for side in sides}
        for turn in range(repeats):
            for side, start in sides.items():
                if turn == 0 or "(c)" not in side:  # minutes: once
                    ended[side].append(start(turn))
        epochs = ended["ours, from nothing"][0].told["epochs_trained"]
        naive = {
            "(a) naive Optuna": scaled(rival("naive_optuna", images, trials=2, epochs=2), epochs),
            "(b) naive Keras Tuner": scaled(rival("naive_keras_tuner", images, trials=2, epochs=2), epochs),
        }
        found = {side: figures(runs) for side, runs in ended.items()} | naive
        save("searches", {"task": __doc__.splitlines()[0], "sides": found, "ratios": ratios(found)})


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def ratios(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Rivals' seconds over ours, whole processes, and for heads the same by epoch trained."""
    nothing, ready = found["ours, from nothing"], found["ours, features ready"]
    kept, numpy = "(c) features kept, Keras fit, features ready", "(d) numpy heads, features ready"
    return {
        "(a) scaled / ours from nothing": _ratio(found["(a) naive Optuna"], nothing),
        "(b) scaled / ours from nothing": _ratio(found["(b) naive Keras Tuner"], nothing),
        "(d) / ours, from nothing": _ratio(found["(d) numpy heads, from nothing"], nothing),
        "(d) own graph / ours, from nothing": _ratio(found["(d) numpy heads, own ONNX graph, from nothing"], nothing),
        "(c) / ours, features ready": _ratio(found[kept], ready),
        "(c) / ours, features ready, by epoch": _by_epoch(found[kept], ready),
        "ours / (d), features ready": _ratio(ready, found[numpy]),
        "ours / (d), features ready, by epoch": _by_epoch(ready, found[numpy]),
    }


def _ratio(one: dict[str, Any], other: dict[str, Any]) -> float:
    return round(one["seconds"] / other["seconds"], 2)


def _by_epoch(one: dict[str, Any], other: dict[str, Any]) -> float:
    return round(one["seconds"] / one["epochs trained"] / (other["seconds"] / other["epochs trained"]), 2)


if __name__ == "__main__":
    main()
