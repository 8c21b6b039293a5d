"""What the store takes and gives: plain frozen records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

FINISHED, RUNNING, PRUNED, FAILED = "finished", "running", "pruned", "failed"
SEARCH, IMPORT, CONFIRM, ENSEMBLE = "search", "import", "confirm", "ensemble"  # kinds of searches
SPLITS = ("train", "valid", "test")
MEMBERS = "members"  # in an ensemble's configuration: [{"search": name, "trial": number, "picks": how often}, ...]
EXPECTED_AUC = "auc_expected"  # of an ensemble, by study on valid: its AUC without the luck of having been chosen


def utc_now() -> str:
    """The time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class NewSearch:
    """A search (or an import) before it is stored.

    Attributes:
        settings: all that must stay the same for the search to be resumed.
        details: what reports tell besides: the command, image counts, images left out.
    """

    name: str
    kind: str
    engine: str
    code_version: str
    task: str | None = None
    objective: str | None = None
    seed: int | None = None
    data_hash: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Search(NewSearch):
    """A stored search.

    Attributes:
        run: what its last command asked for, by which workers join it; None where no command told.
    """

    id: int = 0
    created: str = ""
    run: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Summary:
    """A search in numbers.

    Attributes:
        trials: state -> how many; states without trials are left out.
        best_value: the highest objective value among finished trials (every objective is maximised).
        unplaced: entries that an import could not place.
    """

    trials: Mapping[str, int]
    best_value: float | None
    unplaced: int


@dataclass(frozen=True)
class ImageList:
    """The images of a split in the order of stored probabilities.

    Attributes:
        labels: (images,) int64; 0 normal, 1 abnormal, or 0..13 for all_parts.
    """

    paths: tuple[str, ...]
    patients: tuple[str, ...]
    studies: tuple[str, ...]
    labels: np.ndarray

    @cached_property
    def patient_numbers(self) -> np.ndarray:
        """(images,) int64: each image's patient, numbered from 0 in the order of their names."""
        return np.unique(np.array(self.patients), return_inverse=True)[1]

    @cached_property
    def study_numbers(self) -> np.ndarray:
        """(images,) int64: each image's study, numbered from 0 in the order of their names."""
        return np.unique(np.array(self.studies), return_inverse=True)[1]


@dataclass(frozen=True)
class NewTrial:
    """A trial when it starts; what is None an ensemble has not, or not of all its members alike.

    Attributes:
        knows: of a trial that was proposed asynchronously: whose results its proposal knew (search/workers/known.py).
    """

    number: int
    part_body: str
    architecture: str
    name_code: str
    model_name: str
    configuration: Mapping[str, Any]
    weights: str | None
    image_size: int | None
    seed: int | None
    fit_epochs: int | None
    code_version: str
    continues: int | None = None
    knows: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Measure:
    """A metric's value with its 95 % interval; None where it is not defined (one class only)."""

    split: str
    level: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class TrialResult:
    """What a trial that ended well puts into the store, all at once.

    Attributes:
        history: metric name -> one value an epoch.
        probabilities: split -> (images, classes) float32, classes 1 or 14.
        accuracies: split -> per cent, by image.
        first_epoch: epochs of the history that were trained by the trial that this one continues.
        found_parameters: of a user's own model, those that training it brought up beyond its space, as Keras Tuner's
            configs. configuration: with their values, in place of the one that the trial began with.
    """

    state: str
    value: float
    history: Mapping[str, list[float]]
    best_epoch: int
    early_stop_at_epoch: int | None
    seconds: float
    accuracies: Mapping[str, float]
    measures: tuple[Measure, ...]
    probabilities: Mapping[str, np.ndarray]
    model_path: str | None
    first_epoch: int = 0
    found_parameters: Sequence[Any] | None = None
    configuration: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Trial:
    """A stored trial, without its history and probabilities."""

    id: int
    search_id: int
    number: int
    state: str
    reason: str | None
    part_body: str
    architecture: str
    name_code: str
    model_name: str | None
    model_path: str | None
    configuration: Mapping[str, Any]
    weights: str | None
    image_size: int | None
    seed: int | None
    fit_epochs: int | None
    epochs_trained: int | None
    best_epoch: int | None
    early_stop_at_epoch: int | None
    value: float | None
    train_accuracy_eval: float | None
    valid_accuracy_eval: float | None
    test_accuracy_eval: float | None
    seconds: float | None
    code_version: str | None
    imported: Mapping[str, str] | None
    created: str
    finished: str | None
    continues: int | None
    first_epoch: int | None
    found_parameters: Sequence[Any] | None
    knows: Mapping[str, Any] | None = None
