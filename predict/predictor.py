"""A stored model on images: in memory, as files, as the studies that they belong to, as folders."""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.forward import processors
from plumbing.errors import DataError, ModelError, UsageError
from predict.asked import Asked
from predict.chosen import ChosenModel
from predict.files import ImageFile, content_of
from predict.networks import KERAS, ONNX, Answer, KerasNetwork, Network, load_network
from predict.verdicts import NOT_OF_THE_KIND, Unread, Verdict
from radiographs.augmentation import view_of
from radiographs.decoding import Unreadable, decode, from_array
from radiographs.parts import class_names
from results.calibration import apply_temperature

BATCH = 32
AHEAD = 2  # batches that are asked or decoded while one's verdicts are taken
Sizes = dict[int, NDArray[np.uint8]]  # an image's grey pixels at each size that a network wants
HALF = 0.5  # what the leaderboards' sensitivity and specificity are at
VIEWS_LEVEL = "light"  # of augmentation: what may lie otherwise in another radiograph of the kind


class Predictor(Asked):
    """A loaded model; preprocessing is inside it."""

    def __init__(
        self,
        model: ChosenModel,
        threshold: float = HALF,
        batch_size: int = BATCH,
        engine: str = KERAS,
        views: int = 1,
    ) -> None:
        """Args: threshold: from which calibrated P(abnormal) on an image or study is abnormal; a half: above it, as
            leaderboards count. engine: KERAS, or ONNX without TensorFlow. views: of an image, whose probabilities are
            averaged: the image itself, and others turned and flipped by `VIEWS_LEVEL`.
        Raises: UsageError where the threshold is not within 0..1, or another than a half is given for all_parts;
            ModelError where the file is damaged or not to be loaded safely.
        """
        self.model, self.batch_size, self.engine, self.views = model, batch_size, engine, views
        self.classes = class_names(model.task)
        if not 0 <= threshold <= 1:
            raise UsageError(f"a threshold of {threshold}: give one from 0 to 1")
        if threshold != HALF and len(self.classes) > 2:
            raise UsageError("all_parts calls the likeliest of its classes: it takes no threshold")
        self.threshold = threshold
        self._members = [(load_network(each, engine), weight) for each, weight in model.members or ((model, 1.0),)]
        self.size = self._members[0][0].size

    @property
    def keras_models(self) -> list[tuple[Any, float]]:
        """The Keras models as they were saved, with their weights in the ensemble; one of weight 1 where it is none.

        Raises: ModelError where another engine runs them.
        """
        members = [(network.model, weight) for network, weight in self._members if isinstance(network, KerasNetwork)]
        if len(members) < len(self._members):
            raise ModelError(f"{self.model.name} is run by {self.engine}; take the engine {KERAS}")
        return members

    def in_memory(self, pixels: NDArray[Any]) -> Verdict:
        """As `Asked` has it."""
        try:
            grey = {size: from_array(pixels, size) for size in self._sizes}
        except Unreadable as reason:
            raise DataError(f"{reason}") from None
        return self._judged([""], [grey])[0]

    def images(self, files: Sequence[ImageFile]) -> Iterator[Verdict | Unread]:
        """A verdict for each file, in order; those that cannot be read say why.

        While verdicts are taken the network has the next batch, and threads decode the one after.
        """
        with ThreadPoolExecutor(processors()) as decoders, ThreadPoolExecutor(1) as network:
            coming: deque[Future[list[Verdict | Unread]]] = deque()
            for start in range(0, len(files), self.batch_size):
                batch = files[start : start + self.batch_size]
                decoding = [decoders.submit(self._decode, file) for file in batch]
                coming.append(network.submit(self._found, batch, decoding))
                if len(coming) > AHEAD:
                    yield from coming.popleft().result()
            while coming:
                yield from coming.popleft().result()

    def _found(self, files: Sequence[ImageFile], decoding: Sequence[Future[Sizes | str]]) -> list[Verdict | Unread]:
        """Of a batch, once it is decoded."""
        decoded = [(str(file), each.result()) for file, each in zip(files, decoding, strict=True)]
        read = [(name, grey) for name, grey in decoded if isinstance(grey, dict)]
        verdicts = iter(self._judged([name for name, _ in read], [grey for _, grey in read]))
        return [Unread(name, each) if isinstance(each, str) else next(verdicts) for name, each in decoded]

    def together(self, name: str, read: Sequence[Verdict], unread: Sequence[str] = ()) -> Verdict:
        """As `Asked` has it: by the mean of the raw probabilities."""
        strange = [each.is_strange for each in read]
        known = None if None in strange else all(strange)
        told = [warning for each in read for warning in each.warnings if warning != NOT_OF_THE_KIND]
        if True in strange:
            some = f"{strange.count(True)} of {len(read)} images: {NOT_OF_THE_KIND}"
            told.insert(0, NOT_OF_THE_KIND if known else some)
        mean = np.mean([each.raw for each in read], axis=0)
        verdict = self._verdict(name, mean, known)
        return replace(verdict, images=len(read), warnings=tuple(dict.fromkeys((*told, *unread))))

    def answer(self, grey: Sequence[Sizes]) -> Answer:
        """What the network says of images, as many as a batch holds at most.

        Of an ensemble the members' weighted mean; an image is strange where members of half the weight say so.
        """
        answers = [
            (self._of(network, [each[network.size] for each in grey]), weight) for network, weight in self._members
        ]
        probability = np.sum([weight * answer.probability for answer, weight in answers], axis=0)
        votes = [(answer.is_strange, weight) for answer, weight in answers if answer.is_strange is not None]
        if len(votes) < len(answers):
            return Answer(probability, None)
        return Answer(probability, np.sum([weight * each for each, weight in votes], axis=0) >= HALF)

    def _judged(self, names: Sequence[str], grey: Sequence[Sizes]) -> list[Verdict]:
        """Verdicts on images under these names, as many as a batch holds at most."""
        if not grey:
            return []
        answer = self.answer(grey)
        strange = [None] * len(grey) if answer.is_strange is None else answer.is_strange.tolist()
        return [self._verdict(*each) for each in zip(names, answer.probability, strange, strict=True)]

    def _verdict(self, path: str, raw: NDArray[np.float64], is_strange: bool | None = None) -> Verdict:
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
            warnings=(NOT_OF_THE_KIND,) if is_strange else (),
            is_strange=is_strange,
        )

    def _is_abnormal(self, raw: float, calibrated: float) -> bool:
        return raw > HALF if self.threshold == HALF else calibrated >= self.threshold

    @property
    def _sizes(self) -> set[int]:
        return {network.size for network, _ in self._members}

    def _decode(self, file: ImageFile) -> Sizes | str:
        try:
            content = content_of(file)
            return {size: decode(content, size) for size in self._sizes}
        except Unreadable as reason:
            return str(reason)

    def _of(self, network: Network, grey: Sequence[NDArray[np.uint8]]) -> Answer:
        """By one network, the mean over views; whether an image is strange is asked of itself alone."""
        first = self._at_once(network, grey)
        views = [first.probability]
        for view in range(1, self.views):
            changed = [view_of(each, VIEWS_LEVEL, _digest(each), view) for each in grey]
            views.append(self._at_once(network, changed).probability)
        return replace(first, probability=np.mean(views, axis=0))

    def _at_once(self, network: Network, grey: Sequence[NDArray[np.uint8]]) -> Answer:
        rows = len(grey) if self.engine == ONNX else rows_for(len(grey), self.batch_size)
        padded = np.zeros((rows, network.size, network.size, 1), np.float32)
        padded[: len(grey), ..., 0] = grey
        return network(padded, len(grey))


def rows_for(images: int, most: int) -> int:
    """By how many rows Keras is asked for so many images: few numbers, because TensorFlow traces a network for each.

    >>> [rows_for(images, 16) for images in (1, 3, 16)]
    [1, 4, 16]
    """
    return min(most, 1 << (images - 1).bit_length())


def _digest(pixels: NDArray[np.uint8]) -> str:
    """The same picture has the same views, wherever it lies."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest()
