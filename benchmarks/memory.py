"""Memory of a search over 300 trials: of heads alone, and of heads and tails trained by TensorFlow.

    python -m benchmarks.memory [--trials N]

Writes docs/memory.png.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import RADIOGRAPHS, REPOSITORY, save

SPACES = {
    "heads alone": '[all]\nfrozen = "all"\n',
    "heads and tails": "",
}


def main() -> None:
    """Run both searches, save the figures and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=300)
    trials = parser.parse_args().trials
    curves = {kind: measured(space, trials) for kind, space in SPACES.items()}
    draw(curves)
    save(
        "memory",
        {
            kind: {
                "MB at trial 20": curve[19],
                "MB at the last": curve[-1],
                "growth, MB": round(curve[-1] - curve[19], 1),
            }
            for kind, curve in curves.items()
        },
    )


def measured(space: str, trials: int) -> list[float]:
    """Memory that the search holds for itself (files mapped from the cache apart) after each trial, in MB."""
    with tempfile.TemporaryDirectory() as folder:
        narrowed = Path(folder) / "space.toml"
        narrowed.write_text(space)
        line = [sys.executable, "-m", "search.run", "--part", "XR_HAND", "--data", str(RADIOGRAPHS)]
        line += [
            "--architecture",
            "efficientnet_lite0",
            "--image-size",
            "32",
            "--epochs",
            "5",
            "--space",
            str(narrowed),
        ]
        line += ["--trials", str(trials), "--store", f"sqlite:///{folder}/results.db", "--runs", folder]
        found = []
        with subprocess.Popen(
            line, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            for told in process.stderr:
                if told.startswith("trial "):
                    found.append(own_memory(process.pid))
    return found


def own_memory(process: int) -> float:
    """A process's anonymous memory in MB (Linux: RssAnon)."""
    status = Path(f"/proc/{process}/status").read_text()
    match = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert match is not None
    return round(int(match[1]) / 1024, 1)


def draw(curves: dict[str, list[float]]) -> None:
    """Memory by trial."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.5), layout="constrained")
    for kind, curve in curves.items():
        axes.plot(range(1, len(curve) + 1), curve, label=kind)
    axes.set(xlabel="trials ended", ylabel="MB", ylim=(0, None), title="Memory of a search")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(REPOSITORY / "docs" / "memory.png", dpi=150)


if __name__ == "__main__":
    main()
