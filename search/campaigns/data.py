"""Whether a campaign's folders hold what its searches need, asked before the first of them starts.

Each folder is listed once, however many parts are searched in it: MURA's 40,005 files take two to three seconds.
"""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pandas as pd

from plumbing.errors import DataError
from radiographs.dataset import images_of
from radiographs.splits import split_by_patient
from radiographs.table import scan
from search.campaigns.words import counted
from search.options import SYNTHETIC, Options


def unusable(searches: Mapping[str, Options]) -> dict[str, str]:
    """Search -> why its data cannot be searched. The synthetic set, which may not be drawn yet, has all that is needed.

    Raises: DataError where a folder is none of radiographs.
    """
    split = cache(_split)
    real = {name: each for name, each in searches.items() if each.data != SYNTHETIC}
    reasons = {name: _why_not(each.part, split(each.data), each.data) for name, each in real.items()}
    return {name: why for name, why in reasons.items() if why}


def told_unusable(searches: Mapping[str, Options], reasons: Mapping[str, str]) -> list[str]:
    """A line for each part of a folder that cannot be searched."""
    counts = Counter((searches[name].part, why) for name, why in reasons.items())
    return [
        f"{part}: {why}; {counted(count, 'search is', 'searches are')} left out"
        for (part, why), count in counts.items()
    ]


def _split(data: str) -> pd.DataFrame:
    return split_by_patient(scan(Path(data)).images)[0]


def _why_not(task: str, split: pd.DataFrame, data: str) -> str:
    """Empty where all is there."""
    try:
        images_of(task, split, Path(data))
    except DataError as error:
        return str(error)
    return ""
