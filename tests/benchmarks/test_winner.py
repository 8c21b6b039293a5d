"""The figures of a search's winner: areas, differences from the rival, calibration."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.winner import STRENGTHS, TUNED, Features, Found, areas, calibration, compared, regressions
from results.calibration import apply_temperature
from results.records import SPLITS, ImageList


def images(count: int) -> ImageList:
    """Two a study and a patient, every other study abnormal."""
    names = tuple(f"patient{number // 2}" for number in range(count))
    labels = np.arange(count) // 2 % 2
    return ImageList(tuple(map(str, range(count))), names, names, labels.astype(np.int64))


@pytest.fixture
def features() -> Features:
    """Twelve, the first of which tells a little."""
    generator = np.random.default_rng(0)
    lists = {split: images(80) for split in SPLITS}
    made = {split: generator.normal(size=(80, 12)).astype(np.float32) for split in SPLITS}
    for split in SPLITS:
        made[split][:, 0] += lists[split].labels
    return Features(made, lists)


def test_areas_are_those_of_scikit_learn_and_lie_within_their_intervals(features: Features) -> None:
    test = features.lists["test"]
    for one in regressions(features).values():
        area, low, high = areas(test, [one])["image"]
        assert area == pytest.approx(roc_auc_score(test.labels, one.test[:, 0]), abs=1e-4)
        assert low < area < high


def test_a_classifier_is_no_better_than_itself_and_better_than_its_opposite(features: Features) -> None:
    (one, *_), test = regressions(features).values(), features.lists["test"]
    told = compared(test, [one], {"itself": one, "opposite": replace(one, test=1 - one.test)})
    assert told["AUC above itself"] == {"study": [0, 0, 0], "image": [0, 0, 0]}
    assert told["AUC above opposite"]["study"][1] > 0


def test_the_mean_of_two_seeds_is_the_mean_of_their_areas(features: Features) -> None:
    both, test = list(regressions(features).values()), features.lists["test"]
    alone = [areas(test, [one])["study"][0] for one in both]
    assert areas(test, both)["study"][0] == pytest.approx(np.mean(alone), abs=1e-4)


def test_the_strength_is_chosen_without_test(features: Features) -> None:
    turned = replace(features.lists["test"], labels=1 - features.lists["test"].labels)
    other = regressions(replace(features, lists={**features.lists, "test": turned}))[TUNED]
    chosen = regressions(features)[TUNED]
    assert chosen.told == other.told
    assert chosen.told["C"] in STRENGTHS
    assert (chosen.test == other.test).all()


def test_a_temperature_that_undoes_overconfidence_lowers_both_errors(features: Features) -> None:
    test = features.lists["test"]
    honest = np.where(test.labels == 1, 0.7, 0.3)
    honest[::4] = 1 - honest[::4]  # right in three of four: 0.7 is near the truth
    sure = Found(apply_temperature(honest[:, None], 0.2), 5.0, {})
    told = calibration(test, sure)["image"]
    assert told["Brier"][1] < told["Brier"][0]
    assert told["calibration error"][1] < told["calibration error"][0]
    same = calibration(test, replace(sure, temperature=1.0))["study"]
    assert same["Brier after less before"] == [0, 0, 0]
