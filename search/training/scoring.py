"""From logits to what is measured: probabilities, the metrics of an epoch, the measures of a trial."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_softmax, softmax

from radiographs.dataset import Dataset
from results.evaluation import image_cases, plain_metrics, study_cases
from results.records import ImageList


def image_list(dataset: Dataset, split: str) -> ImageList:
    """The split's images as the store keeps them, in the order of probabilities."""
    images = dataset.split(split)
    return ImageList(
        paths=tuple(images["path"]),
        patients=tuple(images["patient"]),
        studies=tuple(images["study"]),
        labels=images["label"].to_numpy(np.int64),
    )


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    """(images, 1) P(abnormal) of one logit, or (images, classes) of several."""
    found = expit(logits) if logits.shape[1] == 1 else softmax(logits, axis=1)
    return np.asarray(found, np.float32)


def cross_entropy(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean negative log-probability of the true class, in nats."""
    if logits.shape[1] == 1:
        return float(-np.mean(log_expit(np.where(labels == 1, logits[:, 0], -logits[:, 0]))))
    return float(-np.mean(log_softmax(logits, axis=1)[np.arange(len(labels)), labels]))


def epoch_metrics(images: ImageList, logits: NDArray[np.float64]) -> dict[str, float]:
    """Loss and accuracy by image, as Keras reports them; AUC and kappa by study."""
    probability = probabilities(logits)
    by_study = plain_metrics(study_cases(images, probability), ("auc", "kappa"))
    by_image = plain_metrics(image_cases(images, probability), ("accuracy",))
    return {
        "val_loss": cross_entropy(logits, images.labels),
        "val_accuracy": by_image["accuracy"],
        "val_auc": by_study["auc"],
        "val_kappa": by_study["kappa"],
    }
