"""The best trials trained again under fresh seeds: by the same code, once each, whatever is killed between."""

import json
import time
from typing import Any

import pytest

from results.records import CONFIRM, ENSEMBLE, IMPORT, NewSearch
from results.store import Store
from search.training.fitting import TrialFailed
from search.training.trial import Setting
from tests.search.conftest import Searcher, killed
from tests.search.kills import before_commit

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def quick(knowing: None) -> None:
    """Every search here knows its backbone."""


def confirmed(searcher: Searcher, best: int = 2, **fixed: object) -> tuple[object, ...]:
    space = searcher.space(**{"frozen": "all", "augmentation": "no"} | fixed)
    return ("--trials", 4, "--batch-trials", 2, "--epochs", 2, "--space", space, "--confirm", best)


def fresh(searcher: Searcher) -> list[dict[str, object]]:
    return [trial for trial in searcher.trials() if trial["search"] == f"XR_WRIST-optuna-{CONFIRM}"]


def names(searcher: Searcher) -> list[str]:
    store = Store.open(searcher.store)
    try:
        return [search.name for search in store.searches()]
    finally:
        store.close()


def test_the_best_are_trained_again_under_five_seeds_and_the_search_itself_is_as_it_was(
    searcher: Searcher, other: Searcher, capsys: Capsys
) -> None:
    assert other.here(capsys, *confirmed(other)[:-2]).code == 0
    ended = searcher.here(capsys, *confirmed(searcher))
    assert ended.code == 0, ended.err
    assert ended.summary["trials"] == 4
    assert searcher.trials()[:4] == other.trials()
    best = sorted(other.trials(), key=lambda trial: -max(trial["history"]["val_auc"]))[:2]
    found = fresh(searcher)
    assert len(found) == 10
    assert {trial["config"] for trial in found} == {trial["config"] for trial in best}
    seeds = [trial["seed"] for trial in found]
    assert len(set(seeds)) == 5
    assert 0 not in seeds
    assert {trial["state"] for trial in found} == {"finished"}
    assert len({json.dumps(trial["history"]) for trial in found}) == 10
    assert other.models() == searcher.models()


def test_a_training_under_a_fresh_seed_is_the_one_that_a_search_with_that_seed_makes(
    searcher: Searcher, other: Searcher, capsys: Capsys
) -> None:
    assert searcher.here(capsys, *confirmed(searcher, 1)).code == 0
    first = fresh(searcher)[0]
    file = other.data.parent / "confirmed.json"
    file.write_text(f"[{first['config']}]")
    more = ("--seed", first["seed"], "--enqueue", file, "--trials", 1, *confirmed(other)[2:-2])
    ended = other.here(capsys, *more)
    assert ended.code == 0, ended.err
    (same,) = other.trials()
    for column in ("config", "history", "valid_probabilities", "test_probabilities", "seed"):
        assert same[column] == first[column]


def test_the_same_command_trains_nothing_again_and_a_larger_k_what_is_left(searcher: Searcher, capsys: Capsys) -> None:
    assert searcher.here(capsys, *confirmed(searcher, 1)).code == 0
    once = searcher.trials()
    again = searcher.here(capsys, *confirmed(searcher, 1))
    assert (again.code, "trial " in again.err) == (0, False)
    assert searcher.trials() == once
    assert searcher.here(capsys, *confirmed(searcher, 3)).code == 0
    assert searcher.trials()[: len(once)] == once
    found = fresh(searcher)
    assert len(found) == 15
    assert len({(trial["config"], trial["seed"]) for trial in found}) == 15


def test_without_time_nothing_is_confirmed_and_the_command_without_the_limit_goes_on(
    searcher: Searcher, capsys: Capsys
) -> None:
    assert searcher.here(capsys, *confirmed(searcher)[:-2]).code == 0
    ended = searcher.here(capsys, *confirmed(searcher), "--timeout", 1e-9)
    assert (ended.code, fresh(searcher)) == (0, [])
    assert "--timeout is over; the same command goes on confirming" in ended.err
    assert searcher.here(capsys, *confirmed(searcher)).code == 0
    assert len(fresh(searcher)) == 10


