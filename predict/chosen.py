"""Which stored model predicts: the one named, or the best on valid."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plumbing.errors import ModelError
from radiographs.parts import parts_of
from results.card import model_card
from results.connection import sqlite_path
from results.records import FINISHED, Trial
from results.store import Store

BEST = "best"


@dataclass(frozen=True)
class ChosenModel:
    """A stored model.

    Attributes:
        path: of its `.keras` file.
        temperature: fitted on its valid probabilities. thresholds: how each was chosen on valid -> from which
            calibrated P(abnormal) on a study is called abnormal.
    """

    task: str
    name: str
    path: Path
    temperature: float
    thresholds: Mapping[str, float] = field(default_factory=dict)


def choose(url: str, task: str, name: str | None) -> ChosenModel:
    """The model of the task with that model_name or name_code, best on valid where several match or none is named.

    Best: the highest valid AUC by study, earlier trials first among equals.

    Raises: StoreError where the store cannot be read; ModelError where it holds no such model, naming the mend.
    """
    parts_of(task)
    store = Store.open(url)
    try:
        valid_auc = {
            trial_id: measure.value
            for trial_id, measure in store.measures()
            if (measure.split, measure.level, measure.metric) == ("valid", "study", "auc")
        }
        wanted = [trial for trial in store.trials() if trial.part_body == task and trial.state == FINISHED]
        if name not in (None, BEST):
            wanted = [trial for trial in wanted if name in (trial.model_name, trial.name_code)]
        kept = [trial for trial in wanted if trial.model_path is not None]
        if not kept:
            raise _no_model(task, name, wanted)
        best = max(kept, key=lambda trial: (_or_least(valid_auc.get(trial.id)), -trial.id))
        card = _card(store, best)
        return ChosenModel(task, str(best.model_name), _existing(best, url), card["temperature"], card["thresholds"])
    finally:
        store.close()


def _no_model(task: str, name: str | None, wanted: list[Trial]) -> ModelError:
    called = "" if name in (None, BEST) else f" named {name}"
    if wanted:
        return ModelError(f"no model of {task}{called} is kept any more; search.run --keep-models K keeps the best K")
    return ModelError(
        f"the store holds no model of {task}{called}; results.list tells what is there, search.run makes one"
    )


def _or_least(value: float | None) -> float:
    return -1.0 if value is None else value


def _existing(trial: Trial, url: str) -> Path:
    """The model's file: where it was saved, or at the same place below the store's folder where both were moved."""
    saved = Path(str(trial.model_path))
    candidates = [saved]
    if (database := sqlite_path(url)) is not None:
        candidates.append(database.parent.joinpath(*saved.parts[-3:]))
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ModelError(f"the file of model {trial.model_name} is gone: {saved}; put it back, or search again")


def _card(store: Store, trial: Trial) -> dict[str, Any]:
    probability = store.probabilities(trial.id, "valid")
    search = next(each for each in store.searches() if each.id == trial.search_id)
    if probability is None or search.data_hash is None:
        raise ModelError(f"the store holds no valid probabilities of {trial.model_name}; search again")
    return model_card({}, store.image_list(search.data_hash, trial.part_body, "valid"), probability)
