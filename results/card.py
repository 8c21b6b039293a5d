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
# What every card has, and what each is.
KINDS: Mapping[str, type | tuple[type, ...]] = {
    "task": str,
    "search": str,
    "data_hash": str,
    "temperature": (int, float),
    "thresholds": dict,
}
SURELY_READ = 16 << 20  # bytes of an entry that are read whatever they are packed to
MOST_PACKED = 20  # times: settings of large networks are packed to a tenth
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
    """The card within a `.keras` file; what predictions rest on is there, and of the right kind.

    Raises: ModelError where it has none, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as file:
            check_size(file, CARD)
            card = json.loads(file.read(CARD), parse_constant=_no_number)
        return _checked(card)
    except KeyError:
        raise ModelError(
            f"{path} has no {CARD}: an older version saved it, or it is no model of ours; search again"
        ) from None
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}; put it back, or search again") from None


def check_size(file: zipfile.ZipFile, name: str) -> None:
    """Raises: ValueError where an entry would fill the memory; KeyError where there is none."""
    entry = file.getinfo(name)
    if entry.file_size > SURELY_READ + MOST_PACKED * entry.compress_size:
        raise ValueError(f"{name} of {entry.compress_size:,} bytes would become {entry.file_size:,}")


def _no_number(text: str) -> float:
    raise ValueError(f"{CARD} holds {text}")


def _checked(card: Any) -> dict[str, Any]:
    if not isinstance(card, dict):
        raise ValueError(f"{CARD} is no object of JSON")
    for name, kind in KINDS.items():
        if not isinstance(card.get(name), kind):
            raise ValueError(f"{name} in {CARD} is {card.get(name)!r}")
    if not card["temperature"] > 0:
        raise ValueError(f"temperature in {CARD} is {card['temperature']}")
    return card
