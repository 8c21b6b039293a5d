"""What the store, or the program that filled it, knows of the items of CLAIM 2024; see `reports.claim`.

An answer is markdown on one line. What it leaves to the authors is named; a question of which nothing is known has no
function here.
"""

from dataclasses import dataclass

import pandas as pd

from radiographs.parts import ALL_PARTS
from reports.card_tables import epochs_text, figures_table, groupings, mistakes_sentence, output_text
from reports.chosen_model import Chosen
from reports.luck import STILL_IN_IT, expected_text
from reports.model_card import (
    SAME_PATIENTS,
    caveats,
    chosen_sentence,
    disjoint_sentences,
    left_out_text,
    luck_sentences,
    plain,
)
from reports.tables import base_name
from results.intervals import DRAWS
from results.metrics import FIRST_ABNORMAL
from results.records import SPLITS
from spaces.weights import IMAGENET, RANDOM

CHOICE_FLATTERS = "how far the choice among trials flatters the figures"
NO_TEST = "figures of the test split, of which the store has no probabilities with both labels"


@dataclass(frozen=True)
class Known:
    """An answer; `missing` is what the authors still have to say, empty where nothing is."""

    text: str
    missing: str = ""


def kind_of_ai(chosen: Chosen) -> Known:
    """Item 1."""
    return Known(f"Deep learning for classification; the network is {plain(chosen.row['architecture'])}.", "the title")


def intended_use(chosen: Chosen) -> Known:
    """Item 3."""
    return Known("Use and misuse are in the model card: research alone.", "background, and the role in practice")


def what_was_done(chosen: Chosen) -> Known:
    """Item 6."""
    return Known(
        f"A classifier was made: search {plain(chosen.search.name)} tried configurations of networks and training, and "
        "the best on valid was taken.",
        "the goal of the study",
    )


def data_source(chosen: Chosen) -> Known:
    """Item 7."""
    folder = chosen.search.details.get("data")
    named = f"Folder {plain(base_name(str(folder)))}" if folder else "A folder that the store does not name"
    return Known(
        f"{named} in MURA's layout, of which {plain(chosen.part)}; data hash {plain(chosen.row['data_hash'])}.",
        "where and when the images were made, how the data can be had, overlap with earlier studies",
    )


def exclusions(chosen: Chosen) -> Known:
    """Item 8."""
    return Known(
        f"Used is every image of {plain(chosen.part)} that has a label, can be read and is of a patient of one split; "
        f"{left_out_text(chosen)}.",
        "the criteria by which the data set was made",
    )


def preprocessing(chosen: Chosen) -> Known:
    """Item 9."""
    size = int(chosen.row["image_size"])
    scaling = (
        "scaled to 0..1" if chosen.architecture is None else "scaled as the network's weights expect, in the model"
    )
    return Known(
        f"Decoded to 8-bit grey (16 bits scaled, EXIF turns applied), resized to {size} x {size} px with the sides "
        f"squashed (Pillow, bilinear), {scaling}."
    )


def subsets(chosen: Chosen) -> Known:
    """Item 10."""
    return Known("Whole images, none cropped; of a study all images.", "whether the folder is the whole data set")


def missing_data(chosen: Chosen) -> Known:
    """Item 12."""
    return Known(
        "Images that are missing, without label or unreadable are left out and named; nothing is filled in for them."
    )


def reference_standard(chosen: Chosen) -> Known:
    """Item 14."""
    return Known(
        "One label a study, normal or abnormal, as the data set's list of studies, or else the folder's name, says.",
        "how the label was arrived at",
    )


def partitions(chosen: Chosen) -> Known:
    """Item 19."""
    return Known(
        "Test is the data set's own `valid` folder. Of the other patients a tenth of each part and label, those with "
        "the smallest hash of their name, are valid; the rest is train."
    )


def disjoint(chosen: Chosen) -> Known:
    """Item 20."""
    return Known(
        disjoint_sentences(chosen), "what these leaks are, and what was done about them" if chosen.leaks else ""
    )


def model(chosen: Chosen) -> Known:
    """Item 22."""
    size = int(chosen.row["image_size"])
    known = f"{plain(chosen.row['architecture'])}: {size} x {size} px grey to {output_text(chosen)}"
    if chosen.architecture is None:
        return Known(f"{known}; a network of the authors' own.", "its layers")
    head = "the backbone's features, dropout, hidden units where `units` is not 0, sigmoid or softmax"
    return Known(
        f"{known}; {head}. Frozen: {plain(chosen.row['frozen'])}. All settings are in the model card; the model file "
        "holds every layer.",
        "a reference of the network, or its picture",
    )


def software(chosen: Chosen) -> Known:
    """Item 23."""
    return Known(
        f"This program, version {plain(chosen.row['code_version'])}, on the libraries of its requirements: Keras, "
        "TensorFlow, ONNX Runtime, Numba, NumPy, SciPy and others.",
        "versions of the libraries and of Python, the machine",
    )


def initial_parameters(chosen: Chosen) -> Known:
    """Item 24."""
    weights, seed = chosen.row["weights"], plain(chosen.row["seed"])
    if chosen.architecture is None:
        return Known(f"Seed {seed}.", "how the network sets its first weights")
    told = {IMAGENET: "ImageNet weights in the backbone", RANDOM: "Random weights in the backbone by a fixed data seed"}
    return Known(f"{told.get(weights, 'Weights of a file in the backbone')}; the head is random by seed {seed}.")


