"""Leaderboards: how sure they say they are, and what can be asked of them."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from plumbing.errors import UsageError
from reports.board import Query, judged_by, leaderboards
from reports.matrix import matrix
from reports.ranking import ranked
from reports.sheets import Sheet, as_markdown
from results import schema
from results.ensemble_trial import make_ensemble
from results.evaluation import measures
from results.records import FINISHED, TrialResult
from tests.reports.store_maker import Ended, StoreMaker

Command = Callable[..., Ended]
LABELS = [0, 1] * 30


def separating(strength: float, seed: int) -> np.ndarray:
    """(60, 1) probabilities of labels 0 and 1 in turn, better apart the stronger."""
    noise = np.random.default_rng(seed).normal(size=60)
    return np.asarray(1 / (1 + np.exp(-(noise + strength * (2 * np.array(LABELS) - 1)))))[:, None]


def measured(made: StoreMaker, strengths: list[float], data_hash: str = "d" * 16, name: str = "s") -> None:
    """A search whose trials separate the valid patients so strongly."""
    search = made.search(name, data_hash=data_hash)
    made.images("XR_HAND", dict.fromkeys(("train", "valid", "test"), LABELS), data_hash)
    images = made.store.image_list(data_hash, "XR_HAND", "valid")
    for number, strength in enumerate(strengths):
        probability = separating(strength, number)
        accuracy = 100 * float(np.mean((probability[:, 0] > 0.5) == np.array(LABELS)))
        accuracies = dict.fromkeys(("train", "valid", "test"), accuracy)
        found, kept = measures("valid", images, probability), {"valid": probability.astype(np.float32)}
        result = TrialResult(FINISHED, 0.5, {"loss": [0.5]}, 0, None, 1.0, accuracies, found, kept, None)
        made.store.finish_trial(made.start(search, number).id, result)


def board(made: StoreMaker, **query: Any) -> Sheet:
    (sheet,) = leaderboards(made.trials(), Query(**query), judged_by(made.store))
    return sheet


def test_trials_that_cannot_be_told_from_the_best_are_marked_and_ranks_have_intervals(made: StoreMaker) -> None:
    measured(made, [2.0, 1.9, 0.1])
    sheet = board(made)
    rows = sheet.numbers.set_index("trial")
    assert rows["could_be_best"].to_dict() == {0: True, 1: True, 2: False}
    assert [tuple(rows.loc[number, ["rank_low", "rank_high"]]) for number in range(3)] == [(1, 2), (1, 2), (3, 3)]
    assert sorted(sheet.table["rank_95"]) == ["1-2", "1-2", "3-3"]
    assert sorted(sheet.table["could_be_best"]) == ["no", "yes", "yes"]
    assert sheet.after[0] == (
        "3 trials were measured on the same 60 valid patients; 2 of them could truly be the best (95 %)."
    )


@pytest.mark.parametrize("column", ["valid_auc", "valid_kappa", "valid_brier", "valid_accuracy_eval"])
def test_the_first_ones_value_is_said_to_be_lucky_with_what_to_expect(made: StoreMaker, column: str) -> None:
    measured(made, [0.6] * 12)
    sheet = board(made, rank_by=column, top=1)
    found = judged_by(made.store)("XR_HAND", ranked(made.trials(), "XR_HAND", column), column)
    assert found is not None
    assert found.corrected is not None
    first = sheet.numbers.iloc[0]
    assert found.corrected.plain == pytest.approx(first[column])
    worse = found.corrected.value - found.corrected.plain
    assert worse > 0 if column == "valid_brier" else worse < 0
    assert found.corrected.low <= found.corrected.value <= found.corrected.high
    digits = 1 if column == "valid_accuracy_eval" else 2
    of = f"The {column} of the first of them (s, trial {first['trial']}), {first[column]:.{digits}f}"
    assert sheet.after[1].startswith(f"{of}, is the best of 12 and so too good: ")
    assert sheet.after[1].endswith(
        "The luck of the best epoch and of the sampler, on the same patients, is still in it."
    )


def test_trials_of_each_data_are_judged_apart_and_the_best_of_each_is_named(made: StoreMaker) -> None:
    measured(made, [1.0, 0.8])
    measured(made, [0.5, 0.4, 0.0], data_hash="e" * 16, name="other")
    made.finish(made.search("imported"), 0, valid_auc=0.999)
    sheet = board(made, top=9)
    assert sheet.numbers.iloc[0]["search"] == "imported"
    known = sheet.numbers[sheet.numbers["rank_low"].notna()]
    assert known.groupby("search").size().to_dict() == {"other": 3, "s": 2}
    assert known.groupby("search")["rank_high"].max().to_dict() == {"other": 3, "s": 2}
    told = [sentence.split(",")[0] for sentence in sheet.after if sentence.startswith("The valid_auc of the first of")]
    firsts = known.groupby("search")["trial"].first()
    assert told == [f"The valid_auc of the first of them ({search}" for search in ("s", "other")]
    assert f"(other, trial {firsts['other']})" in " ".join(sheet.after)
    assert (
        "Both count trials measured on the same patients alone; where they are empty, nothing is known." in sheet.after
    )
    assert sheet.table.iloc[0][["rank_95", "could_be_best"]].isna().all()
    assert sheet.after[0].startswith("2 trials were measured on the same 60 valid patients (data dddddddddddd); ")


def test_where_all_trials_are_compared_no_word_is_lost_on_others(made: StoreMaker) -> None:
    measured(made, [2.0, 1.0])
    assert not any(sentence.startswith("Both count") for sentence in board(made).after)


@pytest.mark.parametrize(("patients", "told"), [(9, True), (10, False)])
def test_with_few_patients_of_a_class_nothing_is_claimed(made: StoreMaker, patients: int, told: bool) -> None:
    labels = [1] * patients + [0] * 40
    made.images("XR_HAND", dict.fromkeys(("train", "valid", "test"), labels))
    search = made.search()
    for number, strength in enumerate([9.0, -9.0]):  # right about all, and about none
        made.measure(search, number, strength)
    sheet = board(made)
    few = "2 trials were measured on the same 49 valid patients, 9 of a class: too few to tell the trials apart"
    assert sheet.after[0].startswith(few) == told
    assert sheet.numbers["could_be_best"].tolist() == [True, told]
    assert sheet.table["rank_95"].tolist() == (["1-2", "1-2"] if told else ["1-1", "2-2"])
    assert any("is the best of 2" in sentence for sentence in sheet.after) != told


def test_nothing_is_said_of_one_trial_or_of_a_test_column(made: StoreMaker) -> None:
    measured(made, [1.0])
    assert "rank_95" not in board(made).table
    measured(made, [1.0, 2.0], data_hash="f" * 16, name="two")
    assert "rank_95" not in board(made, search="two", rank_by="test_accuracy_eval").table
    assert "rank_95" in board(made, search="two").table


def test_columns_are_those_asked_for(made: StoreMaker) -> None:
    measured(made, [2.0, 1.0])
    sheet = board(made, columns=("rank", "valid_kappa", "config"))
    assert list(sheet.table) == ["rank", "valid_kappa", "config"]
    assert list(sheet.numbers) == ["rank", "valid_kappa", "valid_kappa_low", "valid_kappa_high", "config", "trial"]


def test_grouped_shows_the_best_of_each_value_with_its_rank_and_how_many_there_are(made: StoreMaker) -> None:
    measured(made, [1.0, 2.0], name="a")
    measured(made, [3.0, 0.5, 0.4], name="b")
    sheet = board(made, group_by="search", top=9)
    assert sheet.table[["rank", "trials", "search"]].to_numpy().tolist() == [[1, 3, "b"], [2, 2, "a"]]
    assert "The best of each search." in sheet.before


def test_grouped_says_how_sure_all_ranked_trials_are_whoever_leads_a_group(made: StoreMaker) -> None:
    measured(made, [1.0, 0.8])
    measured(made, [0.5, 0.4, 0.0], data_hash="e" * 16, name="other")
    made.finish(made.search("imported", kind="import"), 0, valid_auc=0.999)
    sheet = board(made, group_by="architecture", top=9)
    assert sheet.numbers["search"].tolist() == ["imported"]
    assert sum("too good" in sentence for sentence in sheet.after) == 2


def test_a_best_value_that_no_draw_changes_is_given_no_interval(made: StoreMaker) -> None:
    made.images("XR_HAND", dict.fromkeys(("train", "valid", "test"), LABELS))
    search = made.search()
    for number in range(2):
        made.measure(search, number, 40.0)
    told = " ".join(board(made).after)
    assert "1.00, is the best of 2; it is the same in all draws, so the bootstrap cannot tell its luck." in told
    assert "(1.00-1.00)" not in told
    assert "too good" not in told


def test_matrix_says_that_its_cells_are_lucky_and_when_test_chose(made: StoreMaker) -> None:
    measured(made, [1.0, 2.0])
    assert "and so too good" in matrix(made.trials(), Query()).before[0]
    assert len(matrix(made.trials(), Query()).before) == 1
    assert matrix(made.trials(), Query(rank_by="test_accuracy_eval")).before[1].startswith("Ranked by a test metric. ")


def test_since_takes_the_trials_that_ended_then_or_later(made: StoreMaker) -> None:
    measured(made, [1.0, 2.0])
    trials = made.trials()
    trials["finished"] = ["2026-01-31T10:00:00+00:00", "2026-01-31T12:00:00+00:00"]
    for since, count in (("2026-01-31", 2), ("2026-01-31T12:00", 1), ("2026-01-31T12:00:01", 0)):
        sheets = leaderboards(trials, Query(since=since), judged_by(made.store))
        assert sum(len(sheet.numbers) for sheet in sheets) == count


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"columns": ("beauty",)}, "--columns: 'beauty' is no column; give some of rank, rank_95"),
        ({"columns": ("trials",)}, "--columns trials counts those of a group; give --group-by too"),
        ({"group_by": "lr"}, "--group-by 'lr': give one of architecture, augmentation"),
        ({"search": "none"}, "--search none: no trial of it; the store holds s"),
        ({"since": "soon"}, "--since soon: no time; give it as 2026-01-31"),
    ],
)
def test_what_is_not_there_is_told_with_the_mend(made: StoreMaker, query: dict[str, Any], told: str) -> None:
    measured(made, [1.0])
    with pytest.raises(UsageError) as raised:
        board(made, **query)
    assert str(raised.value).startswith(told)


@pytest.mark.parametrize("form", ["matrix", "boards"])
def test_a_part_that_is_none_is_told_with_the_choices(made: StoreMaker, form: str) -> None:
    measured(made, [1.0])
    with pytest.raises(UsageError, match=r"--part 'XR_TOE': no such part; give one of XR_ELBOW"):
        matrix(made.trials(), Query(part="XR_TOE")) if form == "matrix" else board(made, part="XR_TOE")


@pytest.mark.parametrize("option", [("--top", 3), ("--columns", "rank"), ("--group-by", "engine")])
def test_matrix_refuses_what_it_would_not_obey(made: StoreMaker, command: Command, option: tuple[str, object]) -> None:
    ended = command("leaderboard", "--matrix", *option, "--store", made.url)
    told = f"--matrix has the best of each architecture and part; leave out {option[0]}"
    assert (ended.code, ended.out, ended.err.strip().endswith(told)) == (2, "", True)


def test_matrix_shows_imports_by_what_they_have(made: StoreMaker) -> None:
    measured(made, [1.0])
    made.finish(made.search("imported", kind="import"), 0, accuracies=(90.0, 81.5, 70.0), architecture="old")
    sheet = matrix(made.trials(), Query())
    assert sheet.table.set_index("architecture").loc["old", "XR_HAND"] == "81.5 %"
    assert sheet.before[0].startswith(
        "The best trial of each architecture and part, by valid_accuracy_eval (per cent), valid_auc: "
    )


def test_since_without_a_match_says_so(made: StoreMaker, command: Command) -> None:
    measured(made, [1.0])
    ended = command("leaderboard", "--since", "2999-01-01", "--store", made.url)
    assert (ended.code, ended.out) == (0, "The store holds no trial that ended on 2999-01-01 or later yet.\n")


def test_a_hostile_search_name_is_harmless_in_the_sentences_too(made: StoreMaker) -> None:
    measured(made, [2.0, 1.0], name="<script>a|b\n`c`")
    text = as_markdown([board(made)])
    assert "(&lt;script&gt;a\\|b \\`c\\`, trial 0)" in text
    assert "<script" not in text


def test_matrix_holds_the_best_of_each_architecture_and_part(made: StoreMaker) -> None:
    for number, part in enumerate(("XR_WRIST", "XR_ELBOW")):
        search = made.search(part, part)
        made.finish(search, 0, valid_auc=0.7 + number / 10)
        made.finish(search, 1, valid_auc=0.6)
    sheet = matrix(made.trials(), Query())
    assert list(sheet.table) == ["architecture", "XR_ELBOW", "XR_WRIST"]
    assert sheet.table.to_numpy().tolist() == [["net", "0.80 (0.75-0.85)", "0.70 (0.65-0.75)"]]
    assert sheet.numbers[["part_body", "value", "trial"]].to_numpy().tolist() == [
        ["XR_ELBOW", pytest.approx(0.8), 0],
        ["XR_WRIST", pytest.approx(0.7), 0],
    ]


def test_every_format_tells_the_same_rows(made: StoreMaker, command: Command) -> None:
    measured(made, [2.0, 1.0, 0.5])
    told = {
        form: command("leaderboard", "--store", made.url, "--format", form)
        for form in ("markdown", "csv", "json", "latex", "html")
    }
    assert {form: (ended.code, ended.err) for form, ended in told.items()} == dict.fromkeys(told, (0, ""))
    from_csv = pd.read_csv(StringIO(told["csv"].out))
    (from_json,) = json.loads(told["json"].out)
    assert from_csv["trial"].tolist() == [row["trial"] for row in from_json["rows"]] == [0, 1, 2]
    assert from_csv["valid_auc"].tolist() == [row["valid_auc"] for row in from_json["rows"]]
    assert from_json["title"] == "XR_HAND"
    for form in ("markdown", "latex", "html"):
        assert told[form].out.count("net\\_no" if form == "latex" else "net_no") == 3


@pytest.mark.parametrize("form", ["markdown", "csv", "json", "latex", "html"])
@pytest.mark.parametrize("more", [[], ["--matrix"]])
def test_a_store_without_finished_trials_reads_sensibly_in_every_format(
    made: StoreMaker, command: Command, form: str, more: list[str]
) -> None:
    made.start(made.search(), 0)
    ended = command("leaderboard", "--store", made.url, "--format", form, *more)
    assert (ended.code, ended.err) == (0, "")
    if form != "csv":
        assert "No finished trial yet" in ended.out


def test_fresh_seeds_say_how_many_trainings_finished_and_how_many_failed(made: StoreMaker) -> None:
    made.images("XR_HAND", dict.fromkeys(("train", "valid", "test"), LABELS))
    search, confirming = made.search("s"), made.search("s-confirm", kind="confirm", settings={"confirms": "s"})
    made.measure(search, 0, 0.7)
    for number, strength in enumerate((0.6, 0.8)):
        made.measure(confirming, number, strength)
    made.store.fail_trial(made.start(confirming, 2).id, "the loss is nan", 1.0)
    sheet = board(made)
    assert sheet.table["valid_auc_fresh"].iloc[0].endswith("(2 of 3)")
    assert sheet.numbers[["test_auc_fresh_trainings", "test_auc_fresh_failed"]].to_numpy().tolist() == [[2, 1]]


def test_where_every_training_under_fresh_seeds_failed_the_board_says_so(made: StoreMaker) -> None:
    made.images("XR_HAND", dict.fromkeys(("train", "valid", "test"), LABELS))
    search, confirming = made.search("s"), made.search("s-confirm", kind="confirm", settings={"confirms": "s"})
    made.measure(search, 0, 0.7)
    for number in range(2):
        made.store.fail_trial(made.start(confirming, number).id, "the loss is nan", 1.0)
    assert board(made).table["valid_auc_fresh"].tolist() == ["(0 of 2)"]


def test_an_ensemble_is_a_row_compared_with_no_trial_and_has_its_own_estimate(made: StoreMaker) -> None:
    measured(made, [0.6] * 5)
    before = board(made, top=None)
    with made.store.engine.begin() as connection:
        connection.execute(sa.update(schema.trials).values(model_path="kept.keras"))
    ensemble = make_ensemble(made.store, "XR_HAND", 20, "together", "")
    assert ensemble is not None
    sheet = board(made, top=None)
    (row,) = (row for _, row in sheet.table.iterrows() if row["search"] == "together")
    assert row["rank"] == 1
    assert row[["rank_95", "could_be_best"]].isna().all()
    assert list(sheet.table["rank_95"].dropna()) == list(before.table["rank_95"])
    expected = made.trials().set_index("search").loc["together", "valid_auc_expected"]
    assert sheet.after[3].startswith("together is an ensemble, compared with no trial: ")
    assert f"its own, {ensemble.value:.2f}, is too good; {expected:.2f} (" in sheet.after[3]
    assert sheet.after[:3] == before.after[:3]
