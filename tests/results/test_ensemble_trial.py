"""Ensembles in the store: what they are chosen from, what is stored of them, and that it never changes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from plumbing.errors import ModelError, StoreError, UsageError
from results.ensemble_trial import candidates, make_ensemble
from results.evaluation import measures
from results.records import EXPECTED_AUC, FINISHED, ImageList, Measure, NewSearch, NewTrial, Search, Trial, TrialResult
from results.store import Store
from results.table import trials_table

STUDIES = 60
NewTrialMaker = Callable[..., NewTrial]


def listed(split: str, studies: int) -> ImageList:
    names = tuple(f"{split}{number:03d}" for number in range(studies))
    return ImageList(names, names, names, np.arange(studies) % 2)


def searched(
    store: Store,
    new: NewTrialMaker,
    name: str,
    kept: int,
    data: str = "d1",
    studies: int = STUDIES,
    knowing: float = 1.2,
) -> Search:
    """A search of six trials that are about equally good and err apart; it kept the models of the best `kept`.

    Args:
        knowing: how far apart the classes are, in standard deviations.
    """
    for split in ("train", "valid", "test"):
        store.save_image_list(data, "XR_HAND", split, listed(split, studies))
    search = store.create_search(
        NewSearch(name, "search", "optuna", "1", task="XR_HAND", objective="val_auc", data_hash=data)
    )
    generator = np.random.default_rng(len(name))
    results = []
    for _ in range(6):
        found, given = list[Measure](), {}
        for split in ("valid", "test"):
            scores = generator.normal(size=studies) + knowing * (np.arange(studies) % 2)
            given[split] = (1 / (1 + np.exp(-scores)))[:, None].astype(np.float32)
            found += measures(split, listed(split, studies), given[split])
        value = next(each.value for each in found if (each.level, each.metric) == ("study", "auc"))
        assert value is not None
        results.append(TrialResult(FINISHED, value, {"loss": [0.5]}, 0, None, 1.0, {}, tuple(found), given, None))
    best = np.argsort([-each.value for each in results], kind="stable")[:kept]
    for number, result in enumerate(results):
        trial = store.start_trial(search.id, new(number, model_name=f"{name}_{number}"))
        path = f"{name}/{number}.keras" if number in best else None
        store.finish_trial(trial.id, replace(result, model_path=path))
    return search


def made(store: Store, name: str = "together", most: int = 20) -> Trial:
    trial = make_ensemble(store, "XR_HAND", most, name, "the command")
    assert trial is not None
    return trial


def test_an_ensemble_is_a_finished_trial_with_the_figures_of_its_mean_probabilities(
    store: Store, new_trial: NewTrialMaker
) -> None:
    search = searched(store, new_trial, "hand", kept=4)
    trial = made(store)
    assert (trial.state, trial.architecture, trial.model_name, trial.model_path) == (
        FINISHED, "ensemble", "together", None,
    )  # fmt: skip
    members = trial.configuration["members"]
    weights = np.array([each["picks"] for each in members]) / sum(each["picks"] for each in members)
    ids = [store.trials(search.id, each["trial"])[0].id for each in members]
    figures = {(each.split, each.level, each.metric): each for own, each in store.measures() if own == trial.id}
    for split in ("valid", "test"):
        mean = np.tensordot(weights, np.stack(list(store.all_probabilities(ids, split).values())), axes=1)
        assert store.probabilities(trial.id, split) == pytest.approx(mean, abs=1e-6)
        for expected in measures(split, listed(split, STUDIES), mean.astype(np.float32)):
            assert figures[split, expected.level, expected.metric] == expected
    assert trial.value == figures["valid", "study", "auc"].value
    assert trial.value is not None
    assert trial.value > max(each.value or 0 for each in store.trials(search.id))
    assert trial.valid_accuracy_eval == pytest.approx(100 * (figures["valid", "image", "accuracy"].value or 0))
    expected_auc = figures["valid", "study", EXPECTED_AUC]
    assert expected_auc.low < expected_auc.value < trial.value  # type: ignore[operator]
    row = trials_table(store).set_index("model_name").loc["together"]
    assert row["valid_auc_expected"] == expected_auc.value


def test_only_kept_models_on_the_data_of_the_best_are_chosen_from_and_all_trials_are_known(
    store: Store, new_trial: NewTrialMaker
) -> None:
    first = searched(store, new_trial, "hand", kept=2)
    second = searched(store, new_trial, "hands", kept=3)
    searched(store, new_trial, "none kept", kept=0)
    other = searched(store, new_trial, "other data", kept=2, data="d2", knowing=0.3)
    found = candidates(store, "XR_HAND")
    assert {trial.search_id for trial in found.trials} == {first.id, second.id}
    assert (len(found.trials), found.library.kept.sum(), found.data_hash) == (12, 5, "d1")
    assert [bool(each.model_path) for each in found.trials] == found.library.kept.tolist()
    assert other.id not in set(found.library.search.tolist())
    better = searched(store, new_trial, "better data", kept=3, data="d3", knowing=2.5)
    found = candidates(store, "XR_HAND")
    assert {trial.search_id for trial in found.trials} == {better.id}
    assert (len(found.trials), found.library.kept.sum(), found.data_hash) == (6, 3, "d3")


def test_a_trial_that_another_went_on_from_is_not_chosen_from(store: Store, new_trial: NewTrialMaker) -> None:
    search = searched(store, new_trial, "hand", kept=6)
    later = store.start_trial(search.id, new_trial(6, continues=2))
    store.finish_trial(later.id, TrialResult(FINISHED, 0.5, {}, 0, None, 1.0, {}, (), {}, None))
    assert [trial.number for trial in candidates(store, "XR_HAND").trials] == [0, 1, 3, 4, 5]


def test_the_same_again_changes_nothing_and_a_name_with_other_members_is_refused(
    store: Store, new_trial: NewTrialMaker
) -> None:
    searched(store, new_trial, "hand", kept=4)
    first = made(store)
    assert made(store) == first
    with pytest.raises(StoreError, match="--name together: the store has another ensemble under that name"):
        make_ensemble(store, "XR_HAND", 3, "together", "")
    with pytest.raises(StoreError, match=r"--name hand: the store has something else \(search\) under that name"):
        make_ensemble(store, "XR_HAND", 3, "hand", "")
    assert store.trials(first.search_id) == [first]


@pytest.mark.parametrize("name", ["hand_1", "own-code", "ensemble"])
def test_a_name_or_name_code_of_another_model_is_refused(store: Store, new_trial: NewTrialMaker, name: str) -> None:
    """An ensemble of that name would answer in the other's place."""
    search = searched(store, new_trial, "hand", kept=4)
    store.start_trial(search.id, new_trial(6, name_code="own-code"))
    with pytest.raises(StoreError, match=f"^--name {name}: models are called so; give another --name$"):
        make_ensemble(store, "XR_HAND", 20, name, "")
    assert store.searches() == [search]


