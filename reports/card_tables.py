"""The tables of a model card: the model's settings, its data, its figures, by group, and its surest mistakes."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from radiographs.parts import ALL_PARTS, CLASS_PARTS
from reports.chosen_model import Chosen
from reports.tables import interval_text
from results.evaluation import Cases
from results.groups import METRICS, GroupFigures, group_figures
from results.metrics import FIRST_ABNORMAL, Floats, Integers
from results.records import ImageList

MOST_VIEWS = 4  # studies of more images are one group with these
MOST_MISTAKES = 5
TOO_FEW = "too few patients"
EVERY = "all"
SIZE = "image size"
SHOWN_SPLITS = ("test", "valid")


def details_table(chosen: Chosen) -> pd.DataFrame:
    """What the model is: name and value, absent ones left out."""
    row, settings = chosen.row, json.loads(chosen.row["config"])
    named = {"architecture", "augmentation", "frozen"}
    found = {
        "model": row["model_name"],
        "file": "/".join(re.split(r"[\\/]", row["model_path"])[-3:]) if chosen.kept else "not kept",
        "made": row["finished"],
        "input": f"grey image, {_whole(row['image_size'])} x {_whole(row['image_size'])} px",
        "output": output_text(chosen),
        "architecture": row["architecture"],
        "parameters of the backbone": _backbone_size(chosen, settings),
        "weights at the start": row["weights"],
        "frozen": row["frozen"],
        "augmentation": row["augmentation"],
        **{name: value for name, value in settings.items() if name not in named},
        "epochs": epochs_text(row),
        "seed": _whole(row["seed"]),
        "search": f"{row['search']}, trial {row['trial']}",
        "engine": " ".join(map(str, filter(None, (chosen.search.engine, chosen.search.settings.get("sampler"))))),
        "objective": row["objective"],
        "data hash": row["data_hash"],
        "code version": row["code_version"],
    }
    known = {name: value for name, value in found.items() if value is not None}
    return pd.DataFrame({"what": list(known), "value": [_text(value) for value in known.values()]})


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _whole(value: object) -> str:
    return "unknown" if pd.isna(value) else str(int(value))  # type: ignore[call-overload]


def output_text(chosen: Chosen) -> str:
    """What the network puts out."""
    return "14 probabilities, a part and a label each" if chosen.part == ALL_PARTS else "P(abnormal)"


def _backbone_size(chosen: Chosen, settings: Mapping[str, object]) -> str | None:
    if chosen.architecture is None or pd.isna(chosen.row["image_size"]):
        return None
    try:
        numbers, _ = chosen.architecture.size(int(chosen.row["image_size"]), settings)  # type: ignore[arg-type]
    except KeyError:
        return None  # a configuration of another version's space
    return f"{numbers:,}"


def epochs_text(row: pd.Series) -> str:
    """How long it was trained.

    >>> epochs_text(pd.Series({"epochs_trained": 6, "fit_epochs": 20, "early_stop_at_epoch": 6}))
    '6 of at most 20, ended by patience'
    """
    ended = "" if pd.isna(row["early_stop_at_epoch"]) else ", ended by patience"
    return f"{_whole(row['epochs_trained'])} of at most {_whole(row['fit_epochs'])}{ended}"


def splits_table(chosen: Chosen) -> pd.DataFrame:
    """A row a split: images, studies, patients by label, images a study."""
    return pd.DataFrame([{"split": split} | _split(chosen.part, images) for split, images in chosen.images.items()])


def _split(part: str, images: ImageList) -> dict[str, object]:
    first = np.unique(images.study_numbers, return_index=True)[1]
    abnormal = images.labels >= (FIRST_ABNORMAL if part == ALL_PARTS else 1)
    views = np.bincount(images.study_numbers)
    counts = [int(np.sum(np.minimum(views, MOST_VIEWS) == each)) for each in range(1, MOST_VIEWS + 1)]
    return {
        "images": len(images.paths),
        "studies": len(first),
        "normal studies": int(np.sum(~abnormal[first])),
        "abnormal studies": int(np.sum(abnormal[first])),
        "patients": len(set(images.patients)),
        "patients with an abnormal study": len(set(images.patient_numbers[abnormal].tolist())),
        "studies of 1 / 2 / 3 / 4 or more images": " / ".join(map(str, counts)),
    }


def shown_splits(chosen: Chosen) -> list[str]:
    """Those that have figures, test first."""
    return [split for split in SHOWN_SPLITS if split in chosen.top.splits]


def figures_table(chosen: Chosen) -> pd.DataFrame:
    """A row a split: the stored metrics with their intervals, and how the studies were called at P = 0.5."""
    rows = []
    for split in shown_splits(chosen):
        own = {
            name: interval_text(*(chosen.row[f"{split}_{name}{bound}"] for bound in ("", "_low", "_high")))
            for name in METRICS
        }
        studies = chosen.top.splits[split]
        abnormal, called = studies.abnormal == 1, studies.raw > 0.5
        right = f"{np.sum(called & abnormal)} of {abnormal.sum()}", f"{np.sum(~called & ~abnormal)} of {sum(~abnormal)}"
        rows.append(
            {"split": split, "AUC": own["auc"], "kappa": own["kappa"], "sensitivity": own["sensitivity"]}
            | {"abnormal found": right[0], "specificity": own["specificity"], "normal passed": right[1]}
            | {"Brier": chosen.row[f"{split}_brier"], "accuracy by image, %": chosen.row[f"{split}_accuracy_eval"]}
        )
    return pd.DataFrame(rows).round({"Brier": 3, "accuracy by image, %": 1})


@dataclass(frozen=True)
class Grouping:
    """What the studies of test and valid are told apart by.

    Attributes:
        by: in words. names: a group's number -> its name. groups: split -> (studies,) each study's group.
    """

    by: str
    names: Mapping[int, str]
    groups: Mapping[str, Integers]

    @property
    def present(self) -> list[str]:
        """The names of the groups that have studies; of one alone there is nothing to tell apart."""
        return [self.names[int(number)] for number in np.unique(np.concatenate(list(self.groups.values())))]


def groups_table(chosen: Chosen) -> pd.DataFrame:
    """Test and valid by `groupings` of several groups; of all_parts asked only whether abnormal."""
    several = [each for each in groupings(chosen) if len(each.present) > 1]
    rows = []
    for split in shown_splits(chosen):
        studies = chosen.top.splits[split]
        cases = Cases(studies.abnormal, studies.patients, studies.raw[:, None])
        every = np.zeros(len(cases.labels), np.int64)
        for names, group in [({0: EVERY}, every), *((each.names, each.groups[split]) for each in several)]:
            rows += [_group_row(split, names[each.group], each) for each in group_figures(cases, group)]
    return pd.DataFrame(rows)


def groupings(chosen: Chosen) -> list[Grouping]:
    """By part where the task has several, by number of images, and by their size where it is known."""
    images = {split: chosen.images[split] for split in shown_splits(chosen)}
    views = {1: "1 image", 2: "2 images", 3: "3 images", MOST_VIEWS: "4 or more images"}
    numbers = {split: np.minimum(np.bincount(own.study_numbers), MOST_VIEWS) for split, own in images.items()}
    found = [Grouping("number of images in the study", views, numbers)]
    if chosen.part == ALL_PARTS:
        parts = {split: _study_labels(own) % FIRST_ABNORMAL for split, own in images.items()}
        found.insert(0, Grouping("body part", dict(enumerate(CLASS_PARTS)), parts))
    if chosen.pixels is not None and "train" in chosen.images:
        found.append(_by_size(chosen.pixels, chosen.images["train"], images))
    return found


def _study_labels(images: ImageList) -> Integers:
    return images.labels[np.unique(images.study_numbers, return_index=True)[1]]


def _by_size(pixels: Mapping[str, int], train: ImageList, images: Mapping[str, ImageList]) -> Grouping:
    """Studies by the mean pixels of their images, in thirds of train's; equal ones are never parted."""
    edges = np.unique(np.quantile(_mean_pixels(pixels, train), [1 / 3, 2 / 3], method="lower"))
    texts = [f"{edge:,.0f}" for edge in edges]
    between = [f"above {low}, at most {high} px an image" for low, high in pairwise(texts)]
    names = [f"at most {texts[0]} px an image", *between, f"above {texts[-1]} px an image"]
    sizes = {split: np.searchsorted(edges, _mean_pixels(pixels, own), side="left") for split, own in images.items()}
    return Grouping(SIZE, dict(enumerate(names)), sizes)


