"""Images a second of `python -m predict` on 500 radiographs, beside its network alone.

    python -m benchmarks.predictions [--pairs N]

The command is a process from the start of Python on, its verdicts timed as it prints them: seconds to the first, and
the rate from there to the first verdict that has as many batches behind it as are decoded ahead, so that at both ends
as much has been done that is not counted. The network alone is the same model asked for the same images, decoded and
resized before, in the same batches, warmed up, in a process of its own. The two take turns.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.agreement import searched
from benchmarks.common import RADIOGRAPHS, REPOSITORY, run, save
from predict.chosen import ChosenModel, choose
from predict.files import image_files
from predict.networks import KERAS, ONNX
from predict.onnx_model import OnnxModel, to_whole_onnx
from predict.predictor import AHEAD, BATCH, Predictor
from radiographs.dataset import list_images
from radiographs.decoding import decode

PART, FILES = "XR_HAND", 500
LAST = (FILES // BATCH - AHEAD) * BATCH
ENGINES = (KERAS, ONNX)


def main() -> None:
    """Measure pairs and save, or one network alone as a child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--alone", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    parser.add_argument("--files", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps({"images_per_second": alone(options.alone, options.store, options.files)}))
        return
    with tempfile.TemporaryDirectory() as folder:
        best, *_ = searched(Path(folder), PART, "all", 2, "--epochs", 4)
        save("predictions", measured(best.url, copied(Path(folder, "files")), options.pairs))


def copied(folder: Path) -> Path:
    """A folder of so many radiographs as they are, those of the part again and again."""
    folder.mkdir()
    listed = list_images(RADIOGRAPHS, PART)
    for number, path in enumerate(islice(cycle(listed.images["path"]), FILES)):
        shutil.copy(listed.root / path, folder / f"{number:04d}{Path(path).suffix}")
    return folder


def measured(url: str, files: Path, pairs: int) -> dict[str, Any]:
    """All sides in turns."""
    found: dict[str, dict[str, list[float]]] = {engine: {} for engine in ENGINES}
    for _ in range(pairs):
        for engine, figures in found.items():
            told = command(engine, url, files)
            line = ["-m", "benchmarks.predictions", "--alone", engine, "--store", url, "--files", files]
            told["network alone, images/s"] = float(run(line).told["images_per_second"])
            for name, value in told.items():
                figures.setdefault(name, []).append(round(value, 3))
            print(engine, told, file=sys.stderr)
    return {engine: summary(figures) for engine, figures in found.items()}


def command(engine: str, url: str, files: Path) -> dict[str, float]:
    """Seconds to the first verdict, images a second from there on, and seconds in all."""
    line = [sys.executable, "-m", "predict", str(files), "--part", PART, "--store", url, "--engine", engine, "--csv"]
    start, times = time.perf_counter(), []
    with subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        times = [time.perf_counter() - start for _ in process.stdout][1:]  # the first line is of headings
    if process.returncode != 0 or len(times) != FILES:
        sys.exit(f"{' '.join(line)} ended with {process.returncode} and {len(times)} verdicts")
    return {
        "seconds to the first verdict": times[0],
        "then images/s": LAST / (times[LAST] - times[0]),
        "seconds in all": time.perf_counter() - start,
    }


def summary(figures: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, and of the pairs' ratios the extremes too."""
    told: dict[str, Any] = {name: round(statistics.median(values), 2) for name, values in figures.items()}
    both = zip(figures["then images/s"], figures["network alone, images/s"], strict=True)
    ratios = [ours / network for ours, network in both]
    told["ratio: median, least, greatest"] = [round(each(ratios), 3) for each in (statistics.median, min, max)]
    return {**told, "each turn": figures}


def alone(engine: str, url: str, files: Path) -> float:
    """Images a second of the network, on whole batches after the first."""
    size, pass_batch = network(engine, choose(url, PART, None))
    grey = np.stack([decode(path.read_bytes(), size) for path in image_files(files)])[..., None].astype(np.float32)
    starts = range(BATCH, len(grey) - BATCH + 1, BATCH)
    pass_batch(grey[:BATCH])
    begun = time.perf_counter()
    for start in starts:
        pass_batch(grey[start : start + BATCH])
    return len(starts) * BATCH / (time.perf_counter() - begun)


def network(engine: str, model: ChosenModel) -> tuple[int, Callable[[NDArray[np.float32]], Any]]:
    """The side of its images, and what passes a batch through it."""
    if engine == ONNX:
        loaded = OnnxModel(to_whole_onnx(model.path, {}))
        return loaded.size, loaded.run
    ((kept, _),) = Predictor(model, engine=engine).keras_models
    return int(kept.input.shape[1]), kept.predict_on_batch


if __name__ == "__main__":
    main()
