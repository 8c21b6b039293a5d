"""A store as seven searches over MURA would leave it, drawn from named seeds: what reports are measured on.

How many images each part, label and split has is MURA's (Rajpurkar et al. 2017, arXiv:1712.06957), valid being a tenth
of its train. All else is drawn: patients, probabilities, histories.
"""

import numpy as np

from plumbing.seeds import generator_of
from results.evaluation import METRICS, image_cases, plain_metrics, study_cases
from results.metrics import Floats, Integers
from results.records import FINISHED, ImageList, Measure, NewSearch, NewTrial, Search, TrialResult
from results.store import Store

# Normal and abnormal images of MURA's train and valid; its valid is our test.
IMAGES = {
    "XR_ELBOW": ((2925, 2006), (235, 230)),
    "XR_FINGER": ((3138, 1968), (214, 247)),
    "XR_FOREARM": ((1164, 661), (150, 151)),
    "XR_HAND": ((4059, 1484), (271, 189)),
    "XR_HUMERUS": ((673, 599), (148, 140)),
    "XR_SHOULDER": ((4211, 4168), (285, 278)),
    "XR_WRIST": ((5765, 3987), (364, 295)),
}
ARCHITECTURES = ("densenet121", "efficientnet_lite0", "inception_v3", "resnet152")
EPOCHS = 20
IMAGES_A_STUDY, STUDIES_A_PATIENT = 3, 1.2
TRIALS_A_FAILURE = 25
HALF_INTERVAL = 0.04  # of every metric: drawing 2,000 bootstraps for each would take longer than all reports


def fill(store: Store, trials: int) -> dict[str, Search]:
    """Seven searches of that many trials each; part -> its search."""
    searches = {}
    for part in IMAGES:
        lists = {split: image_list(part, split) for split in ("train", "valid", "test")}
        for split, images in lists.items():
            store.save_image_list(_data_hash(part), part, split, images)
        command = f"python -m search.run --part {part} --trials {trials}"
        counts = {split: len(images.labels) for split, images in lists.items()}
        new = NewSearch(
            f"{part}-optuna", "search", "optuna", "0.1.0", part, "val_auc", 0, _data_hash(part), {"epochs": EPOCHS},
            {"command": command, "counts": counts},
        )  # fmt: skip
        searches[part] = store.create_search(new)
        for number in range(trials):
            add_trial(store, searches[part], number)
    return searches


def _data_hash(part: str) -> str:
    return f"{generator_of('data of', part).integers(2**63):016x}"


def image_list(part: str, split: str) -> ImageList:
    """The images of a split; a study has one label, a patient one study or two."""
    of_train, of_test = IMAGES[part]
    share = {"train": 0.9, "valid": 0.1, "test": 1.0}[split]
    counts = [round(share * number) for number in (of_test if split == "test" else of_train)]
    labels: Integers = np.repeat([0, 1], counts)
    studies = np.arange(len(labels)) // IMAGES_A_STUDY + labels * len(labels)
    patients = (studies / STUDIES_A_PATIENT).astype(int)
    paths = tuple(f"{split}/{part}/patient{patient:05}/{number}.png" for number, patient in enumerate(patients))
    return ImageList(paths, tuple(map(str, patients)), tuple(map(str, studies)), labels)


def add_trial(store: Store, search: Search, number: int) -> None:
    """The trial with that number, from its start to its end; one in `TRIALS_A_FAILURE` fails."""
    part = str(search.task)
    generator = generator_of("trial", part, number)
    architecture = ARCHITECTURES[int(generator.integers(len(ARCHITECTURES)))]
    configuration = {
        "lr": float(10 ** generator.uniform(-5, -2)), "conv_dropout": float(generator.uniform(0, 0.6)),
        "callbacks_patience": 6, "augmentation": ("no", "light", "deep")[int(generator.integers(3))], "frozen": "all",
    }  # fmt: skip
    name = f"{architecture}_{configuration['augmentation']}_augment_{EPOCHS}epochs"
    (trial,) = store.start_trials(
        search.id,
        [NewTrial(number, part, architecture, name, f"{part}-{number}.keras", configuration, "imagenet", 224, 0,
                  EPOCHS, "0.1.0")],
    )  # fmt: skip
    if number % TRIALS_A_FAILURE == TRIALS_A_FAILURE - 1:
        store.fail_trial(trial.id, "loss is not finite in epoch 3; lower lr", 4.0)
    else:
        store.finish_trial(trial.id, _result(store, search, generator))


def _result(store: Store, search: Search, generator: np.random.Generator) -> TrialResult:
    strength, probabilities, found, accuracies = generator.uniform(0.1, 0.5), {}, [], {}
    for split in ("valid", "test"):
        images = store.image_list(str(search.data_hash), str(search.task), split)
        probabilities[split] = _probabilities(images.labels, strength, generator)
        for level, make in (("image", image_cases), ("study", study_cases)):
            values = plain_metrics(make(images, probabilities[split]))
            found += [
                Measure(split, level, name, values[name], values[name] - HALF_INTERVAL, values[name] + HALF_INTERVAL)
                for name in METRICS
            ]
            if level == "image":
                accuracies[split] = 100 * values["accuracy"]
    accuracies["train"] = accuracies["valid"] + generator.uniform(0, 15)
    history = _history(float(found[len(METRICS)].value or 0.5), generator)
    return TrialResult(
        FINISHED, max(history["val_auc"]), history, int(np.argmax(history["val_auc"])), None, 30.0, accuracies,
        tuple(found), probabilities, None,
    )  # fmt: skip


def _probabilities(labels: Integers, strength: float, generator: np.random.Generator) -> np.ndarray:
    """(images, 1) float32; the greater the strength, the further apart normal and abnormal ones are."""
    scores = generator.normal(size=len(labels)) + strength * (2 * labels - 1)
    return np.asarray(1 / (1 + np.exp(-scores)), np.float32)[:, None]


def _history(auc: float, generator: np.random.Generator) -> dict[str, list[float]]:
    """`EPOCHS` values of loss, accuracy and AUC, which settle."""
    settled = 1 - np.exp(-np.arange(1, EPOCHS + 1) / 5)

    def course(start: float, end: float, noise: float) -> list[float]:
        values: Floats = start + (end - start) * settled + generator.normal(0, noise, EPOCHS)
        return [float(value) for value in values]

    return {
        "loss": course(0.7, 0.35, 0.01), "val_loss": course(0.7, 0.5, 0.02), "accuracy": course(0.5, 0.85, 0.01),
        "val_accuracy": course(0.5, 0.75, 0.02), "val_auc": course(0.5, auc, 0.01),
    }  # fmt: skip
