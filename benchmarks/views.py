"""What bounding the augmented views changes: the same searches with 1, 2, 4, 8 views, and a fresh view each epoch.

With as many views as epochs every epoch has a fresh random view of each image, which is what augmentation on the fly
does. EfficientNet-Lite0 with ImageNet weights at 224 px, all frozen, XR_HAND; every level but `no`; several seeds.

    python -m benchmarks.views [--seeds N]
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import RADIOGRAPHS, run, save
from results.store import Store

EPOCHS, TRIALS = 20, 24
SPACE = '[all]\nfrozen = "all"\naugmentation = ["light", "deep", "strong"]\ncallbacks_patience = 20\nunits = [0, 64]\n'


def main() -> None:
    """Run the searches and save means over trials and seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory() as folder:
        found = {f"{views} views": measured(Path(folder), views, seeds) for views in (1, 2, 4, 8, EPOCHS)}
    save("views", {"searches": found})


def measured(folder: Path, views: int, seeds: int) -> dict[str, Any]:
    """Valid and test AUC by study, mean over all trials of all seeds, with the spread of the seeds' means."""
    space = folder / "space.toml"
    space.write_text(SPACE)
    valid, test, seconds = [], [], []
    for seed in range(seeds):
        store = folder / f"{views}-{seed}.db"
        line = ["-m", "search.run", "--part", "XR_HAND", "--data", RADIOGRAPHS, "--sampler", "random"]
        line += ["--architecture", "efficientnet_lite0", "--space", space, "--trials", TRIALS, "--epochs", EPOCHS]
        line += ["--views", views, "--seed", seed, "--runs", folder / "runs", "--store", f"sqlite:///{store}"]
        seconds.append(run(line).seconds)
        measures = Store.open(f"sqlite:///{store}").measures()
        for split, means in (("valid", valid), ("test", test)):
            found = [m.value for _, m in measures if (m.split, m.level, m.metric) == (split, "study", "auc")]
            means.append(statistics.mean(value for value in found if value is not None))
    return {
        "valid AUC, mean of trials": round(statistics.mean(valid), 4),
        "test AUC, mean of trials": round(statistics.mean(test), 4),
        "test AUC, seeds' means from to": [round(min(test), 4), round(max(test), 4)],
        "seconds of the first search": round(seconds[0], 1),
        "seconds of a later one": round(statistics.mean(seconds[1:]), 1) if seeds > 1 else None,
    }


if __name__ == "__main__":
    main()
