"""A large store's leaderboard reads little of most trials, and says the same."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pandas as pd
import pytest

from reports import board
from reports.board import Query, completed, judged_by, leaderboards, quick_trials
from reports.confirmed import with_confirmation
from reports.sheets import WRITERS
from results.records import Measure, Search, TrialResult
from results.store import Store
from results.table import ranking_table, trials_table
from results.writing import insert_measures
from tests.reports.store_maker import StoreMaker

AUC = Measure("valid", "study", "auc", 0.99, 0.98, 1.0)
LABELS = {"train": [0, 1] * 10, "valid": [0, 1] * 10, "test": [0, 1] * 10}


@pytest.fixture
def filled(url: str) -> Iterator[StoreMaker]:
    """Several parts and searches, trials in all states, some without metrics, some continued."""
    with closing(Store.open(url, create=True)) as store:
        made = StoreMaker(store, url)
        hand, wrist = made.search("hand"), made.search("wrist", task="XR_WRIST")
        made.images("XR_HAND", LABELS)
        for number in range(4):
            made.measure(hand, number, strength=0.3 * number)
        made.finish(hand, 9, valid_auc=0.7)
        made.finish(hand, 4, valid_auc=0.7)
        made.finish(hand, 5, (99.0, 98.0, 97.0))
        half_written = made.start(hand, 6)
        store.write(lambda connection: insert_measures(connection, half_written.id, [AUC]))
        store.fail_trial(made.start(hand, 7).id, "out of memory", 1.0)
        for number in (10, 12, 14):
            made.finish(hand, number, valid_auc=0.6 + number / 1000)
        made.finish(hand, 11, valid_auc=0.65, continues=10)
        store.fail_trial(made.start(hand, 13, continues=12).id, "out of memory", 1.0)
        made.start(hand, 15, continues=14)
        made.finish(wrist, 0, (90.0, 80.0, 70.0))
        made.finish(wrist, 1, (90.0, 85.0, 70.0), state="pruned")
        imported = made.search("published.csv", task=None, kind="import", data_hash=None)
        for number, part in enumerate(("XR_WRIST", "XR_ELBOW", "XR_HAND")):
            made.finish(imported, number, (90.0, 80.0 + number, 70.0), part=part)
        yield made


QUERIES = (
    Query(), Query(top=1), Query(top=99), Query(part="XR_WRIST"), Query(search="hand", rank_by="valid_accuracy_eval"),
    Query(columns=("rank", "rank_95", "lr", "config", "valid_kappa", "early_stop_at_epoch", "seed")),
    Query(since="2020-01-01"), Query(top=1, rank_by="valid_accuracy_eval"), Query(search="published.csv"),
)  # fmt: skip


@pytest.mark.parametrize("form", ["markdown", "json", "csv"])
@pytest.mark.parametrize("query", QUERIES)
def test_leaderboard_of_what_ranks_trials_is_that_of_all_of_them(filled: StoreMaker, query: Query, form: str) -> None:
    quick = quick_trials(filled.store, query)
    assert quick is not None
    assert "config" not in quick  # else this would prove nothing
    judge = judged_by(filled.store)
    of_all = leaderboards(filled.trials(), query, judge)
    assert WRITERS[form](leaderboards(quick, query, judge, completed(filled.store))) == WRITERS[form](of_all)


@pytest.mark.parametrize("query", [Query(rank_by="seconds"), Query(group_by="frozen"), Query(top=None)])
def test_query_that_needs_more_of_each_trial_reads_all(filled: StoreMaker, query: Query) -> None:
    assert quick_trials(filled.store, query) is None


def test_store_with_confirmations_is_read_whole(filled: StoreMaker) -> None:
    filled.search("hand-confirm", kind="confirm", settings={"confirms": "hand"})
    assert quick_trials(filled.store, Query()) is None


def test_too_many_trials_are_not_compared_and_that_is_said(filled: StoreMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    told = leaderboards(filled.trials(), Query(part="XR_HAND"), judged_by(filled.store))[0].after
    assert not any("too many" in sentence for sentence in told)
    monkeypatch.setattr(board, "MOST_COMPARED", 3)
    (sheet,) = leaderboards(filled.trials(), Query(part="XR_HAND"), judged_by(filled.store))
    assert "10 trials are too many to be compared here, 3 at most: how sure the order is, is not said." in sheet.after
    assert "rank_95" not in sheet.table


def test_rows_of_a_few_trials_are_those_of_the_whole_table(filled: StoreMaker) -> None:
    table = trials_table(filled.store)
    few = table.iloc[[4, 0]]["trial_id"].tolist()
    found = trials_table(filled.store, few)
    expected = table[table["trial_id"].isin(few)].reset_index(drop=True)
    pd.testing.assert_frame_equal(*(each.astype(object).where(each.notna(), None) for each in (found, expected)))
    assert len(with_confirmation(found)) == 2


def during(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen once, when the store's searches have been read."""
    searches, left = Store.searches, [happens]

    def read(self: Store) -> list[Search]:
        found = searches(self)
        if left:
            left.pop()()
        return found

    monkeypatch.setattr(Store, "searches", read)


def test_trial_that_ends_while_the_store_is_read_is_not_taken_in(
    filled: StoreMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ranking_table(filled.store, ends=True)
    (running,) = (trial for trial in filled.store.trials() if trial.number == 15)
    result = TrialResult("finished", 0.5, {}, 1, 2, 1.0, {"valid": 80.0}, (AUC,), {}, None)
    during(monkeypatch, lambda: filled.store.finish_trial(running.id, result))
    pd.testing.assert_frame_equal(ranking_table(filled.store, ends=True), before)
    after = ranking_table(filled.store, ends=True)
    assert after["continued"].sum() == before["continued"].sum() + 1


def test_confirmation_stored_while_the_store_is_read_has_it_read_whole(
    filled: StoreMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def confirm() -> None:
        filled.finish(filled.search("hand-confirm", kind="confirm", settings={"confirms": "hand"}), 0)

    during(monkeypatch, confirm)
    assert quick_trials(filled.store, Query()) is None
