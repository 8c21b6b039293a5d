"""What the report opens with: searched, best with the luck taken off, not certain, time and compute."""

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from reports.board import judged_by
from reports.cost import cost_table
from reports.data_plot import images_table
from reports.opening import best_table, data_table, leak_sentences, searched_sentences, uncertain_sentences
from reports.ranking import ranked
from results import schema
from results.ensemble_trial import make_ensemble
from results.records import CONFIRM, IMPORT, ImageList
from results.table import trials_table
from tests.reports.store_maker import HOSTILE, StoreMaker

LABELS = {"train": [0, 1] * 40, "valid": [0, 1] * 30, "test": [0, 1] * 25}


@pytest.fixture
def hand(made: StoreMaker) -> StoreMaker:
    made.images("XR_HAND", LABELS)
    search = made.search("hand")
    for number in range(6):
        made.measure(search, number, 0.5)
    return made


def test_searched_says_trials_architectures_parts_and_where_from(hand: StoreMaker) -> None:
    hand.finish(hand.search("file", None, kind=IMPORT), 0, part="XR_WRIST")

    told = searched_sentences(hand.trials(), hand.store.searches())

    assert told == ["7 trials of 1 architecture (net) for XR_HAND and XR_WRIST, in 1 search and 1 import."]


def test_an_ensemble_is_no_searched_trial_and_as_the_first_has_its_own_estimate(hand: StoreMaker) -> None:
    with hand.store.engine.begin() as connection:
        connection.execute(sa.update(schema.trials).values(model_path="kept.keras"))
    assert make_ensemble(hand.store, "XR_HAND", 20, "together", "") is not None
    trials, judge = hand.trials(), judged_by(hand.store)

    (told,) = searched_sentences(trials, hand.store.searches())
    (row,) = best_table(trials, judge).to_dict("records")

    assert told == "6 trials of 1 architecture (net) for XR_HAND, in 1 search, beside 1 ensemble of their models."
    expected = trials.set_index("search").loc["together", "valid_auc_expected"]
    assert (row["search"], row["could be best"]) == ("together", "6 of 6")
    assert row["luck taken off"].startswith(f"{expected:.2f} (")
    assert "The best trials were trained under one seed only" in " ".join(uncertain_sentences(trials, judge))


def test_data_counts_images_studies_patients_and_abnormal_studies(made: StoreMaker) -> None:
    images = ImageList(("a", "b", "c"), ("p1", "p1", "p2"), ("s1", "s1", "s2"), np.array([1, 1, 0]))
    made.store.save_image_list("d" * 16, "XR_HAND", "valid", images)
    made.search("first")
    made.search("second")

    table = data_table(made.store, made.store.searches())

    assert table.to_dict("records") == [
        {"task": "XR_HAND", "data": "d" * 12, "images": "? / 3 / ?", "studies": "? / 2 / ?", "patients": "? / 2 / ?",
         "abnormal studies": "? / 1 / ?"}
    ]  # fmt: skip


def test_best_is_told_with_what_to_expect_without_luck(hand: StoreMaker) -> None:
    judge, trials = judged_by(hand.store), hand.trials()
    sure = judge("XR_HAND", ranked(trials, "XR_HAND"), "valid_auc")
    assert sure is not None
    assert sure.corrected is not None

    (row,) = best_table(trials, judge).to_dict("records")

    expected = f"{sure.corrected.value:.2f} ({sure.corrected.low:.2f}-{sure.corrected.high:.2f})"
    assert (row["luck taken off"], row["chosen by"]) == (expected, "valid_auc")
    assert row["valid AUC"].startswith(f"{sure.corrected.plain:.2f} (")
    assert row["could be best"].endswith(" of 6")
    assert "other seeds" not in row


def test_of_imports_nothing_is_said_that_is_not_known(made: StoreMaker) -> None:
    made.finish(made.search("file", None, kind=IMPORT), 0)

    (row,) = best_table(made.trials(), judged_by(made.store)).to_dict("records")
    told = " ".join(uncertain_sentences(made.trials(), judged_by(made.store)))

    assert not {"valid AUC", "luck taken off", "could be best", "other seeds"} & set(row)
    assert "Fewer than two trials of any part have stored probabilities" in told
    assert "due to the seed of their training is not known" in told
    assert "--confirm" not in told
    assert "better than it is" not in told


def test_not_certain_names_who_could_be_best_few_patients_and_single_seeds(hand: StoreMaker) -> None:
    told = " ".join(uncertain_sentences(hand.trials(), judged_by(hand.store)))

    assert " of 6." in told
    assert "on valid there are: XR_HAND 60." in told
    assert "The best trials were trained under one seed only" in told
    assert "another hospital" in told


def test_empty_store_says_nothing(made: StoreMaker) -> None:
    judge, trials = judged_by(made.store), made.trials()

    assert searched_sentences(trials, []) == uncertain_sentences(trials, judge) == []
    assert best_table(trials, judge).empty
    assert cost_table([], trials, images_table(made.store, [])).empty


def test_hostile_names_are_one_line_in_sentences(made: StoreMaker) -> None:
    for number, name in enumerate(HOSTILE):
        made.finish(made.search(f"{number}{name}", None), 0, part=f"{number}{name}"[:20])

    told = [*searched_sentences(made.trials(), made.store.searches())]
    told += uncertain_sentences(made.trials(), judged_by(made.store))

    assert all(sentence.isprintable() for sentence in told)


def test_cost_adds_hours_epochs_and_image_passes_with_confirmations(hand: StoreMaker) -> None:
    hand.measure(hand.search("hand-confirm", kind=CONFIRM, settings={"confirms": "hand"}), 0, 0.5)
    hand.start(hand.search("waiting"), 0)
    searches = hand.store.searches()

    table = cost_table(searches, trials_table(hand.store), images_table(hand.store, searches))

    assert table["search"].tolist() == ["hand", "hand-confirm", "all"]
    assert table["trials"].tolist() == [6, 1, 7]
    assert table["hours"].tolist() == pytest.approx([0.06, 0.01, 0.07])
    assert table["epochs"].tolist() == [18, 3, 21]
    assert table["image passes"].tolist() == [18 * 80, 3 * 80, 21 * 80]
    assert table["seconds an epoch"].tolist() == pytest.approx([12, 12, 12])


def test_trainings_under_other_seeds_that_all_failed_are_told_as_failed(hand: StoreMaker) -> None:
    confirming = hand.search("hand-confirm", kind=CONFIRM, settings={"confirms": "hand"})
    for number in range(2):
        hand.store.fail_trial(hand.start(confirming, number).id, "the loss is nan", 1.0)
    trials = hand.trials()
    assert trials["valid_auc_fresh_failed"].max() == 2
    told = " ".join(uncertain_sentences(trials, judged_by(hand.store)))
    assert "Of XR_HAND every training of the best under other seeds failed." in told
    assert "when trained again" not in told


def test_leaks_that_were_found_are_among_what_is_not_certain() -> None:
    (told,) = leak_sentences(pd.DataFrame({"kind": ["near", "exact"]}))
    assert told.startswith("2 leaks were found")
    assert leak_sentences(pd.DataFrame({"kind": []})) == []
