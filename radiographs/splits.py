"""Patient-level splits: MURA's `valid` folder is test, and our valid is cut from its `train` by patient.

A patient is in one split only, over all parts together. The cut is stratified by part and label: each patient counts for
its rarest stratum, and within a stratum the patients with the smallest hash are valid, so that adding patients moves few.
"""

from collections import Counter

import pandas as pd

from plumbing.seeds import DATA_SEED, seed_of
from radiographs.table import LeftOut

VALID_SHARE = 0.1
SPLITS = ("train", "valid", "test")


def leaking_patients(images: pd.DataFrame) -> list[str]:
    """Patients with images in both of MURA's folders, sorted."""
    folders = images.groupby("patient")["folder"].nunique()
    return sorted(folders.index[folders > 1])


def split_by_patient(images: pd.DataFrame, seed: int = DATA_SEED) -> tuple[pd.DataFrame, tuple[LeftOut, ...]]:
    """The table with a column `split`; train images of patients who are also in the test split are left out.

    Args:
        images: of ALL parts, as `scan` gives them: the split of one part depends on patients' other parts.
    """
    leaking = images["patient"].isin(leaking_patients(images)) & (images["folder"] == "train")
    left_out = tuple(LeftOut(path, "its patient is in MURA's valid folder, our test, too") for path in images.loc[leaking, "path"])
    kept = images[~leaking].reset_index(drop=True)
    valid = _valid_patients(kept[kept["folder"] == "train"], seed)
    split = kept["folder"].map({"train": "train", "valid": "test"})
    return kept.assign(split=split.mask((split == "train") & kept["patient"].isin(valid), "valid")), left_out


def _valid_patients(train: pd.DataFrame, seed: int) -> set[str]:
    strata = train.groupby("patient")[["part", "label"]].apply(
        lambda rows: sorted(set(zip(rows["part"], rows["label"], strict=True)))
    )
    sizes = Counter(stratum for each in strata for stratum in each)
    members: dict[tuple[str, int], list[str]] = {}
    for patient, own in strata.items():
        rarest = min(own, key=lambda stratum: (sizes[stratum], stratum))
        members.setdefault(rarest, []).append(str(patient))
    chosen: set[str] = set()
    for patients in members.values():
        ranked = sorted(patients, key=lambda patient: (seed_of("split", seed, patient), patient))
        # At least one where one can be spared: a stratum of one patient stays in train.
        count = max(1, round(VALID_SHARE * len(patients))) if len(patients) > 1 else 0
        chosen.update(ranked[:count])
    return chosen
