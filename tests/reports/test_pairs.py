"""The best trials in pairs: against the tests themselves, and what is not compared."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from radiographs.parts import ALL_PARTS
from reports.pairs import AUC, COLUMNS, pairs_remark, pairs_table, pairs_told
from reports.part_plots import drawn_plots, part_tables
from reports.recall import Recall
from reports.top_trials import top_trials
from results.delong import delong_test
from results.multiple import holm
from results.rates import mcnemar_test, paired_difference
from tests.reports.store_maker import HOSTILE, StoreMaker

LABELS = {"train": [0, 1] * 30, "valid": [0, 1] * 30, "test": [0, 1] * 25}


@pytest.fixture
def hand(made: StoreMaker) -> StoreMaker:
    """Five trials of XR_HAND: one is far better than the others, which are alike."""
    made.images("XR_HAND", LABELS)
    search = made.search("hand")
    for number, strength in enumerate((0.1, 3.0, 0.1, 0.1, 0.0)):
        made.measure(search, number, strength)
    return made


def table_of(made: StoreMaker, part: str = "XR_HAND") -> pd.DataFrame:
    return pairs_table(top_trials(made.store, made.trials(), part))


def test_every_two_of_the_first_four_are_tested_on_both_splits(hand: StoreMaker) -> None:
    table = table_of(hand)

    assert list(table.columns) == COLUMNS
    assert len(table) == 6 * 2 * 2
    assert table["split"].tolist() == ["valid"] * 12 + ["test"] * 12
    assert table["p_holm"].tolist() == pytest.approx(holm(table["p"]).tolist())
    best = table[table["first_trial"] == 1]
    assert (best["p_holm"] < 0.05).all()
    assert (best["difference"] > 0).all()
    assert (table.loc[table["first_trial"] != 1, "p_holm"] > 0.05).all()
    assert pairs_remark(table).startswith(
        "Different at the 5 % level, adjusted for all 24 tests: 6 of 12 on valid and 6"
    )


def test_a_row_is_the_test_of_its_two_trials(hand: StoreMaker) -> None:
    names = np.argsort([f"test{number}" for number in range(50)])  # studies are numbered by name
    labels = np.array(LABELS["test"])[names]

    for row in table_of(hand).query("split == 'test'").itertuples():
        first, second = (
            np.asarray(hand.store.probabilities(trial + 1, "test"), float)[names, 0]
            for trial in (row.first_trial, row.second_trial)
        )
        if row.measure == AUC:
            expected = delong_test(labels == 1, first, second)
            told = [expected.value, expected.low, expected.high, expected.p]
            values = [roc_auc_score(labels, each) for each in (first, second)]
        else:
            right = [(each > 0.5) == (labels == 1) for each in (first, second)]
            told = [*paired_difference(*right), mcnemar_test(*right)]
            values = [accuracy_score(labels, each > 0.5) for each in (first, second)]
        assert [row.difference, row.difference_low, row.difference_high, row.p] == pytest.approx(told)
        assert [row.first_value, row.second_value] == pytest.approx(values)


def test_trials_of_other_data_are_not_compared(hand: StoreMaker) -> None:
    hand.images("XR_HAND", LABELS, "e" * 16)
    other, probability = hand.search("other", data_hash="e" * 16), np.linspace(0.01, 0.99, 60, dtype=np.float32)
    hand.finish(other, 0, valid_auc=0.9999, probabilities={"valid": probability[:, None]})

    table = table_of(hand)

    assert set(table["first_search"]) | set(table["second_search"]) == {"hand"}
    assert len(table) == 3 * 2 * 2  # of the other three of the first four


def test_a_single_trial_has_no_pairs_and_no_place_in_the_report(made: StoreMaker) -> None:
    made.images("XR_HAND", LABELS)
    made.measure(made.search(), 0, 1.0)

    assert table_of(made).empty
    assert "pairs" not in part_tables(made.store, made.trials(), "XR_HAND")


def test_one_study_of_a_class_has_an_accuracy_and_no_auc(made: StoreMaker) -> None:
    made.images("XR_HAND", {"valid": [0, 0, 0, 1]})
    for number, last in enumerate((0.4, 0.6)):
        probability = np.array([[0.2], [0.5], [0.3], [last]], np.float32)
        made.finish(made.search(str(number)), 0, valid_auc=0.9, probabilities={"valid": probability})

    (row,) = table_of(made).to_dict("records")

    assert (row["measure"], row["difference"], row["p"]) == ("accuracy at 0.5", -0.25, 1.0)


def test_of_all_parts_it_says_that_only_normal_or_abnormal_is_asked(made: StoreMaker) -> None:
    made.images(ALL_PARTS, dict.fromkeys(("valid", "test"), list(range(14)) * 4))
    for number in range(2):
        made.measure(made.search(str(number), ALL_PARTS), 0, 1.0 + number, ALL_PARTS)

    drawn = drawn_plots(part_tables(made.store, made.trials(), ALL_PARTS), "all", Recall())

    (pairs,) = [each for each in drawn if each.heading == "The best trials in pairs"]
    assert pairs.picture is None
    assert "ranked by their AUC over all 14 classes, so the first need not be the best here" in pairs.reading
    assert pairs.reading.endswith("on test.")


def test_of_all_parts_the_network_is_asked_as_it_was_trained_and_not_scaled(made: StoreMaker) -> None:
    """Of 14 classes scaling moves P(abnormal) across 0.5, which it never does of two."""
    made.images(ALL_PARTS, dict.fromkeys(("valid", "test"), list(range(14)) * 8))
    for number in range(2):
        made.measure(made.search(str(number), ALL_PARTS), 0, 0.5 + number, ALL_PARTS)
    first, second = top_trials(made.store, made.trials(), ALL_PARTS)

    for split in ("valid", "test"):
        ours, theirs = first.splits[split], second.splits[split]
        raw, scaled = (
            [(getattr(each, which) > 0.5) == (each.abnormal == 1) for each in (ours, theirs)]
            for which in ("raw", "scaled")
        )
        row = table_of(made, ALL_PARTS).query("split == @split and measure != @AUC").iloc[0]
        assert [row["first_value"], row["second_value"]] == pytest.approx([raw[0].mean(), raw[1].mean()])
        assert row["p"] == pytest.approx(mcnemar_test(*raw))
        assert [scaled[0].mean(), scaled[1].mean()] != pytest.approx([raw[0].mean(), raw[1].mean()])


def test_names_and_numbers_are_told_for_people(made: StoreMaker) -> None:
    made.images("XR_HAND", LABELS)
    for number in range(2):
        made.measure(made.search(str(number)), 0, float(number), name=HOSTILE[number])

    told = pairs_told(table_of(made))

    assert set(told["first trial"]) == {HOSTILE[1]}
    assert told["difference (95 %)"].str.fullmatch(r"[+-]\d\.\d{3} \([+-]\d\.\d{3} to [+-]\d\.\d{3}\)").all()
