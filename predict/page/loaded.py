"""A model that is ready to be asked: its first verdict takes as long as its next."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from plumbing.errors import ModelError
from predict.chosen import ChosenModel
from predict.files import Content, ImageFile
from predict.gradcam import GradCam
from predict.heat import Heat
from predict.networks import KERAS
from predict.predictor import Predictor, rows_for
from predict.routing import Router
from predict.verdicts import Unread, Verdict
from radiographs.decoding import decode

# How many images at once: all that `rows_for` gives, because a network is prepared for each number.
BATCHES = (1, 2, 4, 8, 16)
MOST_TOGETHER = BATCHES[-1]
BLANK = Content("blank.pgm", b"P5 1 1 255 \0")  # one black pixel
NO_SLOPES = "ONNX Runtime gives no slopes, so no heat maps; start without --engine onnx"


@dataclass(frozen=True)
class HeatMap:
    """Where in an image lies what speaks for a class: `shown` names the class."""

    heat: Heat
    shown: str


Read = tuple[Content, Verdict]  # a file and what was said of it


class Ready(Protocol):
    """What can be asked: a model, or a router to several."""

    def found(self, files: Sequence[ImageFile]) -> list[Verdict | Unread]:
        """A verdict for each file, in order; those that cannot be read say why."""

    def heats(self, read: Sequence[Read]) -> list[HeatMap | str]:
        """A heat map for each file that was read, or why there is none."""

    def together(self, name: str, read: Sequence[Verdict], unread: Sequence[str]) -> Verdict:
        """The verdict on the files as one study."""


@dataclass(frozen=True)
class Loaded:
    """A model, and what makes its heat maps or why it has none."""

    predictor: Predictor
    gradcam: GradCam | str

    def found(self, files: Sequence[ImageFile]) -> list[Verdict | Unread]:
        """As `Ready` has it."""
        return list(self.predictor.images(files))

    def heats(self, read: Sequence[Read]) -> list[HeatMap | str]:
        """As `Ready` has it."""
        return self.heats_of([(file, verdict.label) for file, verdict in read])

    def heats_of(self, labelled: Sequence[tuple[Content, str]]) -> list[HeatMap | str]:
        """A heat map for each file and label."""
        if isinstance(self.gradcam, str):
            return [self.gradcam] * len(labelled)
        made: list[HeatMap | str] = []
        for start in range(0, len(labelled), MOST_TOGETHER):
            made += _heats(self.gradcam, labelled[start : start + MOST_TOGETHER])
        return made

    def together(self, name: str, read: Sequence[Verdict], unread: Sequence[str]) -> Verdict:
        """As `Ready` has it."""
        return self.predictor.together(name, read, unread)


class Routed:
    """The model that finds the part, and those of the parts."""

    def __init__(self, url: str, loaded: Callable[[str], Loaded]) -> None:
        """Args: loaded: task -> its model.
        Raises: ModelError where none finds parts.
        """
        self._loaded = loaded
        self._router = Router(url, lambda model: loaded(model.task).predictor)

    def found(self, files: Sequence[ImageFile]) -> list[Verdict | Unread]:
        """As `Ready` has it."""
        return list(self._router.images(files))

    def heats(self, read: Sequence[Read]) -> list[HeatMap | str]:
        """As `Ready` has it: by the model that decided."""
        decided = [self._router.decided_by(verdict) for _, verdict in read]
        made: dict[int, HeatMap | str] = {}
        for task in {predictor.model.task for predictor, _ in decided}:
            places = [place for place, (predictor, _) in enumerate(decided) if predictor.model.task == task]
            labelled = [(read[place][0], decided[place][1]) for place in places]
            made |= dict(zip(places, self._loaded(task).heats_of(labelled), strict=True))
        return [made[place] for place in range(len(read))]

    def together(self, name: str, read: Sequence[Verdict], unread: Sequence[str]) -> Verdict:
        """As `Ready` has it."""
        return self._router.together(name, read, unread)


def load(model: ChosenModel, engine: str) -> Loaded:
    """The model, having been asked once for each number of images.

    Raises: ModelError where it cannot be used.
    """
    predictor = Predictor(model, batch_size=MOST_TOGETHER, engine=engine)
    loaded = Loaded(predictor, _gradcam(predictor))
    for number in BATCHES:
        list(predictor.images([BLANK] * number))
        if isinstance(loaded.gradcam, GradCam):
            grey = {size: np.zeros((size, size), np.uint8) for size in loaded.gradcam.sizes}
            loaded.gradcam.heats([grey] * number, [predictor.classes[-1]] * number)
    return loaded


def _gradcam(predictor: Predictor) -> GradCam | str:
    if predictor.engine != KERAS:
        return NO_SLOPES
    try:
        return GradCam(predictor, is_compiled=True)
    except ModelError as error:
        return str(error)


def _heats(gradcam: GradCam, labelled: Sequence[tuple[Content, str]]) -> Iterator[HeatMap]:
    grey = [{size: decode(file.content, size) for size in gradcam.sizes} for file, _ in labelled]
    labels = [label for _, label in labelled]
    filling = rows_for(len(labels), MOST_TOGETHER) - len(labels)
    heats = gradcam.heats(grey + grey[:1] * filling, labels + labels[:1] * filling)
    for heat, label in zip(heats, labels, strict=False):
        yield HeatMap(heat, gradcam.shown(label))
