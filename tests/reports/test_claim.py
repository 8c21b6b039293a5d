"""The CLAIM checklist: its items, what is answered and what is honestly open, and that answers are the store's."""

import re
from dataclasses import replace

import numpy as np
import pytest

from radiographs.parts import ALL_PARTS
from reports.board import judged_by
from reports.chosen_model import Chosen, chosen_model
from reports.claim import ANSWERED, IN_PART, OPEN, SECTIONS, claim_text
from tests.reports.store_maker import StoreMaker

LABELS = {"train": [0, 1] * 40, "valid": [0, 1] * 30, "test": [0, 1] * 25}
# What no results store can know: the paper's own words, how the data came to be, who annotated, funding. Of
# robustness (30) this one knows nothing either: each study has one image, and no trial was trained again.
NEVER_KNOWN = {2, 4, 5, 11, 13, 15, 16, 17, 18, 21, 30, 31, 33, 34, 41, 44}


@pytest.fixture
def hand(made: StoreMaker) -> StoreMaker:
    made.images("XR_HAND", LABELS)
    search = made.search("hand", details={"data": "/somewhere/MURA-v1.1"}, settings={"views": 4})
    for number, strength in enumerate((0.4, 1.2)):
        made.measure(search, number, strength, architecture="densenet121")
    return made


def chosen_of(made: StoreMaker, part: str = "XR_HAND") -> Chosen:
    found = chosen_model(made.store, made.trials(), made.store.searches(), judged_by(made.store), part)
    assert found is not None
    return found


def lines_of(made: StoreMaker, part: str = "XR_HAND") -> dict[int, str]:
    text = claim_text(chosen_of(made, part), "card.md")
    found = re.findall(r"^(- \[.\] \*\*(\d+)\. .*)$", text, re.MULTILINE)
    return {int(number): line for line, number in found}


def states_of(made: StoreMaker) -> dict[int, str]:
    known = {number: re.search(r"\*\* \((.*?)\)", line) for number, line in lines_of(made).items()}
    return {number: match[1] for number, match in known.items() if match}


def test_items_are_the_checklists_44_in_order() -> None:
    numbers = [item.number for items in SECTIONS.values() for item in items]

    assert numbers == list(range(1, 45))
    first = {title: items[0].number for title, items in SECTIONS.items()}
    assert first["Methods: data"] == 7
    assert first["Methods: reference standard"] == 14
    assert first["Methods: partitions and testing data"] == 19
    assert first["Methods: model"] == 22
    assert first["Methods: training"] == 25
    assert first["Methods: evaluation"] == 28
    assert first["Results: data"] == 35
    assert first["Other information"] == 42


def test_what_no_store_knows_is_open_and_has_no_answer(hand: StoreMaker) -> None:
    states, lines = states_of(hand), lines_of(hand)

    assert {number for number, state in states.items() if state == OPEN} == NEVER_KNOWN
    assert all(lines[number].endswith(f"({OPEN})") for number in NEVER_KNOWN)


def test_only_whole_answers_are_ticked_and_the_count_says_so(hand: StoreMaker) -> None:
    states, lines = states_of(hand), lines_of(hand)
    counts = [list(states.values()).count(state) for state in (ANSWERED, IN_PART, OPEN)]

    assert {number for number, line in lines.items() if line.startswith("- [x]")} == {
        number for number, state in states.items() if state == ANSWERED
    }
    assert all(("Still to say" in lines[number]) == (state == IN_PART) for number, state in states.items())
    assert f"Of 44 items: {counts[0]} {ANSWERED}, {counts[1]} {IN_PART}, {counts[2]} {OPEN}." in claim_text(
        chosen_of(hand), "card.md"
    )


def test_answers_are_the_stores(hand: StoreMaker) -> None:
    lines, row = lines_of(hand), hand.trials().set_index("trial_id").loc[2]

    assert "Folder MURA-v1.1" in lines[7]
    assert "d" * 16 in lines[7]
    assert "train 80 patients, 80 studies, 80 images" in lines[35]
    assert "test 25 of 50" in lines[36]
    assert f"test AUC {row['test_auc']:.2f} ({row['test_auc_low']:.2f}-{row['test_auc_high']:.2f})" in lines[37]
    assert f"sensitivity {row['test_sensitivity']:.2f} (" in lines[38]
    assert "densenet121" in lines[22]
    assert "64 x 64 px" in lines[9]
    assert "first of 2 finished trials" in lines[26]


