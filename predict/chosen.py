"""Which stored model predicts: the one named, or the best on valid."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plumbing.errors import ModelError
from radiographs.parts import parts_of
from results.card import model_card
from results.connection import sqlite_path
from results.names import BEST
from results.records import ENSEMBLE, FINISHED, MEMBERS, Trial
from results.store import Store


@dataclass(frozen=True)
class ChosenModel:
    """A stored model.

    Attributes:
        path: of its `.keras` file; of an ensemble that of the member which counts most.
        temperature: fitted on its valid probabilities. thresholds: how each was chosen on valid -> from which
            calibrated P(abnormal) on a study is called abnormal. members: of an ensemble, with their weights, which add
            up to 1; empty for a model.
    """

    task: str
    name: str
    path: Path
    temperature: float
    thresholds: Mapping[str, float] = field(default_factory=dict)
    members: tuple[tuple["ChosenModel", float], ...] = ()


def choose(url: str, task: str, name: str | None) -> ChosenModel:
    """The model of the task with that model_name or name_code, best on valid where several match or none is named.

    Best: the highest valid AUC by study, earlier trials first among equals. An ensemble only where it is named: its
    valid AUC was sought on the same studies, and so is too good to be compared.

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
        finished = [trial for trial in store.trials() if trial.state == FINISHED]
        called = finished if name in (None, BEST) else [t for t in finished if name in (t.model_name, t.name_code)]
        wanted = [trial for trial in called if trial.part_body == task]
        ensembles = {each.id for each in store.searches() if each.kind == ENSEMBLE and name not in (None, BEST)}
        kept = [trial for trial in wanted if trial.model_path is not None or trial.search_id in ensembles]
        if not kept:
            raise _no_model(task, name, finished, called)
        best = max(kept, key=lambda trial: (_or_least(valid_auc.get(trial.id)), -trial.id))
        card = _card(store, best)
        members = _members(store, best, url) if best.search_id in ensembles else ()
        path = members[0][0].path if members else _existing(best, url)
        return ChosenModel(task, str(best.model_name), path, card["temperature"], card["thresholds"], members)
    finally:
        store.close()


def _no_model(task: str, name: str | None, finished: list[Trial], called: list[Trial]) -> ModelError:
    """Why there is none: `finished` are all trials, `called` those of that name, of any task."""
    named = "" if name in (None, BEST) else f" named {name}"
    if not finished:
        return ModelError("the store holds no finished trial yet; search.run makes models")
    if any(trial.part_body == task for trial in called):
        return ModelError(f"no model of {task}{named} is kept any more; search.run --keep-models K keeps the best K")
    if named and called:
        others = sorted({str(trial.part_body) for trial in called})
        return ModelError(f"model {name} is of {' and '.join(others)}, not of {task}; give --part {others[0]}")
    return ModelError(
        f"the store holds no model of {task}{named}; results.list tells what is there, search.run makes one"
    )


def _or_least(value: float | None) -> float:
    return -1.0 if value is None else value


def _members(store: Store, trial: Trial, url: str) -> tuple[tuple[ChosenModel, float], ...]:
    """Of an ensemble, those that count most first.

    Raises: ModelError where one's model is gone.
    """
    listed = sorted(trial.configuration[MEMBERS], key=lambda each: -each["picks"])
    picks, found = sum(each["picks"] for each in listed), []
    for each in listed:
        search = store.search(each["search"])
        (member,) = store.trials(search.id, each["trial"]) if search else (None,)
        if member is None or member.model_path is None:
            raise ModelError(
                f"ensemble {trial.model_name} needs the model of {each['search']}, trial {each['trial']}, which is "
                "kept no more; predict.ensemble --name NEW chooses again"
            )
        one = ChosenModel(trial.part_body, str(member.model_name), _existing(member, url), temperature=1.0)
        found.append((one, each["picks"] / picks))
    return tuple(found)


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
