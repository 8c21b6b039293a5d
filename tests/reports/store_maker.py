"""Stores made with the store's own API, small and known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbing.seeds import generator_of
from radiographs.parts import ALL_PARTS
from reports.confirmed import with_confirmation
from results.evaluation import measures
from results.records import FINISHED, ImageList, Measure, NewSearch, NewTrial, Search, Trial, TrialResult
from results.store import Store
from results.table import trials_table

# Names as a user's file may hold them.
HOSTILE = (
    "<script>alert(1)</script>",
    "a|b",
    "one\ntwo\r\nthree",
    "=cmd|' /C calc'!A0",
    "`x` *y* _z_ [l](u)",
    "$\\frac$ \x07 日",
)


@dataclass
class StoreMaker:
    """A store and short ways to fill it."""

    store: Store
    url: str

    def search(self, name: str = "s", task: str | None = "XR_HAND", **changes: Any) -> Search:
        values: dict[str, Any] = {
            "kind": "search",
            "engine": "optuna",
            "code_version": "0.1.0",
            "seed": 3,
            "data_hash": "d" * 16,
        }
        return self.store.create_search(NewSearch(name=name, task=task, objective="val_auc", **values | changes))

    def start(
        self,
        search: Search,
        number: int,
        part: str | None = None,
        name: str = "net_no_augment_20epochs",
        architecture: str = "net",
        continues: int | None = None,
    ) -> Trial:
        configuration = {
            "lr": 0.001,
            "conv_dropout": 0.2,
            "callbacks_patience": 6,
            "augmentation": "no",
            "frozen": "all",
        }
        new = NewTrial(
            number,
            part or search.task or "XR_HAND",
            architecture,
            name,
            f"models/{number}.keras",
            configuration,
            "random",
            64,
            3,
            20,
            "0.1.0",
            continues,
        )
        return self.store.start_trial(search.id, new)

    def finish(
        self,
        search: Search,
        number: int,
        accuracies: tuple[float, float, float] = (90.0, 80.0, 70.0),
        valid_auc: float | None = None,
        seconds: float = 1.0,
        state: str = FINISHED,
        probabilities: Mapping[str, np.ndarray] | None = None,
        **more: Any,
    ) -> Trial:
        """A finished trial; accuracies of train, valid, test; AUCs with an interval of 0.1 around."""
        trial = self.start(search, number, **more)
        measures = () if valid_auc is None else tuple(_auc(split, valid_auc) for split in ("valid", "test"))
        split_accuracies = dict(zip(("train", "valid", "test"), accuracies, strict=True))
        history = {"loss": [0.6, 0.5], "val_loss": [0.7, 0.6]}
        self.store.finish_trial(
            trial.id,
            TrialResult(state, 0.5, history, 1, 2, seconds, split_accuracies, measures, probabilities or {}, None),
        )
        return trial

    def measure(self, search: Search, number: int, strength: float, part: str = "XR_HAND", **names: str) -> Trial:
        """A finished trial with probabilities on valid and test, the better apart the greater the strength."""
        trial, probabilities, found = self.start(search, number, part, **names), {}, []
        for split in ("valid", "test"):
            images = self.store.image_list("d" * 16, part, split)
            probabilities[split] = _apart(images.labels, strength, part, generator_of("apart", split, number))
            found += measures(split, images, probabilities[split])
        history = {"loss": [0.7, 0.5, 0.4], "val_loss": [0.8, 0.6, 0.7], "val_auc": [0.6, 0.8, 0.7]}
        accuracies = {"train": 90.0, "valid": 80.0, "test": 70.0}
        result = TrialResult(FINISHED, 0.8, history, 1, None, 36.0, accuracies, tuple(found), probabilities, None)
        self.store.finish_trial(trial.id, result)
        return trial

    def images(
        self, task: str, labels: Mapping[str, list[int]], data_hash: str = "d" * 16, studies_a_patient: int = 1
    ) -> None:
        """Image lists of one image a study."""
        for split, values in labels.items():
            names = tuple(f"{split}{number}" for number in range(len(values)))
            patients = tuple(f"{split}{number // studies_a_patient}" for number in range(len(values)))
            self.store.save_image_list(
                data_hash, task, split, ImageList(names, patients, names, np.array(values, np.int64))
            )

    def trials(self) -> Any:
        return with_confirmation(trials_table(self.store))


def _apart(labels: np.ndarray, strength: float, part: str, generator: np.random.Generator) -> np.ndarray:
    """(images, 1) or, of all_parts, (images, 14) float32."""
    if part == ALL_PARTS:
        scores = generator.normal(size=(len(labels), 14)) + strength * np.eye(14)[labels]
        return np.asarray(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), np.float32)
    scores = generator.normal(size=len(labels)) + strength * (2 * labels - 1)
    return np.asarray(1 / (1 + np.exp(-scores)), np.float32)[:, None]


def _auc(split: str, value: float) -> Measure:
    return Measure(split, "study", "auc", value, value - 0.05, value + 0.05)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
