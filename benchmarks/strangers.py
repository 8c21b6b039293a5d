"""How often what a model was not trained on is said to be strange, at 5 % false alarms on valid.

Searches on real radiographs find the models (efficientnet_lite0 with ImageNet weights, 224 px, without augmentation).
Asked of each: test images of its own part (false alarms, which the threshold was not fitted on), radiographs of the
other parts, photographs, pages of text, noise, and blank images. Photographs are those that scikit-image and
scikit-learn carry, and whatever lies in the folder that PHOTOS names; of each the whole and its four quarters.
Intervals are bootstraps of patients and of photographs, and Wilson's for what is drawn here.

    PHOTOS=DIR python -m benchmarks.strangers
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.common import RADIOGRAPHS, predictor_of, save
from plumbing.seeds import generator_of
from predict.networks import ONNX
from predict.predictor import Predictor
from radiographs.dataset import list_images
from results.rates import wilson_interval

PARTS = {"XR_HAND": ("XR_HUMERUS", "XR_SHOULDER"), "XR_HUMERUS": ("XR_HAND", "XR_SHOULDER")}
CUTS = {"all": 12, "below_last_block": 4}  # trials
DRAWN = 60  # images of each kind that is drawn
# Those of scikit-image that are photographs.
PICTURES = """astronaut brick camera cell chelsea clock_motion coffee coins grass gravel hubble_deep_field ihc moon
    motorcycle_left retina rocket"""
WORDS = "a report of one page with lines that somebody wrote and then sent by mistake in place of the picture"
SIDE = 512
RESAMPLES = 2000

Grey = NDArray[np.uint8]
# Images by what they come from: a patient, a photograph, or each for itself.
Groups = Sequence[Sequence[Grey]]


def main() -> None:
    """Measure and save."""
    sets = {"photographs": photographs(), **drawn()}
    told: dict[str, Any] = {"photographs": len(sets["photographs"])}
    with tempfile.TemporaryDirectory() as folder:
        for part, others in PARTS.items():
            for cut, trials in CUTS.items():
                predictor = predictor_of(Path(folder), RADIOGRAPHS, part, cut, trials)
                asked = {"own part, test": radiographs(part, ("test",)), **{each: radiographs(each) for each in others}}
                told[f"{part}, frozen: {cut}"] = dict(rates(Predictor(predictor.model, engine=ONNX), asked | sets))
    save("strangers", told)


def rates(predictor: Predictor, sets: Mapping[str, Groups]) -> Iterator[tuple[str, list[float]]]:
    """Of each set the images said to be strange, the images, their share, and its 95 % interval."""
    for name, groups in sets.items():
        strange = [[bool(predictor.in_memory(each).is_strange) for each in group] for group in groups]
        flat = [each for group in strange for each in group]
        grouped = len(flat) > len(strange)
        interval = of_groups(strange) if grouped else wilson_interval(sum(flat), len(flat))
        yield name, [sum(flat), len(flat), *(round(float(each), 3) for each in (np.mean(flat), *interval))]


def of_groups(strange: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """The 95 % percentile interval of the share, groups being drawn anew."""
    return interval_of(drawn_shares(strange))


def drawn_shares(groups: Sequence[Sequence[bool]], *name: str) -> NDArray[np.float64]:
    """(`RESAMPLES`,) the share in each bootstrap draw of groups; other names draw others."""
    counts = np.array([[sum(each), len(each)] for each in groups])
    draws = generator_of("strangers", *name).integers(len(counts), size=(RESAMPLES, len(counts)))
    hits, images = counts[draws].sum(axis=1).T
    return np.asarray(hits / images)


def interval_of(shares: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile interval of a share from its draws."""
    low, high = np.quantile(shares, (0.025, 0.975))
    return float(low), float(high)


def radiographs(part: str, splits: Sequence[str] = ("train", "valid", "test")) -> Groups:
    """A part's images, patient by patient."""
    listed = list_images(RADIOGRAPHS, part) if part != "XR_SHOULDER" else list_images(RADIOGRAPHS, "all_parts")
    images = listed.images[(listed.images["part"] == part) & listed.images["split"].isin(splits)]
    return [[read(listed.root / path) for path in own["path"]] for _, own in images.groupby("patient")]


def read(path: Path) -> Grey:
    """The grey pixels of a file, at most `SIDE` wide and high: a network wants less."""
    with Image.open(path) as image:
        image.thumbnail((2 * SIDE, 2 * SIDE))
        return np.asarray(image.convert("L"))


def photographs() -> Groups:
    """Each photograph whole, and its quarters."""
    paths = [path for name in PICTURES.split() for path in (package("skimage") / "data").glob(f"{name}.*")]
    paths += sorted((package("sklearn") / "datasets" / "images").glob("*.jpg"))
    if folder := os.environ.get("PHOTOS"):
        paths += sorted(Path(folder).glob("*.jpg"))
    return [quarters(read(path)) for path in paths]


def package(name: str) -> Path:
    """The folder of an installed package; it is not imported."""
    found = find_spec(name)
    if found is None or found.origin is None:
        sys.exit(f"{name} is not installed: pip install -r benchmarks/requirements.txt")
    return Path(found.origin).parent


def quarters(grey: Grey) -> list[Grey]:
    """The image, and its four quarters."""
    down, right = grey.shape[0] // 2, grey.shape[1] // 2
    return [grey, *(grey[top : top + down, left : left + right] for top in (0, down) for left in (0, right))]


def drawn() -> dict[str, Groups]:
    """Pages of text, dark ones among them, three kinds of noise, and blank images; each image for itself."""
    kinds: dict[str, Callable[[np.random.Generator], Grey]] = {
        "pages of text": page,
        "noise, even": lambda draw: draw.integers(0, 256, (SIDE, SIDE), np.uint8),
        "noise, normal": lambda draw: np.clip(draw.normal(128, 40, (SIDE, SIDE)), 0, 255).astype(np.uint8),
        "noise, clouds": clouds,
        "blank": lambda draw: np.full((SIDE, SIDE), draw.integers(256), np.uint8),
    }
    return {
        name: [[make(generator_of("strangers", name, number))] for number in range(DRAWN)]
        for name, make in kinds.items()
    }


def page(draw: np.random.Generator) -> Grey:
    """Lines of words, black on white or white on black."""
    ink, paper = ((0, 255), (255, 0))[int(draw.integers(2))]
    image, size = Image.new("L", (800, 1100), paper), int(draw.integers(14, 34))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for top in range(60, 1040, int(1.4 * size)):
        if draw.random() > 0.1:  # else the end of a paragraph
            words = draw.choice(WORDS.split(), draw.integers(4, 280 // size + 5))
            pen.text((60, top), " ".join(words), ink, font)
    return np.asarray(image)


def clouds(draw: np.random.Generator) -> Grey:
    """Noise without fine detail."""
    coarse = Image.fromarray(draw.integers(0, 256, (12, 12), np.uint8))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()
