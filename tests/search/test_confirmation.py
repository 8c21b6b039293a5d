"""The best trials trained again under fresh seeds: by the same code, once each, whatever is killed between."""

import json

import pytest

from results.records import CONFIRM
from results.store import Store
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