def training(chosen: Chosen) -> Known:
    """Item 25."""
    common = f"Epochs: {epochs_text(chosen.row)}. Seed {plain(chosen.row['seed'])}."
    if chosen.architecture is None:
        return Known(common, "loss, optimizer and augmentation of the authors' own model")
    return Known(
        f"Cross-entropy with the optimizer, rate, batch size, class weights and smoothing of the model card; "
        f"augmentation {plain(chosen.row['augmentation'])}{_views(chosen)}. "
        f"{common} The weights of the epoch with the best {plain(chosen.row['objective'])} are kept. Configurations "
        f"were proposed by {plain(chosen.search.engine)}; space, sampler and number of trials are in the report."
    )


def _views(chosen: Chosen) -> str:
    views = chosen.search.settings.get("views")
    several = views is not None and chosen.row["augmentation"] != "no"
    return f" ({plain(views)} views of each image, one an epoch in turn)" if several else ""


def choice(chosen: Chosen) -> Known:
    """Item 26."""
    return Known(" ".join([chosen_sentence(chosen), *luck_sentences(chosen)]))


def ensembles(chosen: Chosen) -> Known:
    """Item 27."""
    return Known("None: one network; a study's probability is the mean over its images.")


def metrics(chosen: Chosen) -> Known:
    """Item 28."""
    if chosen.part == ALL_PARTS:
        return Known(
            "By study, over 14 classes: AUC (mean over the classes present), Cohen's kappa and Brier score; by image, "
            "over 14 classes: accuracy; by study, asking only whether abnormal: sensitivity, specificity, expected "
            "calibration error, Brier score with its parts, and net benefit at the thresholds."
        )
    return Known(
        "AUC, Cohen's kappa, sensitivity, specificity and Brier score by study; accuracy by image; expected "
        "calibration error; net benefit at the thresholds."
    )


def uncertainty(chosen: Chosen) -> Known:
    """Item 29."""
    sure = chosen.sure
    intervals = f"95 % intervals: bootstrap over patients ({DRAWS:,} draws), Wilson's for rates at thresholds."
    if sure is None or not chosen.is_compared:
        why = "valid has too few patients of a class" if sure and sure.too_few else "none was on the same patients"
        return Known(f"{intervals} It was compared with no other trial: {why}.", CHOICE_FLATTERS)
    compared = f"{intervals} {len(sure.trial_ids)} trials on the same patients were compared at once, in pairs"
    if not chosen.is_first or not expected_text(sure).endswith(")"):
        return Known(f"{compared}; the luck of the model's choice could not be taken off.", CHOICE_FLATTERS)
    return Known(f"{compared}; the luck of the model's choice is taken off by the bootstrap. {STILL_IN_IT}")


def robustness(chosen: Chosen) -> Known | None:
    """Item 30."""
    several = chosen.row["valid_auc_fresh_trainings"]
    found = [f"Trained again under other seeds ({int(several)}), {SAME_PATIENTS}: model card."] if several > 0 else []
    by = [each.by for each in groupings(chosen) if len(each.present) > 1]
    found += [f"Results by {', by '.join(by)}: model card."] if by else []
    return Known(" ".join(found), "changes of images, machines, patients") if found else None


def internal(chosen: Chosen) -> Known:
    """Item 32."""
    found = {split: chosen.row[f"{split}_accuracy_eval"] for split in SPLITS}
    told = ", ".join(f"{split} {value:.1f}" for split, value in found.items() if pd.notna(value))
    return Known(f"Accuracy by image in per cent: {told}. Test is of the same data set; AUC under item 37.")


def numbers(chosen: Chosen) -> Known:
    """Item 35."""
    told = [
        f"{split} {len(set(images.patients))} patients, {len(set(images.studies))} studies, {len(images.paths)} images"
        for split, images in chosen.images.items()
    ]
    return Known(f"{'; '.join(told)}; {left_out_text(chosen)}.")


def characteristics(chosen: Chosen) -> Known:
    """Item 36."""
    first = FIRST_ABNORMAL if chosen.part == ALL_PARTS else 1
    told = []
    for split, images in chosen.images.items():
        abnormal = {study for study, label in zip(images.studies, images.labels, strict=True) if label >= first}
        told.append(f"{split} {len(abnormal)} of {len(set(images.studies))}")
    return Known(
        f"Abnormal studies: {', '.join(told)}. Images a study: model card.",
        "age, sex, kind and severity of disease, machines: the store has none of these",
    )


def performance(chosen: Chosen) -> Known:
    """Item 37."""
    return _told(chosen, ("AUC", "kappa"))


def diagnostic(chosen: Chosen) -> Known:
    """Item 38."""
    known = _told(chosen, ("sensitivity", "specificity"))
    return Known(f"At P = 0.5: {known.text} At thresholds chosen on valid: model card.", known.missing)


def _told(chosen: Chosen, names: tuple[str, ...]) -> Known:
    rows = figures_table(chosen).to_dict("records")
    told = [f"{row['split']} {', '.join(f'{name} {row[name]}' for name in names)}" for row in rows]
    return Known(f"{'; '.join(told)}.", "" if "test" in chosen.top.splits else NO_TEST)


def failures(chosen: Chosen) -> Known | None:
    """Item 39."""
    if "test" not in chosen.top.splits:
        return None
    return Known(f"{mistakes_sentence(chosen)} The surest are named in the model card.", "why they were called wrongly")


def limitations(chosen: Chosen) -> Known:
    """Item 40."""
    return Known(" ".join(caveats(chosen)), "those of the study itself")


def protocol(chosen: Chosen) -> Known:
    """Item 42."""
    return Known("Command, settings, seeds and hashes are in the report under how to repeat.", "a reference to them")


def availability(chosen: Chosen) -> Known:
    """Item 43."""
    kept = "The model is one `.keras` file, loadable with plain Keras." if chosen.kept else "The model was not kept."
    return Known(kept, "where program, model and data can be had, and under which terms")
