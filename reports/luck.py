"""How sure a ranking is, in words: for leaderboards, a report's opening and model cards."""

from results.certainty import Certainty

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


def _text(sure: Certainty, number: float) -> str:
    return f"{number:.{1 if sure.column == 'valid_accuracy_eval' else 2}f}"
