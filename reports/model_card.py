"""A model card of a part's chosen model, in markdown.

Sections as in Mitchell et al. 2019, Model Cards for Model Reporting, arXiv:1810.03993. What the store does not know is
said to be not known.
"""

from collections.abc import Iterable

import pandas as pd

from plumbing import VERSION
from radiographs.parts import ALL_PARTS, TASKS
from reports import luck
from reports.benefit_plot import benefit_table, thresholds_table
from reports.card_tables import (
    SIZE,
    details_table,
    figures_table,
    groupings,
    groups_table,
    mistakes_sentence,
    mistakes_table,
    shown_splits,
    splits_table,
)
from reports.chosen_model import Chosen
from reports.confirmed import METRICS, fresh_cell
from reports.opening import FEW_PATIENTS, NOT_TOLD
from reports.reliability_plot import calibration_table, reliability_table
from reports.summary import absent_classes
from reports.tables import base_name, escape_markdown, plain_line, to_markdown
from results.groups import LEAST_OF_A_GROUP
from results.intervals import DRAWS


def card_text(chosen: Chosen) -> str:
    """The card."""
    sections = {
        f"# Model card: {plain(chosen.part)}": _head(chosen),
        "## Model details": [to_markdown(details_table(chosen)), *_how_chosen(chosen)],
        "## Intended use": _use(chosen),
        "## Factors": _factors(chosen),
        "## Metrics": [METRIC_SENTENCE],
        "## Training and evaluation data": _data(chosen),
        "## Quantitative analyses": _figures(chosen),
        "### By group": _groups(chosen),
        "### Thresholds": _thresholds(chosen),
        "### Calibration": _calibration(chosen),
        "### Mistakes on test": _mistakes(chosen),
        "## Ethical considerations and caveats": _list([*ETHICS, *caveats(chosen)]),
    }
    return (
        "\n\n".join("\n\n".join([title, *(each.strip("\n") for each in said)]) for title, said in sections.items())
        + "\n"
    )


def plain(value: object) -> str:
    """A user's text as one line that markdown and HTML leave as it is."""
    return escape_markdown(plain_line(value))


def _list(sentences: Iterable[str]) -> list[str]:
    return ["\n".join(f"- {each}" for each in sentences)]


def _head(chosen: Chosen) -> list[str]:
    return [
        "**Research use, not a medical device.**",
        f"Written from the results store (program version {VERSION}). All figures are of the data named below and of "
        "no other. The sections are those of Mitchell et al. 2019 (arXiv:1810.03993).",
    ]


def _how_chosen(chosen: Chosen) -> list[str]:
    return _list([chosen_sentence(chosen), *luck_sentences(chosen), _predict_sentence(chosen)])


def chosen_sentence(chosen: Chosen) -> str:
    """How it was chosen among the part's trials."""
    if chosen.finished == 1:
        return "It is the only finished trial of this part."
    if chosen.row["rank"] == 1:
        return f"It is the first of {chosen.finished} finished trials of this part, ranked by {chosen.column}."
    before = "the trials before it have no model file or no stored probabilities"
    return (
        f"It is number {chosen.row['rank']} of {chosen.finished} finished trials of this part, ranked by "
        f"{chosen.column}: {before}."
    )


def luck_sentences(chosen: Chosen) -> list[str]:
    """What its valid figure is worth once the luck of the choice is taken off, and that of the seed."""
    sure = chosen.sure
    if sure is None or chosen.row["trial_id"] not in sure.trial_ids:
        found = ["It could not be compared with other trials on the same patients: luck cannot be taken off."]
    elif sure.too_few:
        found = [f"Valid has {sure.rarest} patients of a class, too few to tell trials apart or to take luck off."]
    else:
        several = f"{int(sure.comparison.could_be_best.sum())} of {len(sure.trial_ids)} compared trials"
        low, high = sure.rank_of(chosen.row["trial_id"])
        found = [f"{several} could truly be the best (95 %); this one's rank is {low} to {high}."]
        if chosen.is_first:
            found += luck.luck_sentences(sure, f"Its {chosen.column}")
    return [*found, _seed_sentence(chosen.row)]