@pytest.mark.parametrize("name", ["other_0001", "other_12345", "xception_no_augment_20epochs", "best"])
def test_a_name_that_a_model_may_get_later_is_refused(store: Store, new_trial: NewTrialMaker, name: str) -> None:
    searched(store, new_trial, "hand", kept=4)
    with pytest.raises(UsageError, match=f"^--name {name}: .*; give another --name$"):
        make_ensemble(store, "XR_HAND", 20, name, "")
    assert made(store, "other_1").model_name == "other_1"


def test_an_ensemble_whose_making_was_killed_is_made_by_the_same_again(
    store: Store, new_trial: NewTrialMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(store, new_trial, "hand", kept=4)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for moment in ("start_trials", "finish_trial"):
        with monkeypatch.context() as patched:
            patched.setattr(Store, moment, killed)
            with pytest.raises(KeyboardInterrupt):
                made(store)
        assert not any(each.architecture == "ensemble" and each.state == FINISHED for each in store.trials())
    trial = made(store)
    assert (trial.state, trial.number) == (FINISHED, 0)
    assert len(store.trials(trial.search_id)) == 1


def test_nothing_is_expected_of_few_patients(store: Store, new_trial: NewTrialMaker) -> None:
    searched(store, new_trial, "h", kept=4, studies=14)
    trial = made(store)
    assert EXPECTED_AUC not in {each.metric for own, each in store.measures() if own == trial.id}


def test_where_the_best_is_as_good_alone_nothing_is_stored(store: Store, new_trial: NewTrialMaker) -> None:
    searched(store, new_trial, "hand", kept=4)
    assert make_ensemble(store, "XR_HAND", 1, "together", "") is None
    assert store.search("together") is None


@pytest.mark.parametrize("kept", [0, 1])
def test_fewer_than_two_kept_models_are_told(store: Store, new_trial: NewTrialMaker, kept: int) -> None:
    searched(store, new_trial, "hand", kept=kept)
    with pytest.raises(ModelError, match=f"^{kept} models of XR_HAND on the same data are kept, .* --keep-models K"):
        candidates(store, "XR_HAND")
