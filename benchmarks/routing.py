"""How often the part of a test image is found where nobody tells it, and whether P(part) warns of the wrong ones.

A search on real radiographs finds a model of all parts (efficientnet_lite0 with ImageNet weights, all frozen, 224 px,
without augmentation). `predict.routing.Router` asks it, as `python -m predict` does without --part: each image alone,
and each study. Test images are of three parts; the model may name any of seven. Intervals are bootstraps of patients.

    python -m benchmarks.routing
"""

import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import RADIOGRAPHS, predictor_of, save, store_of
from benchmarks.strangers import drawn_shares, interval_of
from predict.networks import ONNX
from predict.predictor import Predictor
from predict.routing import SURE, Router
from predict.verdicts import Unread, Verdict
from radiographs.dataset import list_images
from radiographs.parts import ALL_PARTS


def main() -> None:
    """Measure and save."""
    listed = list_images(RADIOGRAPHS, ALL_PARTS)
    train, test = (listed.images[listed.images["split"] == split] for split in ("train", "test"))
    paths = [listed.root / path for path in test["path"]]
    with tempfile.TemporaryDirectory() as folder:
        predictor_of(Path(folder), RADIOGRAPHS, ALL_PARTS)
        router = Router(store_of(Path(folder), RADIOGRAPHS), partial(Predictor, engine=ONNX))
        verdicts = list(router.images(paths))
        by_image = found_parts(test, paths, verdicts)
        by_study = found_parts(test, [path.parent for path in paths], router.studies(verdicts))
    commonest = str(train["part"].mode()[0])
    asked = {"by image": by_image, "by study": by_study[~test["study"].duplicated()]}
    save("routing", {"SURE": SURE, **{name: figures(each, commonest) for name, each in asked.items()}})


def found_parts(test: pd.DataFrame, places: Sequence[Path], verdicts: Iterable[Verdict | Unread]) -> pd.DataFrame:
    """Columns part (the true one), patient, found and probability; a row for each place, an image or a study's folder.

    Raises: KeyError where a place has no verdict.
    """
    found = {each.path: each.found for each in verdicts if isinstance(each, Verdict) and each.found is not None}
    told = [found[str(place)] for place in places]
    return test[["part", "patient"]].assign(
        found=[each.label for each in told], probability=[each.probability for each in told]
    )


def figures(asked: pd.DataFrame, commonest: str) -> dict[str, Any]:
    """Shares given the right part, as `share` has them, and how many of the wrong and the right ones are warned of."""
    is_right, is_warned = asked["found"] == asked["part"], asked["probability"] < SURE
    parts = {str(part): (is_right[own.index], own["patient"]) for part, own in asked.groupby("part")}
    means = np.mean([drawn_shares(groups(*each), part) for part, each in parts.items()], axis=0)
    mean = np.mean([right.mean() for right, _ in parts.values()])
    return {
        "right": {part: share(*each) for part, each in parts.items()} | {"all": share(is_right, asked["patient"])},
        "mean of the parts' shares": [round(float(each), 3) for each in (mean, *interval_of(means))],
        f"were all called {commonest}": share(asked["part"] == commonest, asked["patient"]),
        "wrong, and of these warned of": [int((~is_right).sum()), int((~is_right & is_warned).sum())],
        "right, and of these warned of": [int(is_right.sum()), int((is_right & is_warned).sum())],
        "wrong: part, found, P": [
            [row.part, row.found, round(float(row.probability), 3)] for row in asked[~is_right].itertuples()
        ],
    }


def share(is_right: pd.Series, patient: pd.Series) -> list[float]:
    """How many are right, of how many, their share, and its 95 % interval."""
    ends = interval_of(drawn_shares(groups(is_right, patient)))
    rounded = [round(float(each), 3) for each in (is_right.mean(), *ends)]
    return [int(is_right.sum()), len(is_right), *rounded]


def groups(is_right: pd.Series, patient: pd.Series) -> list[list[bool]]:
    """Patient by patient."""
    return [list(own) for _, own in is_right.groupby(patient)]


if __name__ == "__main__":
    main()