def _mean_pixels(pixels: Mapping[str, int], images: ImageList) -> Floats:
    """(studies,)."""
    own = np.array([pixels[path] for path in images.paths], np.float64)
    return np.bincount(images.study_numbers, own) / np.bincount(images.study_numbers)


def _group_row(split: str, name: str, found: GroupFigures) -> dict[str, object]:
    figures = dict.fromkeys(METRICS, "") | {METRICS[0]: TOO_FEW}
    figures |= {metric: interval_text(*figure) for metric, figure in found.figures.items()}
    return (
        {"split": split, "group": name, "studies": found.cases}
        | {"patients normal / abnormal": f"{found.normal_patients} / {found.abnormal_patients}"}
        | {"AUC" if metric == "auc" else metric: figure for metric, figure in figures.items()}
    )


def mistakes_table(chosen: Chosen) -> pd.DataFrame:
    """The studies of test that were called wrongly at P = 0.5 with the most confidence, the surest first."""
    if "test" not in chosen.top.splits:
        return pd.DataFrame()
    studies, images = chosen.top.splits["test"], chosen.images["test"]
    wrong = np.flatnonzero((studies.raw > 0.5) != (studies.abnormal == 1))
    surest = wrong[np.argsort(-np.abs(studies.raw[wrong] - 0.5), kind="stable")][:MOST_MISTAKES]
    names, views = np.unique(np.array(images.studies)), np.bincount(images.study_numbers)
    return pd.DataFrame(
        {
            "study": [str(names[each]) for each in surest],
            "label": ["abnormal" if studies.abnormal[each] else "normal" for each in surest],
            "P(abnormal), calibrated": [f"{studies.scaled[each]:.2f}" for each in surest],
            "images": [int(views[each]) for each in surest],
        }
    )


def mistakes_sentence(chosen: Chosen) -> str:
    """How many studies of test were called wrongly, and which way."""
    studies = chosen.top.splits["test"]
    abnormal, called = studies.abnormal == 1, studies.raw > 0.5
    missed, alarms = int(np.sum(abnormal & ~called)), int(np.sum(called & ~abnormal))
    return (
        f"At P = 0.5, {missed + alarms} of {len(called)} test studies are called wrongly: {missed} abnormal ones are "
        f"missed, {alarms} normal ones called abnormal."
    )
