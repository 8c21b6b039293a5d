"""A stored model on images: in memory, as files, as the studies that they belong to, as folders."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

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
Sizes = dict[int, NDArray[np.uint8]]  # an image's grey pixels at each size that a network wants
KERAS, ONNX = "keras", "onnx"  # engines
HALF = 0.5  # what the leaderboards' sensitivity and specificity are at


class ImageFile(Protocol):
    """A file, or what is like one: `str` of it names it in verdicts."""

    def read_bytes(self) -> bytes:
        """Its content; OSError where it cannot be read."""


class Predictor:
    """A loaded model; preprocessing is inside it."""

    def __init__(
        self, model: ChosenModel, threshold: float = HALF, batch_size: int = BATCH, engine: str = KERAS
    ) -> None:
        """Args: threshold: from which calibrated P(abnormal) on an image or study is abnormal; a half: above it, as
            leaderboards count. engine: KERAS, or ONNX without TensorFlow.
        Raises: UsageError where the threshold is not within 0..1, or another than a half is given for all_parts;
            ModelError where the file is damaged or not to be loaded safely.
        """
        self.model, self.batch_size, self.engine = model, batch_size, engine
        self.classes = class_names(model.task)
        if not 0 <= threshold <= 1:
            raise UsageError(f"a threshold of {threshold}: give one from 0 to 1")
        if threshold != HALF and len(self.classes) > 2:
            raise UsageError("all_parts calls the likeliest of its classes: it takes no threshold")
        self.threshold = threshold
        self._members = [(_load(each, engine), weight) for each, weight in model.members or ((model, 1.0),)]
        self.size = _size(self._members[0][0])

    @property
    def _network(self) -> Any:
        """For what one network alone can be asked for, as a heat map.

        Raises: ModelError where it is an ensemble.
        """
        if len(self._members) > 1:
            raise ModelError(
                f"{self.model.name} is an ensemble, which has no network of its own; name one of its models, "
                f"as {self.model.members[0][0].name}"
            )
        return self._members[0][0]

    def image(self, image: Path | str | NDArray[Any]) -> Verdict:
        """The verdict on one image: a file, or an array as `radiographs.decoding.from_array` takes it.

        Raises: DataError where it cannot be read.
        """
        if isinstance(image, np.ndarray):
            try:
                grey = {size: from_array(image, size) for size in self._sizes}
            except Unreadable as reason:
                raise DataError(f"{reason}") from None
            return self._verdict("", self._raw([grey])[0])
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
        return self.together(str(Path(read[0].path).parent), read, unread)

    def folder(self, folder: Path | str) -> Iterator[Verdict | Unread]:
        """A verdict for each image file in a folder and the folders in it, in the order of their names.

        Raises: DataError where it is no folder, or holds no image file.
        """
        files = image_files(Path(folder))
        if not files:
            raise DataError(f"{folder}: no image file in it; give a folder of images")
        yield from self.images(files)

    def images(self, files: Sequence[ImageFile]) -> Iterator[Verdict | Unread]:
        """A verdict for each file, in order; those that cannot be read say why."""
        for start in range(0, len(files), self.batch_size):
            batch = files[start : start + self.batch_size]
            decoded = [self._decode(file) for file in batch]
            grey = [each for each in decoded if not isinstance(each, str)]
            raw = iter(self._raw(grey) if grey else ())
            for file, each in zip(batch, decoded, strict=True):
                yield Unread(str(file), each) if isinstance(each, str) else self._verdict(str(file), next(raw))

    def studies(self, found: Sequence[Verdict | Unread]) -> list[Verdict]:
        """A verdict for each folder with images among the verdicts; its files that were not read are warnings."""
        folders: dict[str, tuple[list[Verdict], list[str]]] = {}
        for each in found:
            read, unread = folders.setdefault(str(Path(each.path).parent), ([], []))
            if isinstance(each, Verdict):
                read.append(each)
            else:
                unread.append(f"{each.path}: {each.error}")
        return [self.together(folder, read, unread) for folder, (read, unread) in folders.items() if read]

    def together(self, name: str, read: Sequence[Verdict], unread: Sequence[str] = ()) -> Verdict:
        """The verdict on a study from those on its images.

        Args:
            unread: what to warn of besides their warnings.
        """
        warnings = tuple(dict.fromkeys((*(each for one in read for each in one.warnings), *unread)))
        return self._verdict(name, np.mean([each.raw for each in read], axis=0), len(read), warnings)

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

    @property
    def _sizes(self) -> set[int]:
        return {_size(network) for network, _ in self._members}

    def _decode(self, file: ImageFile) -> Sizes | str:
        try:
            content = file.read_bytes()
            return {size: decode(content, size) for size in self._sizes}
        except Unreadable as reason:
            return str(reason)
        except OSError as error:
            return error.strerror or "cannot be read"

    def _raw(self, grey: Sequence[Sizes]) -> NDArray[np.float64]:
        """(images, 1) or (images, 14); of an ensemble the members' weighted mean."""
        return np.sum([weight * self._of(network, grey) for network, weight in self._members], axis=0)

    def _of(self, network: Any, grey: Sequence[Sizes]) -> NDArray[np.float64]:
        """By one network; for Keras one batch size, so that TensorFlow traces once."""
        size, rows = _size(network), len(grey) if self.engine == ONNX else self.batch_size
        padded = np.zeros((rows, size, size, 1), np.float32)
        padded[: len(grey), ..., 0] = np.stack([each[size] for each in grey])
        return np.asarray(network.predict_on_batch(padded)[: len(grey)], np.float64)


def _size(network: Any) -> int:
    return int(network.input.shape[1])


def _load(model: ChosenModel, engine: str) -> Any:
    if engine == ONNX:
        from predict.onnx_model import load_onnx

        return load_onnx(model.path, model.name)
    from spaces.tensorflow_runtime import keras

    try:
        return keras().models.load_model(model.path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0]  # Keras' advice is to trust it
        if not zipfile.is_zipfile(model.path):
            first = "it is no whole .keras file"
        raise ModelError(f"model {model.name} at {model.path} cannot be loaded: {first}; search again") from None
