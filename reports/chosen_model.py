"""The model that a part's card is about, with all that the store knows of it.

It is the first of the default ranking whose model file is kept and whose valid probabilities are stored, which is the
one that `python -m predict` uses; where no file is kept, the first with probabilities. An import has none.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from plumbing.errors import StoreError
from radiographs.parts import TASKS
from reports.board import Judge
from reports.data_look import task_hash
from reports.ranking import ranked, ranked_by
from reports.top_trials import TopTrial, top_trials
from results.certainty import Certainty
from results.records import ENSEMBLE, FINISHED, SEARCH, SPLITS, ImageList, Search
from results.store import Store
from spaces import ARCHITECTURES
from spaces.architecture import Architecture


@dataclass(frozen=True)
class Looked:
    """Radiographs that were looked at: `images` as `reports.explore.explore` surveys them, `leaks` as it finds them."""

    images: pd.DataFrame
    leaks: pd.DataFrame


@dataclass(frozen=True)
class Chosen:
    """A part's model.

    Attributes:
        row: of `reports.ranking.ranked`, with its rank. finished: trials in that ranking. column: that it went by.
        sure: how sure the ranking is among the trials on its data. top: what it said of valid and test.
        images: split -> its images. kept: whether its model file is. predicted: whether `predict` takes it for the
            part.
        pixels: an image's path -> its width times its height. leaks: how many times its images are, exactly or nearly,
            in two splits. Both None where its radiographs were not looked at.
    """

    part: str
    row: pd.Series
    finished: int
    column: str
    search: Search
    sure: Certainty | None
    top: TopTrial
    images: Mapping[str, ImageList]
    kept: bool
    predicted: bool
    pixels: Mapping[str, int] | None = None
    leaks: int | None = None

    @cached_property
    def architecture(self) -> Architecture | None:
        """What the network says of itself; None of a user's own or an unknown one."""
        if self.search.settings.get("own model"):
            return None
        return next((each for each in ARCHITECTURES if each.name == self.row["architecture"]), None)

    @property
    def is_compared(self) -> bool:
        """Whether other trials were measured on the same patients, and these are enough to tell trials apart."""
        return self.sure is not None and self.row["trial_id"] in self.sure.trial_ids and not self.sure.too_few

    @property
    def is_first(self) -> bool:
        """Whether it is the very trial that `sure.corrected` speaks of."""
        return self.sure is not None and self.row["trial_id"] == self.sure.best


def chosen_model(
    store: Store,
    trials: pd.DataFrame,
    searches: Sequence[Search],
    judge: Judge,
    part: str,
    looked: Looked | None = None,
) -> Chosen | None:
    """The part's model, None where no trial of a search has stored probabilities.

    Args:
        trials: as `reports.confirmed.with_confirmation` gives them. looked: of any data; used where they are those that
            the model was searched on.
    """
    trials = trials[trials["kind"] != ENSEMBLE]  # beside the trials, not one of them
    rows = ranked(trials, part)
    ours = rows[rows["kind"] == SEARCH]
    kept = ours["model_path"].notna()
    for _, row in pd.concat([ours[kept], ours[~kept]]).iterrows():
        found = top_trials(store, trials[trials["trial_id"] == row["trial_id"]], part, top=1)
        if not found:
            continue
        search = next(each for each in searches if each.name == row["search"])
        column, data_hash = ranked_by(rows), row["data_hash"]
        images = _images(store, data_hash, part)
        seen = looked is not None and part in TASKS and task_hash(looked.images, part) == data_hash
        return Chosen(
            part=part,
            row=row,
            finished=len(rows),
            column=column,
            search=search,
            sure=judge(part, rows[rows["data_hash"] == data_hash], column),
            top=found[0],
            images=images,
            kept=bool(pd.notna(row["model_path"])),
            predicted=row["trial_id"] == predicted_trial(trials, part),
            pixels=_pixels(looked.images) if looked is not None and seen else None,
            leaks=_leaks(looked.leaks, images) if looked is not None and seen else None,
        )
    return None


def predicted_trial(trials: pd.DataFrame, part: str) -> int | None:
    """The id of the trial whose model `predict` takes for the part, by the rule of `predict.chosen.choose`."""
    kept = trials[(trials["part_body"] == part) & (trials["state"] == FINISHED) & trials["model_path"].notna()]
    if kept.empty:
        return None
    valid_auc = pd.to_numeric(kept["valid_auc"]).fillna(-1.0).to_numpy()
    order = np.lexsort((kept["trial_id"].to_numpy(), -valid_auc))
    return int(kept["trial_id"].iloc[order[0]])


def _pixels(surveyed: pd.DataFrame) -> dict[str, int]:
    return dict(zip(surveyed["path"], surveyed["width"] * surveyed["height"], strict=True))


def _leaks(leaks: pd.DataFrame, images: Mapping[str, ImageList]) -> int:
    """Those between the splits of these images: not between parts, nor between patients of one split."""
    split_of = {path: split for split, own in images.items() for path in own.paths}
    groups = (re.split(" = (?=train/|valid/)", paths) for paths in leaks["paths"])
    return sum(len({split_of[path] for path in group if path in split_of}) > 1 for group in groups)


def _images(store: Store, data_hash: str, part: str) -> dict[str, ImageList]:
    found: dict[str, ImageList] = {}
    for split in SPLITS:
        try:
            found[split] = store.image_list(data_hash, part, split)
        except StoreError:
            continue  # a store that was filled by other means than a search
    return found
