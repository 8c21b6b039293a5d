"""How sure a ranking is, in words: for leaderboards, a report's opening and model cards."""

from collections.abc import Mapping
from typing import Any

from reports.tables import interval_text, plain_line
from results.certainty import Certainty
from results.table import EXPECTED

STILL_IN_IT = "The luck of the best epoch and of the sampler, on the same patients, is still in it."


def expected_text(sure: Certainty) -> str:
    """The best trial's value without the luck of the choice; empty where nothing is known.

    Its interval is beside it, but for one of no width.
    """
    if sure.corrected is None:
        return ""
    value, low, high = (_text(sure, each) for each in (sure.corrected.value, sure.corrected.low, sure.corrected.high))
    return value if low == high else f"{value} ({low}-{high})"


def luck_sentences(sure: Certainty, of: str) -> list[str]:
    """What luck did to the best trial's value; nothing where that is not known.

    Args:
        of: what is valued, the sentence's beginning, as "Its valid_auc".
    """
    if sure.corrected is None:
        return []
    plain, begins = _text(sure, sure.corrected.plain), f"{of}, {_text(sure, sure.corrected.plain)}"
    count = len(sure.trial_ids)
    if _text(sure, sure.corrected.low) == _text(sure, sure.corrected.high):
        return [
            f"{begins}, is the best of {count}; it is the same in all draws, so the bootstrap cannot tell its luck."
        ]
    if _text(sure, sure.corrected.value) == plain:
        told = f"{begins}, is the best of {count}; {expected_text(sure)} once the luck of that choice is taken off"
    else:
        told = (
            f"{begins}, is the best of {count} and so too good: {expected_text(sure)} is to be expected of it on other "
            "such patients once the luck of that choice is taken off"
        )
    return [f"{told} (bootstrap bias correction). {STILL_IN_IT}"]


def expected_of_ensemble(row: Mapping[str, Any]) -> str:
    """What an ensemble's AUC is worth without the luck of its choice; empty where that is not known.

    Args:
        row: of `results.table.trials_table`.
    """
    return interval_text(*(row[column] for column in EXPECTED))


def ensemble_sentence(row: Mapping[str, Any]) -> str:
    """How an ensemble came to its figures, and what they are worth."""
    begins = f"{plain_line(row['search'])} is an ensemble, compared with no trial: its members were chosen by valid_auc"
    expected = expected_of_ensemble(row)
    if not expected:
        return f"{begins}, which is too good; by how much is not known, because a class has too few patients."
    return (
        f"{begins}, so that its own, {row['valid_auc']:.2f}, is too good; {expected} is to be expected of it on other "
        f"such patients once the luck of that choice is taken off (bootstrap bias correction). {STILL_IN_IT}"
    )


def _text(sure: Certainty, number: float) -> str:
    return f"{number:.{1 if sure.column == 'valid_accuracy_eval' else 2}f}"
