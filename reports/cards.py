"""The chosen model of each part on paper: a model card and a CLAIM checklist, as files of a report."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath

import pandas as pd

from reports.board import Judge
from reports.chosen_model import Looked, chosen_model
from reports.claim import claim_text
from reports.model_card import card_text
from reports.recall import Recall
from results.records import Search
from results.store import Store

# A file's name before the part's -> what it is.
CARDS = {"model_card": "model card", "claim_2024": "CLAIM 2024 checklist"}


def card_file(kind: str, part_name: str) -> str:
    """The path of a card within the report's folder.

    Args:
        kind: of `CARDS`. part_name: the part's within file names.
    """
    return f"cards/{kind}_{part_name}.md"


def card_files(
    store: Store,
    trials: pd.DataFrame,
    searches: Sequence[Search],
    judge: Judge,
    names: Mapping[str, str],
    recall: Recall,
    looked: Looked | None = None,
) -> dict[str, str]:
    """File name -> text: two files for each part that a search has a model of, none for a part with imports alone.

    Args:
        trials: as `reports.confirmed.with_confirmation` gives them. names: part -> its name within file names.
        looked: as `reports.chosen_model.chosen_model` takes it; the same at each recall.
    """

    def of_part(part: str, own: pd.DataFrame) -> dict[str, str]:
        chosen = chosen_model(store, own, searches, judge, part, looked)
        if chosen is None:
            return {}
        card, checklist = (card_file(kind, names[part]) for kind in CARDS)
        return {card: card_text(chosen), checklist: claim_text(chosen, PurePosixPath(card).name)}

    files: dict[str, str] = {}
    for part, name in names.items():
        own = trials[trials["part_body"] == part].reset_index(drop=True)  # as long as the part does not change
        files |= recall(("cards", part), [own, name, searches], partial(of_part, part, own))
    return files