def test_time_that_ends_among_the_trainings_of_a_seed_ends_their_batch(
    searcher: Searcher, other: Searcher, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seed was trained to its end, of however many trials."""
    import search.loop

    assert searcher.here(capsys, *confirmed(searcher, 4)[:-2]).code == 0
    train, seconds = search.loop.run_trial, 2.0

    def slow(*arguments: Any) -> Any:
        time.sleep(seconds)
        return train(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("search.loop.run_trial", slow)
        ended = searcher.here(capsys, *confirmed(searcher, 4), "--timeout", seconds)
    assert (ended.code, len(fresh(searcher))) == (0, 2)
    assert ended.err.count("--timeout") == 1
    assert "--timeout 2 s is over; the same command goes on: 2 trials" in ended.err
    assert searcher.here(capsys, *confirmed(searcher, 4)).code == 0
    assert other.here(capsys, *confirmed(other, 4)).code == 0
    assert searcher.trials() == other.trials()


def test_trials_that_fail_under_every_fresh_seed_are_a_finding_and_the_command_ends_well(
    searcher: Searcher, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third failure ended the command with 1, and told to narrow the space of a search that had ended well."""
    import search.loop

    train = search.loop.run_trial

    def fails(setting: Setting, *arguments: Any) -> Any:
        if setting.search_seed != 0:
            raise TrialFailed("the loss is nan")
        return train(setting, *arguments)

    monkeypatch.setattr("search.loop.run_trial", fails)
    ended = searcher.here(capsys, *confirmed(searcher, 1))
    assert ended.code == 0, ended.err
    assert (ended.summary["finished"], ended.summary["failed"]) == (4, 0)
    assert [trial["state"] for trial in fresh(searcher)] == ["failed"] * 5
    assert ended.err.count("failed: the loss is nan") == 5


def test_where_no_trial_finished_there_is_nothing_to_confirm(
    searcher: Searcher, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty search stood in the store for it."""

    def fails(*arguments: Any) -> Any:
        raise TrialFailed("the loss is nan")

    monkeypatch.setattr("search.loop.run_trial", fails)
    ended = searcher.here(capsys, *confirmed(searcher), "--trials", 2)
    assert (ended.code, ended.summary["failed"]) == (0, 2)
    assert names(searcher) == ["XR_WRIST-optuna"]


@pytest.mark.slow
def test_interrupted_among_the_confirming_trainings_it_tells_the_command_that_resumes(
    searcher: Searcher, other: Searcher, capsys: Capsys
) -> None:
    interrupt = """
import os, signal
import search.loop as loop
train = loop.run_trial
def interrupted(setting, *arguments):
    if setting.search_seed != 0:
        os.kill(os.getpid(), signal.SIGINT)
    return train(setting, *arguments)
loop.run_trial = interrupted
"""
    ended = searcher.apart(*confirmed(searcher), before=interrupt)
    assert ended.code == 130
    assert ended.err.splitlines()[-1].startswith("search.run: interrupted; resume with: python -m search.run --part")
    assert {trial["state"] for trial in fresh(searcher)} == {"running"}
    assert searcher.here(capsys, *confirmed(searcher)).code == 0
    assert other.here(capsys, *confirmed(other)).code == 0
    assert searcher.trials() == other.trials()


@pytest.mark.slow
def test_killed_among_the_confirming_trainings_it_resumes_to_the_same(
    searcher: Searcher, other: Searcher, capsys: Capsys
) -> None:
    assert other.here(capsys, *confirmed(other)).code == 0
    assert killed(searcher.apart(*confirmed(searcher), before=before_commit(7)))
    assert len(fresh(searcher)) < 10
    assert searcher.here(capsys, *confirmed(searcher)).code == 0
    assert searcher.trials() == other.trials()
    assert searcher.leaderboard(capsys) == other.leaderboard(capsys)


def trained(trials: list[dict[str, object]]) -> list[tuple[object, ...]]:
    """What was trained and how it went, whatever the numbers."""
    return sorted((str(each["config"]), str(each["seed"]), json.dumps(each["history"])) for each in trials)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("commits", "changed"), [(4, ("--confirm", 1)), (4, ("--trials", 8)), (7, ("--confirm", 3))], ids=str
)
def test_killed_among_them_a_command_that_wants_others_ends_as_one_left_alone(
    searcher: Searcher, other: Searcher, capsys: Capsys, commits: int, changed: tuple[object, ...]
) -> None:
    """What was not wanted any more stayed `running`, and every configuration of the space was said to be tried."""
    assert killed(searcher.apart(*confirmed(searcher), before=before_commit(commits)))
    assert "running" in {trial["state"] for trial in fresh(searcher)}

    ended = searcher.here(capsys, *confirmed(searcher), *changed)

    assert ended.code == 0, ended.err
    assert "every configuration" not in ended.err
    assert other.here(capsys, *confirmed(other), *changed).code == 0
    assert {trial["state"] for trial in fresh(searcher)} == {"finished"}
    assert trained(fresh(searcher)) == trained(fresh(other))
    assert searcher.leaderboard(capsys) == other.leaderboard(capsys)


def test_the_leaderboard_shows_mean_and_spread_beside_the_first_value_and_ranks_no_confirming_trial(
    searcher: Searcher, capsys: Capsys
) -> None:
    from reports.leaderboard import main

    assert searcher.here(capsys, *confirmed(searcher)).code == 0
    capsys.readouterr()
    assert main(["--store", searcher.store, "--format", "json", "--top", "99"]) == 0
    (board,) = json.loads(capsys.readouterr().out)
    rows = board["rows"]
    assert [row["search"] for row in rows] == ["XR_WRIST-optuna"] * 4
    store = Store.open(searcher.store)
    seeds = {trial.id: trial for trial in store.trials() if trial.seed != 0}
    aucs: dict[str, list[float]] = {}
    for trial_id, measure in store.measures():
        if trial_id in seeds and (measure.split, measure.level, measure.metric) == ("test", "study", "auc"):
            aucs.setdefault(json.dumps(dict(seeds[trial_id].configuration), sort_keys=True), []).append(
                float(str(measure.value))
            )
    store.close()
    shown = [row for row in rows if row["valid_auc_fresh_trainings"]]
    assert len(shown) == 2
    expected = sorted(sum(values) / 5 for values in aucs.values())
    assert sorted(row["test_auc_fresh"] for row in shown) == pytest.approx(expected)


def test_a_tail_is_confirmed_whole_for_as_many_epochs_as_it_had(searcher: Searcher, capsys: Capsys) -> None:
    more = ("--engine", "keras-tuner", "--sampler", "hyperband", "--epochs", 3, "--trials", 4, "--batch-trials", 2)
    ended = searcher.here(capsys, *more, "--space", searcher.space(frozen="below_last_block"), "--confirm", 1)
    assert ended.code == 0, ended.err
    own = [trial for trial in searcher.trials() if trial["search"] == "XR_WRIST-keras-tuner"]
    found = [trial for trial in searcher.trials() if trial["search"] == f"XR_WRIST-keras-tuner-{CONFIRM}"]
    assert len(found) == 5
    matching = [trial for trial in own if trial["config"] == found[0]["config"]]
    assert {trial["fit_epochs"] for trial in found} <= {trial["fit_epochs"] for trial in matching}
    assert {trial["continues"] for trial in found} == {None}


def test_a_search_that_was_confirmed_goes_on_from_its_checkpoints(
    searcher: Searcher, other: Searcher, capsys: Capsys
) -> None:
    more = ("--engine", "keras-tuner", "--sampler", "hyperband", "--epochs", 3, "--batch-trials", 2, "--name", "h")
    more += ("--space", searcher.space(frozen="all", augmentation="no"))
    assert searcher.here(capsys, *more, "--trials", 2, "--confirm", 1).code == 0
    ended = searcher.here(capsys, *more, "--trials", 5)
    assert (ended.code, "gone" in ended.err) == (0, False)
    assert other.here(capsys, *more, "--trials", 5).code == 0
    own = [trial for trial in searcher.trials() if trial["search"] == "h"]
    assert own == other.trials()
    assert any(trial["first_epoch"] for trial in own)  # else this would prove nothing


@pytest.mark.parametrize(
    ("kind", "settings", "told"),
    [
        (IMPORT, {}, "has an import under that name"),
        (ENSEMBLE, {}, "has an ensemble under that name"),
        (CONFIRM, {"confirms": "another"}, "has the confirmations of another under that name"),
    ],
)
def test_a_name_for_confirmations_that_is_taken_is_told_before_anything_is_made(
    searcher: Searcher, capsys: Capsys, kind: str, settings: dict[str, str], told: str
) -> None:
    """It was found out when the search had ended."""
    searcher.folder.mkdir(exist_ok=True)
    store = Store.open(searcher.store, create=True)
    taken = NewSearch("XR_WRIST-optuna-confirm", kind, "", "", settings=settings)
    store.create_search(taken)
    store.close()
    before = sorted(searcher.folder.rglob("*"))

    ended = searcher.here(capsys, *confirmed(searcher))

    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert f"search.run: --confirm needs the name XR_WRIST-optuna-confirm, but the store {told}; give" in ended.err
    assert "give another --name than XR_WRIST-optuna" in ended.err
    assert names(searcher) == ["XR_WRIST-optuna-confirm"]
    assert sorted(searcher.folder.rglob("*")) == before
    assert searcher.here(capsys, *confirmed(searcher)[:-2], "--trials", 1).code == 0  # which needs no such name


def test_a_search_is_not_named_as_the_confirmations_of_another_are(searcher: Searcher, capsys: Capsys) -> None:
    assert searcher.here(capsys, *confirmed(searcher, 1)).code == 0
    before, files = searcher.trials(), sorted(searcher.folder.rglob("*"))
    for more in ((), ("--data", "synthetic")):  # which is not drawn first
        ended = searcher.here(capsys, *confirmed(searcher)[:-2], "--name", "XR_WRIST-optuna-confirm", *more)
        assert (ended.code, len(ended.err.splitlines())) == (2, 1)
        told = "--name XR_WRIST-optuna-confirm: the store has the confirmations of XR_WRIST-optuna under that name"
        assert f"search.run: {told}; give another --name" in ended.err
    assert searcher.trials() == before
    assert sorted(searcher.folder.rglob("*")) == files