def test_of_a_network_of_the_users_own_less_is_known(made: StoreMaker) -> None:
    made.images("XR_HAND", LABELS)
    made.measure(made.search(settings={"own model": ["densenet121", "abc"]}), 0, 1.0, architecture="densenet121")
    states = states_of(made)

    assert [states[number] for number in (22, 24, 25)] == [IN_PART] * 3


def test_without_test_figures_they_are_still_to_say(made: StoreMaker) -> None:
    made.images("XR_HAND", {"valid": [0, 1] * 20})
    scores = np.tile([[0.3], [0.6]], (20, 1)).astype(np.float32)
    made.finish(made.search(), 0, valid_auc=1.0, probabilities={"valid": scores})
    states = states_of(made)

    assert [states[number] for number in (37, 38, 39)] == [IN_PART, IN_PART, OPEN]


def test_all_parts_says_what_its_figures_are_over(made: StoreMaker) -> None:
    made.images(ALL_PARTS, dict.fromkeys(("train", "valid", "test"), list(range(14)) * 4))
    made.measure(made.search("all", ALL_PARTS), 0, 1.0, ALL_PARTS)
    lines = lines_of(made, ALL_PARTS)

    over_classes, of_abnormal = lines[28].split("asking only whether abnormal")
    assert all(name in over_classes for name in ("14 classes", "AUC", "kappa", "Brier", "accuracy"))
    assert all(name in of_abnormal for name in ("sensitivity", "specificity", "calibration error", "net benefit"))
    assert "Results by body part: model card." in lines[30]
    assert "train 28 of 56" in lines[36]


def test_a_network_that_flattens_is_not_said_to_pool(made: StoreMaker) -> None:
    made.images("XR_HAND", LABELS)
    made.measure(made.search(), 0, 1.0, architecture="base_cnn")

    assert "the backbone's features, dropout" in lines_of(made)[22]
    assert "pooled" not in lines_of(made)[22]


def test_luck_is_said_to_be_taken_off_only_where_it_is(hand: StoreMaker) -> None:
    line = lines_of(hand)[29]

    assert line.startswith("- [x]")
    assert "2 trials on the same patients were compared at once" in line
    assert "The luck of the best epoch and of the sampler, on the same patients, is still in it." in line
    assert "The luck of the best epoch and of the sampler" in lines_of(hand)[26]


def measured(made: StoreMaker, patients: int, strengths: tuple[float, ...]) -> str:
    """Item 29 of trials on so many patients of each class."""
    made.images("XR_HAND", dict.fromkeys(("train", "valid", "test"), [0, 1] * patients))
    search = made.search()
    for number, strength in enumerate(strengths):
        made.measure(search, number, strength)
    return lines_of(made)[29]


@pytest.mark.parametrize(
    ("patients", "strengths", "told"),
    [
        (30, (1.0,), "compared with no other trial: none was on the same patients."),
        (6, (0.5, 1.0), "compared with no other trial: valid has too few patients of a class."),
        (30, (50.0, 1.0), "the luck of the model's choice could not be taken off."),  # no draw finds an error
    ],
)
def test_uncertainty_is_open_where_luck_could_not_be_taken_off(
    made: StoreMaker, patients: int, strengths: tuple[float, ...], told: str
) -> None:
    line = measured(made, patients, strengths)

    assert line.startswith("- [ ]")
    assert told in line
    assert "Still to say: how far the choice among trials flatters the figures" in line


def test_leaks_that_were_found_are_told_and_left_to_the_authors(hand: StoreMaker) -> None:
    def line(leaks: int | None) -> str:
        (found,) = re.findall(
            r"^.*\*\*20\..*$", claim_text(replace(chosen_of(hand), leaks=leaks), "c.md"), re.MULTILINE
        )
        return str(found)

    assert line(None).startswith("- [x]")
    assert "by patient name" in line(None)
    assert "was not looked at here" in line(None)
    assert line(0).startswith("- [x]")
    assert "No image was found in two" in line(0)
    assert line(3).startswith("- [ ]")
    assert "near duplicates: 3 (" in line(3)