def _seed_sentence(row: pd.Series) -> str:
    trainings, failed = row["valid_auc_fresh_trainings"], row["valid_auc_fresh_failed"]
    if not trainings > 0:
        again = (
            "Its one training under another seed" if failed == 1 else f"All {failed:.0f} trainings under other seeds"
        )
        told = f"{again} failed" if failed > 0 else "It was trained under one seed only"
        return f"{told}; the luck of the seed is in no interval here."
    cells = {metric.removesuffix("_auc"): fresh_cell(row, metric) for metric in METRICS if row[f"{metric}_fresh"] >= 0}
    reached = ", ".join(f"{cell} on {split}" for split, cell in cells.items())
    told = f"Trained again under other seeds, {SAME_PATIENTS}, it reached AUC {reached}"
    if trainings == 1:
        return f"{told}: a single training that finished, which shows no spread."
    return f"{told}: mean ± standard deviation (trainings). That takes off the luck of the seed alone."


def _predict_sentence(chosen: Chosen) -> str:
    of = f" --part {chosen.part}" if chosen.part in TASKS else ""
    command = f"`python -m predict IMAGE...{of}`"
    if chosen.predicted:
        return f"{command} uses this model."
    if not chosen.kept:
        return f"Its file was not kept (`search.run --keep-models`): {command} cannot use it."
    return f"{command} uses another model than this one, unless `--model` names this."


def _use(chosen: Chosen) -> list[str]:
    if chosen.part == ALL_PARTS:
        task = (
            "tell which of seven body parts of the upper limb a radiograph shows, and whether it is normal or abnormal"
        )
    else:
        task = f"tell a normal from an abnormal radiograph of {plain(chosen.part)}"
    other = "a body part that was not in the training data" if chosen.part == ALL_PARTS else "another body part"
    return _list(
        [
            f"Meant for research on image classifiers: to {task}, as the labels of its data set have it.",
            "Not meant for decisions on patients, with or without a physician in between.",
            f"Not meant for {other}, for images that are no radiographs, or to say what is abnormal or where.",
            "Not tested on data of other origin: hospitals, machines and patients unlike those of the data set.",
        ]
    )


def _factors(chosen: Chosen) -> list[str]:
    found = groupings(chosen)
    several = {each.by for each in found if len(each.present) > 1}
    splits = " and ".join(shown_splits(chosen))
    return _list(
        [
            *(f"By {each.by}: results are given below." for each in found if each.by in several - {SIZE}),
            *([SIZES_GIVEN] if SIZE in several else []),
            *(
                f"By {each.by}: the studies of {splits} are alike ({each.present[0]}), so there is one group."
                for each in found
                if each.by not in several
            ),
            *([SIZES_NOT_KNOWN] if chosen.pixels is None else []),
            *([] if chosen.part == ALL_PARTS else [f"The body part is {plain(chosen.part)} alone."]),
            "By age, sex, hospital, machine, projection, kind of abnormality: not known, the store has none of these.",
        ]
    )


SIZES_GIVEN = (
    "By image size: results are given below, by the mean pixels of a study's images as stored, in thirds of train's "
    "studies, equal ones together."
)
SAME_PATIENTS = "on the same valid patients that chose it"
SIZES_NOT_KNOWN = (
    "By image size: not known, the store has no image sizes; `reports.build --data` reads those of the searched images."
)
ETHICS = [
    "Radiographs are data of patients. Consent, de-identification and the licence of the data set are not known here.",
    "The model may be worse for groups of patients that the store cannot tell apart.",
]
METRIC_SENTENCE = (
    "A study is one patient's visit; its probability is the mean over its images. It is called abnormal above 0.5. "
    "AUC, kappa, sensitivity and specificity are by study, accuracy by image. Brackets hold 95 % intervals: the "
    f"bootstrap over patients ({DRAWS:,} draws within strata of label), in the table of thresholds Wilson's. An AUC, "
    "kappa, sensitivity or specificity without them is the same in all draws: the bootstrap cannot tell how sure it is."
)


def _data(chosen: Chosen) -> list[str]:
    details = chosen.search.details
    folder = f"Data: {plain(base_name(str(details['data'])))}" if details.get("data") else "Data: folder not known"
    return [
        f"{folder}, hash {plain(chosen.row['data_hash'])}; {left_out_text(chosen)}. Labels are the data set's own, one "
        "a study, normal or abnormal: each image carries its study's.",
        to_markdown(splits_table(chosen)),
        *map(escape_markdown, absent_classes([chosen.search])),
        "Test is the data set's own `valid` folder. Valid is a tenth of the other patients, drawn by a hash of their "
        f"names within part and label. {disjoint_sentences(chosen)} Valid chose the epoch, the trial, the temperature "
        "and the thresholds; test chose nothing.",
    ]


