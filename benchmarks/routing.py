"""How often the part of a test image that is not told is found, and what a low P(part) warns of.

A search on real radiographs finds a model of all parts (efficientnet_lite0 with ImageNet weights, all frozen, 224 px,
without augmentation); `predict.routing.Router` asks it, as `python -m predict` without --part does. Test images are of
three parts; the model has been shown these, and may name any of the seven. Intervals are bootstraps of patients, that
of the mean over parts within each part.

    python -m benchmarks.routing
"""

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import RADIOGRAPHS, predictor_of, save
from benchmarks.strangers import RESAMPLES, of_groups
from plumbing.seeds import generator_of
from predict.networks import ONNX
from predict.predictor import Predictor
from predict.routing import SURE, Router
from predict.verdicts import Verdict
from radiographs.dataset import list_images
from radiographs.parts import ALL_PARTS

COLUMNS = ["part", "patient", "found", "probability"]  # the true part, and the one found with its P


def main() -> None:
    """Measure and save."""
    listed = list_images(RADIOGRAPHS, ALL_PARTS)
    test = listed.images[listed.images["split"] == "test"].assign(path=lambda own: [listed.root / p for p in own["path"]])
    train = listed.images[listed.images["split"] == "train"]
    with tempfile.TemporaryDirectory() as folder:
        finder = predictor_of(Path(folder), RADIOGRAPHS, ALL_PARTS).model
        router = Router(f"sqlite:///{Path(folder) / 'radiographs-all'}.db", partial(Predictor, engine=ONNX))
        images = [each for each in router.images(list(test["path"])) if isinstance(each, Verdict)]
        by_image = of_verdicts(test, images)
        by_study = of_verdicts(test.drop_duplicates("study").assign(path=lambda o: [p.parent for p in o["path"]]), router.studies(images))
    commonest = {"by image": train["part"].mode()[0], "by study": train.drop_duplicates("study")["part"].mode()[0]}
    save("routing", {"SURE": SURE, **{name: dict(figures(asked, commonest)) for name, asked in {"by image": by_image, "by study": by_study}.items()}})
