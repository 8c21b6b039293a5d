"""Scores against scikit-learn and SciPy."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import accuracy_score, cohen_kappa_score, log_loss, roc_auc_score

from plumbing.seeds import generator_of
from results.records import ImageList
from search.training.scoring import cross_entropy, epoch_metrics, probabilities

STUDIES, VIEWS = 12, 3


def logits_of(classes: int) -> np.ndarray:
    """(images, 1 or classes); the images of a study lie together."""
    shape = (STUDIES * VIEWS, 1 if classes == 2 else classes)
    return generator_of("logits", classes).normal(scale=2, size=shape)


def images_of(classes: int) -> ImageList:
    labels = np.repeat(np.arange(STUDIES) % classes, VIEWS)
    studies = tuple(f"study{study:02d}" for study in np.repeat(np.arange(STUDIES), VIEWS))
    paths = tuple(f"{study}/{image}" for image, study in enumerate(studies))
    return ImageList(paths=paths, patients=studies, studies=studies, labels=labels)


def test_one_logit_is_the_probability_of_abnormal() -> None:
    logits = logits_of(2)
    found = probabilities(logits)
    np.testing.assert_allclose(found, expit(logits), rtol=1e-6)
    assert (found.dtype, found.shape) == (np.float32, logits.shape)


def test_fourteen_logits_are_a_probability_for_each_class() -> None:
    found = probabilities(logits_of(14))
    np.testing.assert_allclose(found, softmax(logits_of(14), axis=1), rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("classes", [2, 14])
def test_cross_entropy_is_scikit_learns_log_loss(classes: int) -> None:
    logits, labels = logits_of(classes), images_of(classes).labels
    probability = expit(logits[:, 0]) if classes == 2 else softmax(logits, axis=1)
    assert cross_entropy(logits, labels) == pytest.approx(log_loss(labels, probability, labels=range(classes)))


def test_cross_entropy_of_sure_but_wrong_logits_is_finite() -> None:
    assert cross_entropy(np.array([[1000.0], [-1000.0]]), np.array([0, 1])) == 1000
    assert cross_entropy(np.array([[1000.0, 0.0, 0.0]]), np.array([1])) == 1000


def test_binary_loss_and_accuracy_are_by_image_and_auc_and_kappa_by_study() -> None:
    images, logits = images_of(2), logits_of(2)
    by_image = expit(logits[:, 0])
    by_study, labels = by_image.reshape(STUDIES, VIEWS).mean(axis=1), images.labels[::VIEWS]
    found = epoch_metrics(images, logits)
    assert found == pytest.approx(
        {
            "val_loss": log_loss(images.labels, by_image),
            "val_accuracy": accuracy_score(images.labels, by_image > 0.5),
            "val_auc": roc_auc_score(labels, by_study),
            "val_kappa": cohen_kappa_score(labels, by_study > 0.5),
        }
    )
    assert found["val_auc"] != pytest.approx(roc_auc_score(images.labels, by_image))  # the levels do differ here


def test_14_class_auc_is_the_mean_over_the_classes_present_in_the_studies() -> None:
    images, logits = images_of(14), logits_of(14)
    by_image = softmax(logits, axis=1)
    by_study, labels = by_image.reshape(STUDIES, VIEWS, 14).mean(axis=1), images.labels[::VIEWS]
    areas = [roc_auc_score(labels == each, by_study[:, each]) for each in np.unique(labels)]
    expected = {
        "val_accuracy": accuracy_score(images.labels, by_image.argmax(axis=1)),
        "val_auc": np.mean(areas),
        "val_kappa": cohen_kappa_score(labels, by_study.argmax(axis=1)),
    }
    found = epoch_metrics(images, logits)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_metrics_do_not_hang_on_the_order_of_images() -> None:
    images, logits = images_of(2), logits_of(2)
    order = generator_of("order").permutation(len(logits))
    names = tuple(images.studies[row] for row in order)
    shuffled = ImageList(paths=names, patients=names, studies=names, labels=images.labels[order])
    assert epoch_metrics(shuffled, logits[order]) == pytest.approx(epoch_metrics(images, logits))
