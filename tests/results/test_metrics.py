"""Metrics against scikit-learn, and properties that hold for all of them."""

from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from results import metrics
from results.calibration import apply_temperature, fit_temperature
from results.evaluation import Cases, all_metrics, confusion_counts, measures, plain_metrics, study_cases
from results.intervals import patient_weights, percentile_intervals
from results.records import ImageList


def random_cases(seed: int, cases: int = 60, classes: int = 2) -> Cases:
    """Cases of 20 patients whose probabilities hold ties."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, cases)
    probability = generator.random((cases, 1)) if classes == 2 else generator.dirichlet(np.ones(classes), cases)
    return Cases(labels, generator.integers(0, 20, cases), probability.round(1 if classes == 2 else 3))


def sklearn_binary(cases: Cases) -> dict[str, float]:
    labels, score = cases.labels, cases.probability[:, 0]
    called = (score > 0.5).astype(int)
    return {
        "auc": reference.roc_auc_score(labels, score),
        "accuracy": reference.accuracy_score(labels, called),
        "kappa": reference.cohen_kappa_score(labels, called),
        "sensitivity": reference.recall_score(labels, called),
        "specificity": reference.recall_score(labels, called, pos_label=0),
        "precision": reference.precision_score(labels, called),
        "f1": reference.f1_score(labels, called),
        "brier": reference.brier_score_loss(labels, score),
    }


@pytest.mark.parametrize("seed", range(5))
def test_binary_metrics_equal_scikit_learn(seed: int) -> None:
    cases = random_cases(seed)
    assert plain_metrics(cases) == pytest.approx(sklearn_binary(cases), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_14_class_metrics_equal_scikit_learn(seed: int) -> None:
    cases = random_cases(seed, cases=400, classes=14)
    found = plain_metrics(cases)
    called = cases.probability.argmax(axis=1)
    per_class = [
        reference.roc_auc_score(cases.labels == each, cases.probability[:, each]) for each in np.unique(cases.labels)
    ]
    assert found["auc"] == pytest.approx(np.mean(per_class))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(cases.labels, called))
    assert found["kappa"] == pytest.approx(reference.cohen_kappa_score(cases.labels, called))
    abnormal = cases.probability[:, 7:].sum(axis=1) > 0.5
    assert found["sensitivity"] == pytest.approx(reference.recall_score(cases.labels >= 7, abnormal))


@pytest.mark.parametrize("seed", range(3))
def test_weighted_auc_equals_scikit_learn_with_sample_weights(seed: int) -> None:
    cases = random_cases(seed)
    weight = np.random.default_rng(seed).integers(0, 4, (3, 60)).astype(float)
    found = metrics.auc(cases.labels == 1, cases.probability[:, 0], weight)
    for draw, value in zip(weight, found, strict=True):
        assert value == pytest.approx(
            reference.roc_auc_score(cases.labels, cases.probability[:, 0], sample_weight=draw)
        )


def shuffled(cases: Cases) -> Cases:
    order = np.random.default_rng(0).permutation(len(cases.labels))
    return Cases(cases.labels[order], cases.patients[order], cases.probability[order])


def doubled(cases: Cases) -> Cases:
    twice = np.r_[np.arange(len(cases.labels)), np.arange(len(cases.labels))]
    return Cases(cases.labels[twice], cases.patients[twice], cases.probability[twice])


UNCHANGED: dict[str, Callable[[Cases], Cases]] = {"order": shuffled, "every case twice": doubled}


def unequal(before: dict[str, float], after: dict[str, float]) -> set[str]:
    return {name for name in before if after[name] != pytest.approx(before[name], abs=1e-12)}


@pytest.mark.parametrize("change", UNCHANGED)
@pytest.mark.parametrize("classes", [2, 14])
def test_no_metric_depends_on(change: str, classes: int) -> None:
    cases = random_cases(1, 200, classes)
    assert unequal(plain_metrics(cases), plain_metrics(UNCHANGED[change](cases))) == set()


def test_a_metric_that_depends_on_order_is_found() -> None:
    cases = random_cases(1)

    def broken(given: Cases) -> dict[str, float]:
        return {"first cases": float(given.probability[:20].sum())}

    assert unequal(broken(cases), broken(shuffled(cases))) == {"first cases"}


def test_turning_labels_and_probabilities_round_leaves_auc_and_brier() -> None:
    cases = random_cases(2)
    turned = Cases(1 - cases.labels, cases.patients, 1 - cases.probability)
    for name in ("auc", "brier"):
        assert plain_metrics(turned)[name] == pytest.approx(plain_metrics(cases)[name])
    assert metrics.sensitivity(np.array([[[5.0, 1], [2, 4]]])) == metrics.specificity(np.array([[[4.0, 2], [1, 5]]]))


def test_metrics_of_one_class_are_undefined_not_wrong() -> None:
    cases = Cases(np.ones(4, np.int64), np.arange(4), np.full((4, 1), 0.8))
    found = plain_metrics(cases)
    assert np.isnan([found["auc"], found["specificity"], found["kappa"]]).all()
    assert found["sensitivity"] == 1.0


def images_of(studies: list[int], labels: list[int]) -> ImageList:
    names = tuple(f"study{each}" for each in studies)
    return ImageList(names, tuple(f"patient{each}" for each in studies), names, np.array(labels))


def test_study_probability_is_the_mean_of_its_images() -> None:
    images = images_of([7, 3, 7], [1, 0, 1])
    cases = study_cases(images, np.array([[0.25], [0.9], [0.75]]))
    assert cases.probability.tolist() == [[0.9], [0.5]]
    assert cases.labels.tolist() == [0, 1]


@pytest.mark.parametrize("classes", [2, 14])
def test_confusion_counts_are_scikit_learns_by_study(classes: int) -> None:
    generator = np.random.default_rng(3)
    images = images_of([*range(60)] * 2, [*generator.integers(0, classes, 60)] * 2)
    probability = generator.random((120, 1 if classes == 2 else classes))
    mean = (probability[:60] + probability[60:]) / 2
    called = mean[:, 0] > 0.5 if classes == 2 else mean.argmax(axis=1)
    expected = reference.confusion_matrix(images.labels[:60], called.astype(int), labels=range(classes))
    assert confusion_counts(images, probability).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("probability", "told"), [([[0.5]], "1 probabilities for 2 images"), ([[0.1], [np.nan]], "row 1")]
)
def test_probabilities_that_do_not_fit_are_refused(probability: list[list[float]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        study_cases(images_of([1, 2], [0, 1]), np.array(probability))


def test_patients_cases_come_and_go_together() -> None:
    weight = patient_weights(np.array([4, 9, 4, 2]), np.array([0, 1, 0, 1]), draws=50)
    assert (weight[:, 0] == weight[:, 2]).all()
    assert (weight[:, 1] + weight[:, 3] == 2).all()  # drawn within the stratum of abnormal patients


def test_bootstrap_weights_are_the_same_each_time() -> None:
    patients, labels = np.arange(30), np.arange(30) % 2
    assert (patient_weights(patients, labels) == patient_weights(patients, labels)).all()


def test_interval_of_a_proportion_agrees_with_the_binomial() -> None:
    """200 patients, one case each, 80 % right: the normal approximation gives 0.8 +- 1.96 sqrt(0.16 / 200)."""
    labels = np.arange(200) % 2
    right = np.arange(200) % 10 < 8
    probability = np.where(right, labels, 1 - labels).astype(float)[:, None]
    draws = all_metrics(Cases(labels, np.arange(200), probability), patient_weights(np.arange(200), labels))
    low, high = percentile_intervals(draws["accuracy"][None])[0] or (0, 0)
    margin = 1.96 * np.sqrt(0.8 * 0.2 / 200)
    assert low == pytest.approx(0.8 - margin, abs=0.015)
    assert high == pytest.approx(0.8 + margin, abs=0.015)


def test_measures_hold_every_metric_by_image_and_by_study() -> None:
    images = images_of([1, 1, 2, 3, 4, 5], [0, 0, 1, 0, 1, 1])
    found = measures("test", images, np.array([[0.1], [0.2], [0.7], [0.6], [0.9], [0.4]]))
    assert len(found) == 16
    auc = next(each for each in found if (each.level, each.metric) == ("study", "auc"))
    assert (auc.value, auc.split) == (pytest.approx(5 / 6), "test")
    assert auc.low is not None
    assert auc.high is not None
    assert auc.low <= 5 / 6 <= auc.high


@given(st.floats(0.2, 5), st.integers(0, 1000))
@settings(max_examples=20)
def test_fitted_temperature_undoes_one_that_was_applied(temperature: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    true = generator.uniform(0.02, 0.98, (4000, 1))
    labels = (generator.random(4000) < true[:, 0]).astype(np.int64)
    distorted = apply_temperature(true, temperature)
    assert fit_temperature(distorted, labels) == pytest.approx(1 / temperature, rel=0.2)


def test_temperature_keeps_decisions_and_sums() -> None:
    probability = np.random.default_rng(0).dirichlet(np.ones(14), 50)
    softened = apply_temperature(probability, 3.0)
    assert (softened.argmax(axis=1) == probability.argmax(axis=1)).all()
    assert softened.sum(axis=1) == pytest.approx(np.ones(50))


def test_intervals_are_numpys_percentiles_of_the_draws_that_define_the_metric() -> None:
    draws = np.random.default_rng(0).normal(size=(4, 500))
    draws[1, ::3], draws[2], draws[3] = np.nan, np.nan, np.nan
    draws[2, 7] = 0.5
    found = percentile_intervals(draws)
    for row, interval in zip(draws[:3], found[:3], strict=True):
        assert interval == pytest.approx(np.nanpercentile(row, [2.5, 97.5]), abs=1e-12)
    assert found[3] is None


def test_auc_of_many_draws_is_that_of_each_alone() -> None:
    draws = 2 * metrics.DRAWS_AT_ONCE + 3  # more than are taken at once, and not a multiple of it
    generator = np.random.default_rng(0)
    positive, score = generator.random(40) < 0.4, generator.integers(0, 12, 40) / 11
    weight = generator.integers(0, 3, (draws, 40)).astype(np.float64)
    weight[1, positive] = 0  # undefined

    alone = [metrics.auc(positive, score, each[None])[0] for each in weight]

    assert np.array_equal(metrics.auc(positive, score, weight), alone, equal_nan=True)
    assert metrics.auc(positive, score, weight[:0]).shape == (0,)
