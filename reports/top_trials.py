"""The best trials of a part that have stored probabilities, with their studies, before and after temperature scaling.

Everything is by study, and asks only whether normal or abnormal: of 14 classes P(abnormal) is the sum over the seven
abnormal ones, as in `results.evaluation`. The temperature is that of `predict`: fitted on the images of valid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial

import numpy as np
import pandas as pd

from plumbing.errors import StoreError
from reports.accuracy_plot import row_labels
from reports.ranking import ranked
from results.calibration import fit_temperature
from results.evaluation import as_abnormal, calibrated, study_cases
from results.metrics import Floats, Integers
from results.records import ImageList
from results.store import Store

TOP = 4
SPLITS = ("valid", "test")


@dataclass(frozen=True)
class Studies:
    """A split's studies; each (studies,).

    Attributes:
        abnormal: 0 or 1. patients: numbered. raw: P(abnormal) as the trained network gives it. scaled: the same after
            temperature scaling.
    """

    abnormal: Integers
    patients: Integers
    raw: Floats
    scaled: Floats


@dataclass(frozen=True)
class TopTrial:
    """A trial and what it said of each study.

    Attributes:
        label: unique among the part's trials. data_hash: trials that share it were measured on the same studies.
        splits: `SPLITS` to their studies, valid always there; a split without stored probabilities, or with one class
            only, is left out.
    """

    part: str
    rank: int
    search: str
    trial: int
    label: str
    data_hash: str
    temperature: float
    splits: Mapping[str, Studies]

    @property
    def columns(self) -> dict[str, object]:
        """What names it in a table."""
        return {
            "part_body": self.part,
            "rank": self.rank,
            "search": self.search,
            "trial": self.trial,
            "label": self.label,
        }


@dataclass(frozen=True)
class PartData:
    """What the plots of a part are made from; `trials` as `reports.confirmed.with_confirmation` gives them."""

    store: Store
    trials: pd.DataFrame
    part: str

    @cached_property
    def top(self) -> list[TopTrial]:
        """Read once for all plots."""
        return top_trials(self.store, self.trials, self.part)


def top_trials(store: Store, trials: pd.DataFrame, part: str, top: int = TOP) -> list[TopTrial]:
    """The first `top` of the part's ranked trials whose probabilities on valid are stored, best first.

    Args:
        trials: as `results.table.trials_table` gives them.
    """
    rows = ranked(trials, part)
    lists = cache(partial(_image_list, store, part))
    found: list[TopTrial] = []
    for label, row in zip(row_labels(rows), rows.itertuples(index=False), strict=True):
        temperature, splits = _splits(store, row.trial_id, partial(lists, row.data_hash))
        if "valid" in splits:
            found.append(TopTrial(part, row.rank, row.search, row.trial, label, row.data_hash, temperature, splits))
        if len(found) == top:
            break
    return found


def _image_list(store: Store, part: str, data_hash: str, split: str) -> ImageList | None:
    try:
        return store.image_list(data_hash, part, split)
    except StoreError:
        return None  # probabilities whose image list is not stored


def _splits(
    store: Store, trial_id: int, list_of: Callable[[str], ImageList | None]
) -> tuple[float, dict[str, Studies]]:
    temperature, found = 1.0, {}
    for split in SPLITS:
        probability = store.probabilities(trial_id, split)
        images = None if probability is None else list_of(split)
        if probability is None or images is None:
            continue
        exact = probability.astype(np.float64)
        if split == "valid":
            temperature = fit_temperature(exact, images.labels)
        studies = _studies(images, exact, temperature)
        if 0 < studies.abnormal.sum() < len(studies.abnormal):
            found[split] = studies
    return temperature, found


def _studies(images: ImageList, probability: Floats, temperature: float) -> Studies:
    cases = study_cases(images, probability)
    raw, scaled = as_abnormal(cases), as_abnormal(calibrated(cases, temperature))
    return Studies(raw.labels, raw.patients, raw.probability[:, 0], scaled.probability[:, 0])
