"""An ensemble as a trial of the store: the one of a search of kind `ensemble`, with figures of valid and test like any.

It is chosen among the models that searches keep, as `results.ensemble` says, on the data of the best of them. It has no
file: `predict.chosen` finds its members by its configuration. Once stored it never changes.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from plumbing import VERSION
from plumbing.errors import ModelError, StoreError
from results.certainty import LEAST_PATIENTS, rarest_class
from results.ensemble import Library, expected_of_selection, greedy_selection, mean_probability
from results.evaluation import measures, study_cases
from results.metrics import Integers
from results.names import check_model_name
from results.records import (
    ENSEMBLE,
    EXPECTED_AUC,
    FINISHED,
    MEMBERS,
    SEARCH,
    Measure,
    NewSearch,
    NewTrial,
    Search,
    Trial,
    TrialResult,
)
from results.store import Store


@dataclass(frozen=True)
class Candidates:
    """The finished trials of a part on the same data, and what they said of valid.

    Attributes:
        searches: by id. trials: in the order of the library's.
    """

    part: str
    data_hash: str
    searches: Mapping[int, Search]
    trials: Sequence[Trial]
    library: Library


def candidates(store: Store, part: str) -> Candidates:
    """All that searches of the part trained on the data of its best kept model, where a search kept any.

    Raises: ModelError where fewer than two models are kept; names the mend.
    """
    searches = {each.id: each for each in store.searches() if each.kind == SEARCH}
    finished = [each for each in store.trials() if each.state == FINISHED and each.part_body == part]
    went_on = {(each.search_id, each.continues) for each in finished}
    own = [each for each in finished if each.search_id in searches and (each.search_id, each.number) not in went_on]
    auc = dict(_valid_auc(store))
    kept = [each for each in own if each.model_path is not None and each.id in auc]
    best = max(kept, key=lambda each: (auc[each.id], -each.id), default=None)
    data_hash = None if best is None else searches[best.search_id].data_hash
    having = {each.search_id for each in kept if searches[each.search_id].data_hash == data_hash}
    known = store.all_probabilities([each.id for each in own if each.search_id in having], "valid")
    trials = [each for each in own if each.id in known]
    keeps = np.array([each.model_path is not None for each in trials], np.bool_)
    if data_hash is None or keeps.sum() < 2:
        raise ModelError(
            f"{int(keeps.sum())} models of {part} on the same data are kept, and an ensemble needs two; "
            "search.run --keep-models K keeps the best K"
        )
    images = store.image_list(data_hash, part, "valid")
    cases = [study_cases(images, known[each.id]) for each in trials]
    library = Library(
        labels=cases[0].labels,
        patients=cases[0].patients,
        probability=np.stack([each.probability for each in cases]),
        search=np.array([each.search_id for each in trials]),
        kept=keeps,
    )
    return Candidates(part, data_hash, searches, trials, library)


def _valid_auc(store: Store) -> list[tuple[int, float]]:
    found = ((trial, each) for trial, each in store.measures("study", "auc") if each.split == "valid")
    return [(trial, each.value) for trial, each in found if each.value is not None]


def make_ensemble(store: Store, part: str, most: int, name: str, command: str) -> Trial | None:
    """Choose an ensemble and store it, or find it stored; None where the best model is as good alone.

    Raises: ModelError where there is nothing to choose from; StoreError where the name is taken by something else;
        UsageError where no ensemble may be called so.
    """
    check_model_name(name)
    _refuse_name_of_model(store, name)
    begun, found = time.monotonic(), candidates(store, part)
    picks = greedy_selection(found.library, most)
    if (picks > 0).sum() < 2:
        return None
    settings = {"task": part, "data": found.data_hash, "members": _members(found, picks), "most": most}
    search = store.search(name)
    if search is not None and (search.kind != ENSEMBLE or dict(search.settings) != settings):
        what = "another ensemble" if search.kind == ENSEMBLE else f"something else ({search.kind})"
        raise StoreError(f"--name {name}: the store has {what} under that name; give another --name")
    begun_before = store.trials(search.id) if search else []
    if begun_before and begun_before[0].state == FINISHED:
        return begun_before[0]
    measured = _result(store, found, picks, most)
    search = search or store.create_search(_new_search(name, found, settings, command))
    (trial,) = begun_before or store.start_trials(search.id, [_new_trial(search, found, picks)])
    store.finish_trial(trial.id, replace(measured, seconds=time.monotonic() - begun))
    return store.trials(search.id)[0]


def _refuse_name_of_model(store: Store, name: str) -> None:
    """Raises: StoreError where the name or name_code of another model is the same: the ensemble would answer for it."""
    own = store.search(name)
    others = [each for each in store.trials() if own is None or each.search_id != own.id]
    if name == ENSEMBLE or any(name in (each.model_name, each.name_code) for each in others):
        raise StoreError(f"--name {name}: models are called so; give another --name")


def _members(found: Candidates, picks: Integers) -> list[dict[str, Any]]:
    listed = [
        {"search": found.searches[trial.search_id].name, "trial": trial.number, "picks": int(count)}
        for trial, count in zip(found.trials, picks, strict=True)
        if count
    ]
    return sorted(listed, key=lambda each: -each["picks"])


def _new_search(name: str, found: Candidates, settings: Mapping[str, Any], command: str) -> NewSearch:
    return NewSearch(
        name=name,
        kind=ENSEMBLE,
        engine="greedy",
        code_version=VERSION,
        task=found.part,
        objective="val_auc",
        data_hash=found.data_hash,
        settings=settings,
        details={"command": command},
    )


def _new_trial(search: Search, found: Candidates, picks: Integers) -> NewTrial:
    chosen = [trial for trial, count in zip(found.trials, picks, strict=True) if count]
    sizes, weights = {trial.image_size for trial in chosen}, {trial.weights for trial in chosen}
    return NewTrial(
        number=0,
        part_body=found.part,
        architecture=ENSEMBLE,
        name_code=ENSEMBLE,
        model_name=search.name,
        configuration={MEMBERS: search.settings["members"], "models": int(found.library.kept.sum())},
        weights=weights.pop() if len(weights) == 1 else None,
        image_size=sizes.pop() if len(sizes) == 1 else None,
        seed=None,
        fit_epochs=None,
        code_version=VERSION,
    )


def _result(store: Store, found: Candidates, picks: Integers, most: int) -> TrialResult:
    members = [trial.id for trial, count in zip(found.trials, picks, strict=True) if count]
    probabilities, measured = {}, list[Measure]()
    for split in ("valid", "test"):
        of_members = store.all_probabilities(members, split)
        if len(of_members) == len(members):
            mean = mean_probability(picks[picks > 0], np.stack(list(of_members.values())).astype(np.float64))
            probabilities[split] = mean.astype(np.float32)
            measured += measures(split, store.image_list(found.data_hash, found.part, split), probabilities[split])
    by_name = {(each.split, each.level, each.metric): each.value for each in measured}
    value = by_name["valid", "study", "auc"]
    assert value is not None  # it chose them
    accuracies = {split: by_name[split, "image", "accuracy"] for split in probabilities}
    return TrialResult(
        state=FINISHED,
        value=value,
        history={},
        best_epoch=0,
        early_stop_at_epoch=None,
        accuracies={split: 100 * each for split, each in accuracies.items() if each is not None},
        measures=(*measured, *_expected(found.library, most)),
        probabilities=probabilities,
        model_path=None,  # it has no file of its own
        seconds=0.0,
    )


def _expected(library: Library, most: int) -> tuple[Measure, ...]:
    """The AUC to be expected on other patients; none of few patients, as of a search's best trial."""
    if rarest_class(library.patients, library.labels) < LEAST_PATIENTS:
        return ()
    found = expected_of_selection(library, most)
    return () if found is None else (Measure("valid", "study", EXPECTED_AUC, found.value, found.low, found.high),)
