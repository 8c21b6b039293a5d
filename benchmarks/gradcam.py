"""What Grad-CAM's heat maps are worth: a deletion test on real radiographs, and where the hot spot lies on drawn ones.

Searches find the models (efficientnet_lite0 with ImageNet weights, all frozen, 224 px, 12 trials of 8 epochs); all maps
are of test images. Deletion: the hottest tenth of an image's pixels takes the image's mean grey, against the same
region moved to random places (around the image's edges), so that shape and area are alike. Localisation: whether the
hot spot, the middle of the hottest pixel of the 7 x 7 map, lies in a box of the image's abnormalities. Chance: the
boxes' share of the image; and other images' hot spots, since abnormalities are not spread evenly. A map that is zero
everywhere counts as a miss, and is left out of the deletion test.

    python -m benchmarks.gradcam
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import RADIOGRAPHS, predictor_of, save
from plumbing.seeds import generator_of
from predict.gradcam import GradCam
from predict.heat import hottest, spread
from predict.predictor import Predictor
from radiographs.dataset import Listed, list_images
from radiographs.decoding import decode
from radiographs.parts import PARTS
from radiographs.synthetic import draw_dataset
from results.intervals import patient_weights, percentile_intervals
from results.rates import wilson_interval

REAL = ("XR_HAND", "XR_HUMERUS")  # XR_SHOULDER has too few abnormal patients to be searched
PATIENTS = 910  # of the drawn set, 130 a part
MOVES = 10  # random places an image
BATCH = 32


@dataclass(frozen=True)
class Seen:
    """A model's test images.

    Attributes:
        images: columns path, patient, label. grey: (images, size, size) uint8. raw: (images,) P(abnormal).
        heat: (images, height, width).
    """

    images: pd.DataFrame
    grey: NDArray[np.uint8]
    raw: NDArray[np.float64]
    heat: NDArray[np.float32]


def main() -> None:
    """Measure and save."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw_dataset(Path(folder) / "drawn", PATIENTS)
        save(
            "gradcam",
            {
                "deletion, real": dict(told_deletion(Path(folder), RADIOGRAPHS, REAL)),
                "hot spot, drawn": dict(told_places(Path(folder), drawn, PARTS)),
            },
        )


def seen(predictor: Predictor, listed: Listed) -> Seen:
    """What the model says of the test images, and their heat maps."""
    images = listed.images[listed.images["split"] == "test"].reset_index(drop=True)
    grey = np.stack([decode((listed.root / path).read_bytes(), predictor.size) for path in images["path"]])
    gradcam = GradCam(predictor)
    sized = [{predictor.size: each} for each in grey]
    heat = [gradcam.heats(sized[n : n + BATCH], ["abnormal"] * len(sized[n : n + BATCH])) for n in starts(grey)]
    return Seen(images, grey, raw_of(predictor, grey), np.concatenate(heat))


