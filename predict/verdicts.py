"""A stored model on image files: a verdict an image, and a verdict a study."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbing.errors import ModelError
from predict.chosen import ChosenModel
from radiographs.decoding import Unreadable, decode
from radiographs.parts import class_names
from results.calibration import apply_temperature

BATCH = 32


@dataclass(frozen=True)
class Verdict:
    """What the model says of an image or a study.

    Attributes:
        probability: calibrated; P(abnormal) for a part, of the label for all_parts. raw_probability: as at training.
        raw: (1,) or (14,) raw probabilities, from which a study's are averaged.
    """

    path: str
    part: str
    label: str
    probability: float
    raw_probability: float
    model: str
    raw: NDArray[np.float64]


@dataclass(frozen=True)
class Unread:
    """A file that got no verdict, and why."""

    path: str
    error: str


class Predictor:
    """A loaded model; preprocessing is inside it."""

    def __init__(self, model: ChosenModel) -> None:
        """Raises: ModelError where the file is damaged or not to be loaded safely."""
        self.model = model
        self._network = _load(model)
        self.size = int(self._network.input.shape[1])

    def images(self, paths: Sequence[Path]) -> Iterator[Verdict | Unread]:
        """A verdict for each path, in order; those that cannot be read say why."""
        for start in range(0, len(paths), BATCH):
            batch = paths[start : start + BATCH]
            decoded = [self._decode(path) for path in batch]
            grey = [each for each in decoded if not isinstance(each, str)]
            raw = iter(self._raw(np.stack(grey)) if grey else ())
            for path, each in zip(batch, decoded, strict=True):
                yield Unread(str(path), each) if isinstance(each, str) else self.verdict(str(path), next(raw))

    def verdict(self, path: str, raw: NDArray[np.float64]) -> Verdict:
        """The verdict of raw probabilities (1,) or (14,)."""
        calibrated = apply_temperature(raw[None], self.model.temperature)[0]
        names = class_names(self.model.task)
        binary = len(raw) == 1
        number = int(raw[0] > 0.5) if binary else int(raw.argmax())
        shown = 0 if binary else number
        return Verdict(
            path=path,
            part=self.model.task,
            label=names[number],
            probability=float(calibrated[shown]),
            raw_probability=float(raw[shown]),
            model=self.model.name,
            raw=raw,
        )

    def studies(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """A verdict for each study folder with images among the verdicts: by the mean of its raw probabilities."""
        of_study: dict[str, list[NDArray[np.float64]]] = {}
        for each in verdicts:
            if re.match(r"study", Path(each.path).parent.name):
                of_study.setdefault(str(Path(each.path).parent), []).append(each.raw)
        return [self.verdict(study, np.mean(raw, axis=0)) for study, raw in of_study.items()]

    def _decode(self, path: Path) -> NDArray[np.uint8] | str:
        try:
            return decode(path.read_bytes(), self.size)
        except Unreadable as reason:
            return str(reason)
        except OSError as error:
            return error.strerror or "cannot be read"

    def _raw(self, grey: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(images, 1) or (images, 14) of (images, size, size) uint8; one batch size, so that TensorFlow traces once."""
        padded = np.zeros((BATCH, self.size, self.size, 1), np.float32)
        padded[: len(grey), ..., 0] = grey
        return np.asarray(self._network.predict_on_batch(padded)[: len(grey)], np.float64)


def _load(model: ChosenModel) -> Any:
    from spaces.tensorflow_runtime import keras

    try:
        return keras().models.load_model(model.path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"model {model.name} at {model.path} cannot be loaded: {first}; search again") from None