def disjoint_sentences(chosen: Chosen) -> str:
    """What is known of splits that share patients or images."""
    by_name = "No patient is in two splits, by patient name and over all body parts together."
    if chosen.leaks is None:
        return f"{by_name} Whether an image is in two was not looked at here (`reports.build --data` does)."
    if chosen.leaks == 0:
        return f"{by_name} No image was found in two, exactly or nearly."
    return f"{by_name} {leaks_sentence(chosen.leaks)}"


def leaks_sentence(leaks: int) -> str:
    """That so many leaks were found."""
    return (
        f"Leaks found between the splits, equal images or near duplicates: {leaks:,} (tables/leaks.csv of the report); "
        "until they are looked at, figures of valid and test may be too good."
    )


def left_out_text(chosen: Chosen) -> str:
    """How much of what the data set lists or holds the search did not use."""
    number = len(chosen.search.details.get("left_out") or [])
    return f"left out, with reasons in the report: {number:,} images, studies or rows" if number else "nothing left out"


def _figures(chosen: Chosen) -> list[str]:
    said = [to_markdown(figures_table(chosen))]
    if chosen.part == ALL_PARTS:
        said.append(
            "AUC is the mean over the classes present; kappa, accuracy and Brier score (here 0 to 2) are over 14 "
            "classes; sensitivity, specificity and the counts ask only whether abnormal was found."
        )
    return [*said, "Valid figures are flattered: the model was chosen by them."]


def _groups(chosen: Chosen) -> list[str]:
    asked = " All columns ask only whether abnormal was found." if chosen.part == ALL_PARTS else ""
    return [
        to_markdown(groups_table(chosen)),
        "A patient with normal and abnormal studies counts in both. "
        f"A group with fewer than {LEAST_OF_A_GROUP} patients of a class has counts and no figures. Groups differ by "
        f"chance too; no difference was tested.{asked}",
    ]


def _thresholds(chosen: Chosen) -> list[str]:
    return [
        "Chosen on valid; a study is called abnormal where its calibrated P(abnormal) is at the threshold or above. "
        "Wilson's intervals take studies for independent, also where a patient has several.",
        to_markdown(thresholds_table(benefit_table([chosen.top]))),
    ]


def _calibration(chosen: Chosen) -> list[str]:
    table = calibration_table(reliability_table([chosen.top])).drop(columns=["rank", "trial"])
    several = chosen.part == ALL_PARTS
    asked = "All asks only whether abnormal; the Brier score over 14 classes, above, is another. " if several else ""
    return [
        "One temperature, fitted on the images of valid, divides the logits of a study's mean probability.",
        "ECE: expected calibration error; by chance: what perfectly calibrated probabilities would show with as many "
        "studies.",
        to_markdown(table),
        f"{asked}Reliability - resolution + uncertainty is the Brier score of the bins' mean probabilities, not of the "
        "studies' own, whose Brier score stands beside: the two differ a little.",
    ]


def _mistakes(chosen: Chosen) -> list[str]:
    if "test" not in chosen.top.splits:
        return ["The store has no test probabilities with both labels of this model."]
    table = mistakes_table(chosen)
    return [mistakes_sentence(chosen), *(["The surest of them:", to_markdown(table)] if len(table) else [])]


def caveats(chosen: Chosen) -> list[str]:
    """What a reader should doubt."""
    counts = {split: len(set(images.patients)) for split, images in chosen.images.items() if split != "train"}
    few = [f"{split} {number}" for split, number in counts.items() if number < FEW_PATIENTS]
    return [
        *([leaks_sentence(chosen.leaks)] if chosen.leaks else []),
        *([f"Few patients make wide intervals: {', '.join(few)}."] if few else []),
        "Training and test come from one data set: its own habits (markers, borders, machines) may help the model.",
        "Every image of an abnormal study is labelled abnormal, also where it shows nothing abnormal.",
        "The share of abnormal studies need not be that of a clinic, and the worth of a call of abnormal hangs on it.",
        NOT_TOLD,
    ]
