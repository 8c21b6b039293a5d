"""Whether every way to ask a model says what training stored, on all test images of a search on real radiographs.

    python -m benchmarks.agreement [--part XR_HAND] [--trials 4]

Two searches of efficientnet_lite0 at 224 px, one with the whole backbone frozen, one that trains its last block: the
best model of each, and the ensemble of its models. Commands and the page run as processes; the `.keras` file and the
exports run in processes that cannot import our code (benchmarks/outside.py). The figures are the largest absolute
differences of raw probabilities; 1e-4 is allowed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import predict
from benchmarks.common import RADIOGRAPHS, REPOSITORY, run, save
from predict.chosen import ChosenModel, choose
from predict.export import FORMATS
from results.ensemble_trial import make_ensemble
from results.store import Store
from tests.predict.serving import serving

ARCHITECTURE, CUTS = "efficientnet_lite0", ("all", "below_last_block")
MOST, TOGETHER = 20, "together"
OUTSIDE = Path(__file__).with_name("outside.py")
Raw = NDArray[np.float64]  # (images,)


@dataclass(frozen=True)
class Asked:
    """A stored model of a part, the files of its test split, and what training stored of them."""

    url: str
    model: ChosenModel
    paths: tuple[Path, ...]
    stored: Raw


def main() -> None:
    """Search, compare and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="XR_HAND")
    parser.add_argument("--trials", type=int, default=4, help="of each of the two searches")
    options = parser.parse_args()
    told: dict[str, Any] = {}
    for cut in CUTS:
        with tempfile.TemporaryDirectory() as folder:
            for of in searched(Path(folder), options.part, cut, options.trials):
                what = f"{'ensemble, ' if of.model.members else ''}frozen: {cut}"
                told[what] = {"images": len(of.paths), **dict(differences(of, Path(folder)))}
    save("agreement", {"part": options.part, "largest difference of a raw probability": told})


def searched(folder: Path, part: str, cut: str, trials: int, *more: object) -> Iterator[Asked]:
    """The best model of a search with that cut, and the ensemble of its models where one is better on valid.

    Args:
        more: options of the search.
    """
    url = f"sqlite:///{folder / 'results.db'}"
    (space := folder / "space.toml").write_text(f'[all]\nfrozen = "{cut}"\n')
    options = ["--part", part, "--data", RADIOGRAPHS, "--architecture", ARCHITECTURE, "--space", space]
    options += ["--trials", trials, "--keep-models", trials, "--runs", folder / "runs", "--store", url]
    run(["-m", "search.run", *options, *more])
    store = Store.open(url)
    try:
        yield asked(store, choose(url, part, None), url)
        if make_ensemble(store, part, MOST, TOGETHER, "") is not None:
            yield asked(store, choose(url, part, TOGETHER), url)
    finally:
        store.close()


def asked(store: Store, model: ChosenModel, url: str) -> Asked:
    """A model and the whole test split of its search."""
    (trial,) = (each for each in store.trials() if each.model_name == model.name)
    search = next(each for each in store.searches() if each.id == trial.search_id)
    images = store.image_list(str(search.data_hash), model.task, "test")
    stored = store.probabilities(trial.id, "test")
    assert stored is not None
    paths = tuple(RADIOGRAPHS / "MURA-v1.1" / path for path in images.paths)
    return Asked(url, model, paths, stored[:, 0].astype(np.float64))


def differences(of: Asked, folder: Path) -> Iterator[tuple[str, float]]:
    """Each way to ask, and its largest difference from what training stored.

    Args:
        folder: for exports and a server's log.
    """
    for way, ask in ways(of, folder).items():
        raw = ask()
        assert raw.shape == of.stored.shape
        apart = float(np.abs(raw - of.stored).max())
        print(f"{of.model.name}, {way}: {apart:.1e}", file=sys.stderr)
        yield way, apart


def ways(of: Asked, folder: Path) -> dict[str, Callable[[], Raw]]:
    """How a model is asked -> its raw probabilities. An ensemble has no file, and the page offers the best model."""
    every: dict[str, Callable[[], Raw]] = {
        "python -m predict --json": partial(by_command, of),
        "python -m predict --json --engine onnx": partial(by_command, of, "--engine", "onnx"),
        "predict.load().image(path)": partial(by_python, of, lambda path: path),
        "predict.load().image(array)": partial(by_python, of, as_array),
    }
    if of.model.members:
        return every
    exports = {f"{form}, without our code": partial(by_export, of, form, folder / form) for form in FORMATS}
    return {
        **every,
        "POST /v1/predict": partial(by_page, of, folder / "log"),
        "POST /v1/predict, --engine onnx": partial(by_page, of, folder / "log", "--engine", "onnx"),
        "keras.models.load_model, without our code": partial(outside, of, "keras", of.model.path),
        **exports,
    }


def by_command(of: Asked, *more: str) -> Raw:
    """All images by one command."""
    line = [sys.executable, "-m", "predict", *map(str, of.paths), *of_model(of), "--json", *more]
    ended = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    entries = json.loads(ended.stdout)
    assert [entry["path"] for entry in entries] == [*map(str, of.paths)]
    return np.array([entry["raw_probability"] for entry in entries])


def of_model(of: Asked) -> list[str]:
    """The options that name a model."""
    return ["--part", of.model.task, "--model", of.model.name, "--store", of.url]


def by_python(of: Asked, given: Callable[[Path], Any]) -> Raw:
    """Image by image, each as a path or as an array."""
    predictor = predict.load(of.model.task, of.url, of.model.name)
    return np.array([predictor.image(given(path)).raw_probability for path in of.paths])


def as_array(path: Path) -> NDArray[np.uint8]:
    """The grey pixels of a file at its own size."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def by_page(of: Asked, written: Path, *more: str) -> Raw:
    """Image by image, each a request; the page's model is the store's best.

    Args:
        written: for what the server writes.
    """
    with serving(written, "--store", of.url, "--part", of.model.task, *more) as server:
        answers = [server.post([path], part=of.model.task) for path in of.paths]
    found = [image for answer in answers for image in answer.json["images"]]
    assert {each["model"] for each in found} == {of.model.name}
    return np.array([each["raw_probability"] for each in found])


def by_export(of: Asked, form: str, out: Path) -> Raw:
    """By the program that the format is for."""
    line = [sys.executable, "-m", "predict.export", *of_model(of), "--format", form, "--out", str(out)]
    subprocess.run(line, cwd=REPOSITORY, capture_output=True, check=True)
    return outside(of, form, out)


def outside(of: Asked, form: str, path: Path) -> Raw:
    """In a process in which none of our code can be imported."""
    ended = subprocess.run(
        [sys.executable, "-I", str(OUTSIDE), form, str(path)],
        input=json.dumps([*map(str, of.paths)]),
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return np.array(json.loads(ended.stdout.splitlines()[-1]))[:, 0]


if __name__ == "__main__":
    main()
