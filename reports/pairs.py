"""A part's best trials in pairs: does one separate or call the studies better than another, of the same studies.

DeLong's paired test for the AUC, McNemar's exact one for accuracy at 0.5, Holm's adjustment for their number. Both
tests take studies for independent, as the several studies of one patient are not quite.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from reports.top_trials import SPLITS, Studies, TopTrial
from results.delong import delong_covariance, delong_test
from results.multiple import holm
from results.rates import mcnemar_test, paired_difference

AUC, ACCURACY = "AUC", "accuracy at 0.5"
COLUMNS = [
    "part_body", "split", "measure", "test", "first", "first_search", "first_trial", "second", "second_search",
    "second_trial", "studies", "first_value", "second_value", "difference", "difference_low", "difference_high", "p",
    "p_holm",
]  # fmt: skip
ORDER = (*SPLITS, AUC, ACCURACY)
LEVEL = 0.05


def pairs_table(top: Sequence[TopTrial]) -> pd.DataFrame:
    """Every two trials that were measured on the same data, on each split that both have.

    Returns: `COLUMNS`: the difference is the first's less the second's, with its 95 % interval; `p` is of no
        difference, `p_holm` adjusted for all rows. By study, before temperature scaling. No AUC where a class has one
        study only. No rows of fewer than two trials.
    """
    rows = [
        row
        for split in SPLITS
        for first, second in combinations(top, 2)
        if first.data_hash == second.data_hash and split in first.splits and split in second.splits
        for row in _tests(first, second, split)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS[:-1]).sort_values(
        ["split", "measure"], key=lambda column: column.map(ORDER.index), kind="stable", ignore_index=True
    )
    return table.assign(p_holm=holm(table["p"].to_numpy(float)))


def _tests(first: TopTrial, second: TopTrial, split: str) -> list[dict[str, object]]:
    ours, theirs = first.splits[split], second.splits[split]
    named: dict[str, object] = {"part_body": first.part, "split": split, "studies": len(ours.abnormal)}
    for name, trial in (("first", first), ("second", second)):
        named |= {name: trial.label, f"{name}_search": trial.search, f"{name}_trial": trial.trial}
    return [named | found for found in (*_auc(ours, theirs), _accuracy(ours, theirs))]


def _auc(first: Studies, second: Studies) -> list[dict[str, object]]:
    positive = first.abnormal == 1
    if min(positive.sum(), (~positive).sum()) < 2:
        return []
    areas, _ = delong_covariance(positive, np.stack([first.raw, second.raw]))
    found = delong_test(positive, first.raw, second.raw)
    return [
        {"measure": AUC, "test": "DeLong", "first_value": float(areas[0]), "second_value": float(areas[1])}
        | _difference(found.value, found.low, found.high, found.p)
    ]


def _accuracy(first: Studies, second: Studies) -> dict[str, object]:
    ours, theirs = ((each.raw > 0.5) == (each.abnormal == 1) for each in (first, second))
    return {
        "measure": ACCURACY, "test": "McNemar", "first_value": float(ours.mean()), "second_value": float(theirs.mean()),
    } | _difference(*paired_difference(ours, theirs), mcnemar_test(ours, theirs))  # fmt: skip


def _difference(value: float, low: float, high: float, p: float) -> dict[str, object]:
    return {"difference": value, "difference_low": low, "difference_high": high, "p": p}


def pairs_remark(table: pd.DataFrame) -> str:
    """How many tests find a difference; one that is only there before the adjustment is named as such.

    Args:
        table: as `pairs_table` gives it, with one row at least.
    """
    told = []
    for split in dict.fromkeys(table["split"]):
        own = table[table["split"] == split]
        told.append(f"{int((own['p_holm'] < LEVEL).sum())} of {len(own)} on {split}")
    alone = int(((table["p"] < LEVEL) & (table["p_holm"] >= LEVEL)).sum())
    missed = f" {alone} more would be without the adjustment." if alone else ""
    return f"Different at the 5 % level, adjusted for all {len(table)} tests: {' and '.join(told)}.{missed}"


def pairs_told(table: pd.DataFrame) -> pd.DataFrame:
    """The tests for people, a row each.

    Args:
        table: as `pairs_table` gives it.
    """
    numbers = zip(table["difference"], table["difference_low"], table["difference_high"], strict=True)
    intervals = [f"{value:+.3f} ({low:+.3f} to {high:+.3f})" for value, low, high in numbers]
    values = [
        f"{first:.3f} / {second:.3f}" for first, second in zip(table["first_value"], table["second_value"], strict=True)
    ]
    return pd.DataFrame(
        {
            "split": table["split"],
            "measure": table["measure"],
            "first trial": table["first"],
            "second trial": table["second"],
            "first / second": values,
            "difference (95 %)": intervals,
            "p": table["p"].map(p_text),
            "p (Holm)": table["p_holm"].map(p_text),
        }
    )


def p_text(p: float) -> str:
    """A p value for people: two significant digits, as small as is worth telling.

    >>> p_text(0.0412), p_text(0.3), p_text(1.0), p_text(2e-7)
    ('0.041', '0.30', '1.00', '< 0.0001')
    """
    if p < 0.0001:
        return "< 0.0001"
    return f"{p:.2f}" if p >= 0.1 else f"{p:.2g}"
