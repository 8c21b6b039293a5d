"""Figures of groups: each group's own, by scikit-learn, and none where patients are too few."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, recall_score, roc_auc_score

from plumbing.seeds import generator_of
from results.evaluation import Cases, measures
from results.groups import LEAST_OF_A_GROUP, METRICS, group_figures
from results.records import ImageList


@pytest.fixture
def cases() -> Cases:
    """120 studies of 80 patients."""
    generator = generator_of("groups")
    label, patient = np.arange(120) % 2, np.arange(120) % 80
    probability = 1 / (1 + np.exp(-(generator.normal(size=120) + label - 0.5)))
    return Cases(label.astype(np.int64), patient.astype(np.int64), probability[:, None])


def test_groups_have_the_figures_that_scikit_learn_gives_their_studies(cases: Cases) -> None:
    group = np.repeat([3, 1, 2], 40)

    found = group_figures(cases, group)

    assert [(each.group, each.cases) for each in found] == [(1, 40), (2, 40), (3, 40)]
    for each in found:
        own = group == each.group
        label, probability = cases.labels[own], cases.probability[own, 0]
        called = probability > 0.5
        expected = {
            "auc": roc_auc_score(label, probability),
            "kappa": cohen_kappa_score(label, called),
            "sensitivity": recall_score(label, called),
            "specificity": recall_score(label, called, pos_label=0),
        }
        assert {name: figure[0] for name, figure in each.figures.items()} == pytest.approx(expected)


def test_intervals_are_those_of_a_split_of_the_group_alone(cases: Cases) -> None:
    group = (np.arange(120) < 60).astype(np.int64)
    names = tuple(f"{number:03d}" for number in range(60))
    patients = tuple(f"{number:03d}" for number in cases.patients[:60])
    alone = {
        (each.level, each.metric): (each.value, each.low, each.high)
        for each in measures("test", ImageList(names, patients, names, cases.labels[:60]), cases.probability[:60])
    }

    (_, found) = group_figures(cases, group)

    assert found.figures == {name: alone["study", name] for name in METRICS}


def test_a_patients_cases_are_drawn_together(cases: Cases) -> None:
    alone = Cases(cases.labels, np.arange(120), cases.probability)
    three_times = np.repeat(np.arange(120), 3)
    thrice = Cases(alone.labels[three_times], alone.patients[three_times], alone.probability[three_times])

    (once,), (repeated,) = (group_figures(each, np.zeros(len(each.labels), np.int64)) for each in (alone, thrice))

    # Three equal cases a patient tell no more than one: drawn case by case, the intervals would be narrower.
    assert repeated.figures == {name: pytest.approx(figure) for name, figure in once.figures.items()}


def test_patients_are_counted_once_in_each_class_that_they_have() -> None:
    few = Cases(np.array([0, 1, 1, 0]), np.array([5, 5, 7, 5]), np.full((4, 1), 0.4))

    (found,) = group_figures(few, np.zeros(4, np.int64))

    assert (found.cases, found.patients, found.normal_patients, found.abnormal_patients) == (4, 2, 1, 2)
    assert found.figures == {}


def test_a_class_needs_ten_patients_for_a_figure() -> None:
    def of(abnormal: int) -> bool:
        label = np.array([0] * 30 + [1] * abnormal)
        score = np.linspace(0, 1, len(label))[:, None]
        (found,) = group_figures(Cases(label, np.arange(len(label)), score), np.zeros(len(label), np.int64))
        return bool(found.figures)

    assert [of(LEAST_OF_A_GROUP - 1), of(LEAST_OF_A_GROUP)] == [False, True]


def test_a_group_is_needed_for_each_case(cases: Cases) -> None:
    with pytest.raises(ValueError, match="3 groups for 120 cases"):
        group_figures(cases, np.zeros(3, np.int64))
