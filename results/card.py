"""What a model says of itself: `card.json` within its file, beside Keras' own entries, which Keras leaves alone."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plumbing.errors import ModelError
from results.calibration import fit_temperature
from results.evaluation import Probabilities, as_abnormal, calibrated, study_cases
from results.records import ImageList
from results.thresholds import chosen_thresholds

CARD = "card.json"
# The zip format's first moment: the same card gives the same bytes.
NO_TIME = (1980, 1, 1, 0, 0, 0)


def model_card(facts: Mapping[str, Any], valid: ImageList, probability: Probabilities) -> dict[str, Any]:
    """The facts, and what makes a verdict of the model's output: all of it fitted on valid.

    Args:
        probability: (images, 1) P(abnormal) or (images, 14) of the images of valid.
    Returns: with `temperature`, by which the logits of an image's or a study's mean probability are divided, and
        `thresholds`, how each was chosen -> from which calibrated P(abnormal) on a study is called abnormal; empty
        where valid has one class alone.
    """
    temperature = fit_temperature(probability.astype(np.float64), valid.labels)
    studies = as_abnormal(calibrated(study_cases(valid, probability), temperature))
    one_class = len(np.unique(studies.labels)) < 2
    thresholds = {} if one_class else chosen_thresholds(studies.labels, studies.probability[:, 0])
    return {**facts, "temperature": temperature, "thresholds": thresholds}


def add_card(path: Path, card: Mapping[str, Any]) -> None:
    """Put the card into a `.keras` file.

    Raises: OSError where the file cannot be written.
    """
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(zipfile.ZipInfo(CARD, NO_TIME), json.dumps(card, indent=1, allow_nan=False))


def read_card(path: Path) -> dict[str, Any]:
    """The card within a `.keras` file.

    Raises: ModelError where it has none, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as file:
            card: dict[str, Any] = json.loads(file.read(CARD))
    except KeyError:
        raise ModelError(
            f"{path} has no {CARD}: an older version saved it, or it is no model of ours; search again"
        ) from None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}; put it back, or search again") from None
    return card
