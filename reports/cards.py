"""The chosen model of each part on paper: a model card and a CLAIM checklist, as files of a report."""

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from reports.board import Judge
from reports.chosen_model import chosen_model
from reports.claim import claim_text
from reports.model_card import card_text
from reports.recall import Recall
from results.records import Search
from results.store import Store

FOLDER = "cards"


def card_files(
    store: Store,
    trials: pd.DataFrame,
    searches: Sequence[Search],
    judge: Judge,
    names: Mapping[str, str],
    recall: Recall,
    surveyed: pd.DataFrame | None = None,
) -> dict[str, str]:
    """File name -> text: two files for each part that a search has a model of, none for a part with imports alone.

    Args:
        trials: as `reports.confirmed.with_confirmation` gives them. names: part -> its name within file names.
        surveyed: as `reports.chosen_model.chosen_model` takes it; the same at each recall.
    """

    def of_part(part: str, own: pd.DataFrame) -> dict[str, str]:
        chosen = chosen_model(store, own, searches, judge, part, surveyed)
        if chosen is None:
            return {}
        card, checklist = f"model_card_{names[part]}.md", f"claim_2024_{names[part]}.md"
        return {f"{FOLDER}/{card}": card_text(chosen), f"{FOLDER}/{checklist}": claim_text(chosen, card)}

    files: dict[str, str] = {}
    for part, name in names.items():
        own = trials[trials["part_body"] == part]
        files |= recall(("cards", part), [own, name, searches], partial(of_part, part, own))
    return files
