"""Is a data set MURA, and what was published on it.

MURA's test set is not given out: the figures below were measured on 207 studies of it, labelled anew by radiologists,
about 30 a part. Our test split is MURA's `valid` folder.
"""

from collections.abc import Iterable

from plumbing.errors import StoreError
from results.records import Search
from results.store import Store

# Images of MURA v1.1 in its folders `train` and `valid`.
TRAIN_IMAGES = {
    "XR_ELBOW": 4931, "XR_FINGER": 5106, "XR_FOREARM": 1825, "XR_HAND": 5543, "XR_HUMERUS": 1272, "XR_SHOULDER": 8379,
    "XR_WRIST": 9752,
}  # fmt: skip
VALID_IMAGES = {
    "XR_ELBOW": 465, "XR_FINGER": 461, "XR_FOREARM": 301, "XR_HAND": 460, "XR_HUMERUS": 288, "XR_SHOULDER": 563,
    "XR_WRIST": 659,
}  # fmt: skip
MOST_TRAIN_MISSING = 0.01  # patients who are in both folders, and unreadable files, are left out of train

SOURCE = "Rajpurkar et al. 2018, arXiv:1712.06957, table 2"
# Cohen's kappa of the baseline, an ensemble of the five DenseNets of 169 layers with the lowest validation losses (the
# paper's section on training); only where two sources give it alike: the table of all parts in
# github.com/pengshiqi/MURA; of hand, shoulder and wrist the abstract of arXiv:2008.03356; of finger and wrist the
# benchmark card in github.com/SokolAnn/BenchmarkCards. Left out, for want of a second source: elbow, forearm and
# humerus, the intervals, and the radiologists' own figures.
BASELINE_KAPPA = {"XR_FINGER": 0.389, "XR_HAND": 0.851, "XR_SHOULDER": 0.729, "XR_WRIST": 0.931}


def mura_parts(store: Store, searches: Iterable[Search]) -> set[tuple[str, str]]:
    """The (part, data hash) of the searches whose data are MURA's, told by the numbers of images.

    Data are MURA's where test lacks no more of MURA's images than the search left out by name, and train and valid
    together have MURA's train images but for 1 %.
    """
    wanted: dict[tuple[str, str], Search] = {}
    for search in searches:
        if search.task in TRAIN_IMAGES and search.data_hash:
            wanted.setdefault((str(search.task), search.data_hash), search)
    return {
        (part, data_hash)
        for (part, data_hash), search in wanted.items()
        if (counts := _counts(store, part, data_hash)) and is_mura(part, *counts, _left_out_of_test(search))
    }


def is_mura(part: str, train: int, valid: int, test: int, left_out: int = 0) -> bool:
    """Whether a part's numbers of images are MURA's.

    Args:
        left_out: of test, by name.

    >>> is_mura("XR_HAND", 5000, 540, 460), is_mura("XR_HAND", 5000, 540, 459), is_mura("XR_HAND", 467, 55, 130)
    (True, False, False)
    """
    share = (train + valid) / TRAIN_IMAGES[part]
    return 1 - MOST_TRAIN_MISSING <= share <= 1 and 0 <= VALID_IMAGES[part] - test <= left_out


def _counts(store: Store, part: str, data_hash: str) -> tuple[int, int, int] | None:
    try:
        train, valid, test = (len(store.image_list(data_hash, part, each).paths) for each in ("train", "valid", "test"))
    except StoreError:
        return None  # an import, or a search that ended before its first trial
    return train, valid, test


def _left_out_of_test(search: Search) -> int:
    entries = search.details.get("left_out") or []
    return sum(str(each.get("path", "")).startswith(f"valid/{search.task}/") for each in entries)
