"""Patient-level splits: MURA's `valid` folder is test, and our valid is cut from its `train` by patient.

A patient is in one split only, over all parts together. The cut is stratified by part and label: each stratum, the
rarest first, gives its patients with the smallest hash to valid, so that adding patients moves few. The last patient
that a stratum has in train stays there.
"""

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
    left_out = tuple(
        LeftOut(path, "its patient is in MURA's valid folder, our test, too") for path in images.loc[leaking, "path"]
    )
    kept = images[~leaking].reset_index(drop=True)
    valid = _valid_patients(kept[kept["folder"] == "train"], seed)
    split = kept["folder"].map({"train": "train", "valid": "test"})
    return kept.assign(split=split.mask((split == "train") & kept["patient"].isin(valid), "valid")), left_out


def _valid_patients(train: pd.DataFrame, seed: int) -> set[str]:
    members: dict[tuple[str, int], set[str]] = {}
    strata_of: dict[str, set[tuple[str, int]]] = {}
    for patient, part, label in train[["patient", "part", "label"]].drop_duplicates().itertuples(index=False):
        members.setdefault((part, label), set()).add(patient)
        strata_of.setdefault(patient, set()).add((part, label))
    chosen: set[str] = set()
    passed: set[str] = set()  # patients of rarer strata: taken only where no other is left
    for stratum in sorted(members, key=lambda each: (len(members[each]), each)):
        patients = members[stratum]
        # At least one where one can be spared: a stratum of one patient stays in train.
        wanted = max(1, round(VALID_SHARE * len(patients))) if len(patients) > 1 else 0
        ranked = sorted(patients - chosen, key=lambda each: (each in passed, seed_of("split", seed, each), each))
        for patient in ranked:
            if len(patients & chosen) >= wanted:
                break
            if all(members[own] - chosen - {patient} for own in strata_of[patient]):
                chosen.add(patient)
        passed |= patients
    return chosen