def raw_of(predictor: Predictor, grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """P(abnormal) of each image."""
    sized = [{predictor.size: each} for each in grey]
    return np.concatenate([predictor.answer(sized[n : n + BATCH]).probability[:, 0] for n in starts(grey)])


def starts(grey: NDArray[np.uint8]) -> range:
    """Where batches begin."""
    return range(0, len(grey), BATCH)


def told_deletion(folder: Path, data: Path, parts: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each part's deletion test."""
    for part in parts:
        predictor = predictor_of(folder, data, part)
        yield part, deletion(predictor, seen(predictor, list_images(data, part)))


def deletion(predictor: Predictor, found: Seen) -> dict[str, Any]:
    """How much P(abnormal) falls where the hottest tenth is hidden, and where the same region lies elsewhere."""
    hot = found.heat.any(axis=(1, 2))
    grey, raw, images = found.grey[hot], found.raw[hot], found.images[hot]
    inside = np.stack([hottest(spread(each, predictor.size, predictor.size)) for each in found.heat[hot]])
    generator = generator_of("deletion")
    moved = [[shifted(each, generator) for each in inside] for _ in range(MOVES)]
    falls = raw - raw_of(predictor, hidden(grey, inside))
    falls_moved = np.stack([raw - raw_of(predictor, hidden(grey, np.stack(each))) for each in moved]).mean(axis=0)
    wins = int((falls > falls_moved).sum())
    told = {
        "images": len(raw),
        "without heat": int((~hot).sum()),
        "P(abnormal) lower by, hottest tenth hidden": with_interval(falls, images),
        "the same region elsewhere": with_interval(falls_moved, images),
        "difference": with_interval(falls - falls_moved, images),
        "images where the hottest lowers it more": share(wins, len(raw)),
    }
    called = raw > 0.5
    if called.any():
        told["difference, images called abnormal"] = [
            int(called.sum()),
            *with_interval((falls - falls_moved)[called], images[called]),
        ]
    return told


def shifted(inside: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.bool_]:
    """The region moved, over one edge and in by the other."""
    down, right = generator.integers(inside.shape)
    return np.roll(inside, (int(down), int(right)), axis=(0, 1))


def hidden(grey: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The images with the mean grey of each inside a region."""
    means = np.rint(grey.mean(axis=(1, 2), keepdims=True)).astype(np.uint8)
    return np.where(inside, means, grey)


def with_interval(values: NDArray[np.float64], images: pd.DataFrame) -> list[float]:
    """The mean over images, with its 95 % patient bootstrap interval."""
    patients = np.unique(images["patient"], return_inverse=True)[1]
    weights = patient_weights(patients, images["label"].to_numpy(np.int64))
    (interval,) = percentile_intervals((weights @ values / weights.sum(axis=1))[None])
    return [round(float(each), 4) for each in (values.mean(), *(interval or ()))]


def share(successes: int, cases: int) -> list[float]:
    """Successes, cases, their share and its Wilson interval."""
    return [successes, cases, *(round(each, 3) for each in (successes / cases, *wilson_interval(successes, cases)))]


def told_places(folder: Path, root: Path, parts: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each part's localisation, and all parts' together."""
    boxes = pd.read_csv(root / "abnormalities.csv").groupby("path")
    every: list[dict[str, NDArray[np.float64]]] = []
    for part in parts:
        predictor = predictor_of(folder, root, part)
        found = seen(predictor, list_images(root, part))
        every.append(places(found, root, boxes))
        yield part, localisation(every[-1])
    yield "all", localisation({name: np.concatenate([each[name] for each in every]) for name in every[0]})


def places(found: Seen, root: Path, boxes: Any) -> dict[str, NDArray[np.float64]]:
    """Of each image with a visible abnormality: hit, chance by area, chance by others' hot spots, called abnormal."""
    shown = [number for number, path in enumerate(found.images["path"]) if f"{root.name}/{path}" in boxes.groups]
    masks = [inside_boxes(root, found.images["path"][number], boxes) for number in shown]
    spots = [hot_spot(found.heat[number]) for number in shown]
    hits = np.array([[lies_in(spot, mask) for spot in spots] for mask in masks], float)
    own = np.diag(hits)
    others = (hits.sum(axis=1) - own) / (len(shown) - 1)
    area = np.array([mask.mean() for mask in masks])
    return {"hit": own, "area": area, "others": others, "called": found.raw[shown] > 0.5}


def inside_boxes(root: Path, path: str, boxes: Any) -> NDArray[np.bool_]:
    """(height, width): the image's pixels inside a box of its abnormalities."""
    with Image.open(root / path) as image:
        inside = np.zeros((image.height, image.width), bool)
    for box in boxes.get_group(f"{root.name}/{path}").itertuples():
        inside[box.top : box.bottom, box.left : box.right] = True
    return inside


def hot_spot(heat: NDArray[np.float32]) -> tuple[float, float] | None:
    """The middle of the hottest pixel as shares of height and width; None where all is zero."""
    if not heat.any():
        return None
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    return (float(row) + 0.5) / heat.shape[0], (float(column) + 0.5) / heat.shape[1]


def lies_in(spot: tuple[float, float] | None, inside: NDArray[np.bool_]) -> bool:
    """Whether the spot lies in the region."""
    if spot is None:
        return False
    height, width = inside.shape
    return bool(inside[int(spot[0] * height), int(spot[1] * width)])


def localisation(of: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """How often the hot spot lies on an abnormality, with Wilson's interval, beside both chances."""
    called = of["called"].astype(bool)
    told = {
        "images with an abnormality": len(of["hit"]),
        "hot spot on it": share(int(of["hit"].sum()), len(of["hit"])),
        "area of its boxes": round(float(of["area"].mean()), 3),
        "others' hot spots on it": round(float(of["others"].mean()), 3),
    }
    if called.any():
        told["hot spot on it, images called abnormal"] = share(int(of["hit"][called].sum()), int(called.sum()))
        told["area, images called abnormal"] = round(float(of["area"][called].mean()), 3)
    return told


if __name__ == "__main__":
    main()
