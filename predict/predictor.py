"""A stored model on images: in memory, as files, as the studies that they belong to, as folders."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbing.errors import DataError, ModelError, UsageError
from predict.chosen import ChosenModel
from predict.files import image_files
from predict.verdicts import Unread, Verdict
from radiographs.decoding import Unreadable, decode, from_array
from radiographs.parts import class_names
from results.calibration import apply_temperature

BATCH = 32
HALF = 0.5  # what the leaderboards' sensitivity and specificity are at


class Predictor:
    """A loaded model; preprocessing is inside it."""

    def __init__(self, model: ChosenModel, threshold: float = HALF, batch_size: int = BATCH) -> None:
        """Args: threshold: from which calibrated P(abnormal) on an image or study is abnormal; a half: above it, as
            leaderboards count.
        Raises: UsageError where the threshold is not within 0..1, or another than a half is given for all_parts;
            ModelError where the file is damaged or not to be loaded safely.
        """
        self.model, self.batch_size = model, batch_size
        self.classes = class_names(model.task)
        if not 0 <= threshold <= 1:
            raise UsageError(f"a threshold of {threshold}: give one from 0 to 1")
        if threshold != HALF and len(self.classes) > 2:
            raise UsageError("all_parts calls the likeliest of its classes: it takes no threshold")
        self.threshold = threshold
        self._network = _load(model)
        self.size = int(self._network.input.shape[1])

    def image(self, image: Path | str | NDArray[Any]) -> Verdict:
        """The verdict on one image: a file, or an array as `radiographs.decoding.from_array` takes it.

        Raises: DataError where it cannot be read.
        """
        if isinstance(image, np.ndarray):
            try:
                grey = from_array(image, self.size)
            except Unreadable as reason:
                raise DataError(f"{reason}") from None
            return self._verdict("", self._raw(grey[None])[0])
        (found,) = self.images([Path(image)])
        if isinstance(found, Unread):
            raise DataError(f"{found.path}: {found.error}; give an image")
        return found

    def study(self, paths: Sequence[Path | str]) -> Verdict:
        """The verdict on the images of one study together, as a radiologist reads: by the mean of their probabilities.

        Returns: with a warning for each file that could not be read.
        Raises: DataError where none can be read.
        """
        found = list(self.images([Path(each) for each in paths]))
        read = [each for each in found if isinstance(each, Verdict)]
        unread = [f"{each.path}: {each.error}" for each in found if isinstance(each, Unread)]
        if not read:
            raise DataError(f"no image of the study can be read: {'; '.join(unread) or 'none was given'}; give images")
        return self._of_study(str(Path(read[0].path).parent), read, unread)

    def folder(self, folder: Path | str) -> Iterator[Verdict | Unread]:
        """A verdict for each image file in a folder and the folders in it, in the order of their names.

        Raises: DataError where it is no folder, or holds no image file.
        """
        files = image_files(Path(folder))
        if not files:
            raise DataError(f"{folder}: no image file in it; give a folder of images")
        yield from self.images(files)

    def images(self, paths: Sequence[Path]) -> Iterator[Verdict | Unread]:
        """A verdict for each path, in order; those that cannot be read say why."""
        for start in range(0, len(paths), self.batch_size):
            batch = paths[start : start + self.batch_size]
            decoded = [self._decode(path) for path in batch]
            grey = [each for each in decoded if not isinstance(each, str)]
            raw = iter(self._raw(np.stack(grey)) if grey else ())
            for path, each in zip(batch, decoded, strict=True):
                yield Unread(str(path), each) if isinstance(each, str) else self._verdict(str(path), next(raw))

    def studies(self, found: Sequence[Verdict | Unread]) -> list[Verdict]:
        """A verdict for each folder with images among the verdicts; its files that were not read are warnings."""
        folders: dict[str, tuple[list[Verdict], list[str]]] = {}
        for each in found:
            read, unread = folders.setdefault(str(Path(each.path).parent), ([], []))
            if isinstance(each, Verdict):
                read.append(each)
            else:
                unread.append(f"{each.path}: {each.error}")
        return [self._of_study(folder, read, unread) for folder, (read, unread) in folders.items() if read]

    def _of_study(self, folder: str, read: Sequence[Verdict], unread: Sequence[str]) -> Verdict:
        warnings = tuple(dict.fromkeys((*(each for one in read for each in one.warnings), *unread)))
        return self._verdict(folder, np.mean([each.raw for each in read], axis=0), len(read), warnings)

    def _verdict(self, path: str, raw: NDArray[np.float64], images: int = 1, warnings: tuple[str, ...] = ()) -> Verdict:
        """Of raw probabilities (1,) or (14,)."""
        calibrated = apply_temperature(raw[None], self.model.temperature)[0]
        binary = len(raw) == 1
        number = int(self._is_abnormal(raw[0], calibrated[0])) if binary else int(raw.argmax())
        shown = 0 if binary else number
        return Verdict(
            path=path,
            part=self.model.task,
            label=self.classes[number],
            probability=float(calibrated[shown]),
            raw_probability=float(raw[shown]),
            model=self.model.name,
            raw=raw,
            threshold=self.threshold if binary else None,
            images=images,
            warnings=warnings,
        )

    def _is_abnormal(self, raw: float, calibrated: float) -> bool:
        return raw > HALF if self.threshold == HALF else calibrated >= self.threshold

    def _decode(self, path: Path) -> NDArray[np.uint8] | str:
        try:
            return decode(path.read_bytes(), self.size)
        except Unreadable as reason:
            return str(reason)
        except OSError as error:
            return error.strerror or "cannot be read"

    def _raw(self, grey: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(images, 1) or (images, 14) of (images, size, size) uint8; one batch size, so that TensorFlow traces once."""
        padded = np.zeros((self.batch_size, self.size, self.size, 1), np.float32)
        padded[: len(grey), ..., 0] = grey
        return np.asarray(self._network.predict_on_batch(padded)[: len(grey)], np.float64)


def _load(model: ChosenModel) -> Any:
    from spaces.tensorflow_runtime import keras

    try:
        return keras().models.load_model(model.path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"model {model.name} at {model.path} cannot be loaded: {first}; search again") from None
