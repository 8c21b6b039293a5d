"""Images of an unknown part: a model of all parts finds the part, then the part's own best model decides.

P(part) is the sum of the calibrated probabilities of its normal and its abnormal class. The part with the largest is
the one found, also where the likeliest single class is another part's. Calibrated ones, because they are shown and
have to mean what they say; a temperature may change which sum is the largest, so the sums shown also decide.

An image is decided alone, whatever lies beside it. A study is of one part: it is found from the mean over the study's
images, and its model then decides over all of them, those included that alone look like another part.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbing.errors import DataError, ModelError
from predict.asked import Asked
from predict.chosen import ChosenModel, choose
from predict.files import ImageFile
from predict.predictor import HALF, Predictor
from predict.verdicts import Unread, Verdict
from radiographs.parts import ALL_PARTS, CLASS_PARTS, LABELS, class_number
from results.calibration import apply_temperature

SURE = 0.8  # below it the part is warned of: if P means what it says, one in five such parts or more is another
WINDOW = 4  # batches that wait, so that images of mixed parts are decided in whole batches too


@dataclass
class _Waiting:
    """A file until it is decided. found: None where it could not be read."""

    file: ImageFile
    found: Verdict | None
    verdict: Verdict | Unread | None = None


class Router(Asked):
    """The models of a store, asked as one `Predictor` is; a part's own is loaded when it is first needed, and kept."""

    def __init__(self, url: str, make: Callable[[ChosenModel], Predictor] = Predictor) -> None:
        """Args: make: loads a model, with the engine and batch size that are wanted.
        Raises: StoreError where the store cannot be read; ModelError where it holds no model that finds parts.
        """
        self._url, self._make = url, make
        try:
            self.finder = make(choose(url, ALL_PARTS, None))
        except ModelError as error:
            raise ModelError(f"the part cannot be found out: {error}; or give the part (--part)") from None
        self._own: dict[str, Predictor | str] = {}

    def images(self, files: Sequence[ImageFile]) -> Iterator[Verdict | Unread]:
        """A verdict for each file, in order; those that cannot be read say why.

        Each file is read twice: to find its part, and to decide.
        """
        batch = self.finder.batch_size
        waiting: deque[_Waiting] = deque()
        for file, found in zip(files, self.finder.images(files), strict=True):
            if isinstance(found, Unread):
                waiting.append(_Waiting(file, None, found))
            else:
                waiting.append(_Waiting(file, self._part_of(found)))
            self._decide(waiting, least=1 if len(waiting) == WINDOW * batch else batch)
            yield from _decided(waiting)
        self._decide(waiting, least=1)
        yield from _decided(waiting)

    def in_memory(self, pixels: NDArray[Any]) -> Verdict:
        """The verdict on an array, as `radiographs.decoding.from_array` takes it.

        Raises: DataError where it is no image.
        """
        found = self._part_of(self.finder.image(pixels))
        own = self._model_of(found.label)
        return self._stands(found, own) if isinstance(own, str) else _routed(own.image(pixels), found)

    def together(self, name: str, read: Sequence[Verdict], unread: Sequence[str] = ()) -> Verdict:
        """The verdict on a study from those on its images; files that another part's model decided are read again.

        Args:
            read: as this router gave them. unread: what to warn of besides their warnings.
        Raises: DataError where none of its images can be read again.
        """
        alone = [_found_of(each) for each in read]
        found = self._part_of(self.finder.together(name, alone))
        told = [
            f"{each.path or 'an image in memory'} looks like {part.label} by itself, P = {part.probability:.3f}"
            for each, part in zip(read, alone, strict=True)
            if part.label != found.label
        ]
        own = self._model_of(found.label)
        if isinstance(own, str):
            return _warned(self._stands(found, own), (*told, *unread))
        asked = [_by_itself(each) if each.part == found.label else _again(each, own) for each in read]
        decided = [each for each in asked if isinstance(each, Verdict)]
        told += [f"{each.path}: {each.error}" for each in asked if isinstance(each, Unread)]
        if not decided:
            raise DataError(f"no image of {name} can be read again: {'; '.join(told)}; give its images again")
        return _warned(_routed(own.together(name, decided), found), (*told, *unread))

    def decided_by(self, verdict: Verdict) -> tuple[Predictor, str]:
        """The model that decided, and which of its classes a heat map of the image is about."""
        own = self._model_of(verdict.part)
        return (self.finder, f"{verdict.part} {LABELS[1]}") if isinstance(own, str) else (own, verdict.label)

    def _decide(self, waiting: Sequence[_Waiting], least: int) -> None:
        """Decide the files of each part of which at least so many wait."""
        parts: dict[str, list[tuple[_Waiting, Verdict]]] = {}
        for each in waiting:
            if each.verdict is None and each.found is not None:
                parts.setdefault(each.found.label, []).append((each, each.found))
        for part, those in parts.items():
            if len(those) >= least:
                verdicts = self._verdicts(part, [(each.file, found) for each, found in those])
                for (each, _), verdict in zip(those, verdicts, strict=True):
                    each.verdict = verdict

    def _verdicts(self, part: str, those: Sequence[tuple[ImageFile, Verdict]]) -> list[Verdict | Unread]:
        """On files of one part, each with the finder's verdict."""
        own = self._model_of(part)
        if isinstance(own, str):
            return [replace(self._stands(found, own), file=file) for file, found in those]
        verdicts = zip(own.images([file for file, _ in those]), those, strict=True)
        return [
            each if isinstance(each, Unread) else replace(_routed(each, found), file=file)
            for each, (file, found) in verdicts
        ]

    def _model_of(self, part: str) -> Predictor | str:
        """The part's own best model, or why there is none."""
        if part not in self._own:
            try:
                self._own[part] = self._make(choose(self._url, part, None))
            except ModelError as reason:
                self._own[part] = str(reason)
        return self._own[part]

    def _part_of(self, verdict: Verdict) -> Verdict:
        """The finder's verdict on which part it is: the part is its label, P(part) its probability."""
        calibrated = apply_temperature(verdict.raw[None], self.finder.model.temperature)[0]
        number = int(_sums(calibrated).argmax())
        return replace(
            verdict,
            label=CLASS_PARTS[number],
            probability=float(_sums(calibrated)[number]),
            raw_probability=float(_sums(verdict.raw)[number]),
        )

    def _stands(self, found: Verdict, reason: str) -> Verdict:
        """The finder's own verdict on the part found: its P(abnormal) given that part, called at a half."""
        normal, abnormal = (found.raw[class_number(ALL_PARTS, found.label, each)] for each in (0, 1))
        raw = np.array([abnormal / (normal + abnormal)])
        verdict = replace(
            found,
            part=found.label,
            label=LABELS[int(raw[0] > HALF)],
            probability=float(apply_temperature(raw[None], self.finder.model.temperature)[0, 0]),
            raw_probability=float(raw[0]),
            raw=raw,
            threshold=HALF,
            found=found,
        )
        return _warned(verdict, (*_doubt(found), f"decided by the model of all parts: {reason}"))


def _sums(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """(14,) of the classes -> (7,) of `CLASS_PARTS`."""
    return probability.reshape(len(LABELS), len(CLASS_PARTS)).sum(axis=0)


def _decided(waiting: deque[_Waiting]) -> Iterator[Verdict | Unread]:
    """Take from the front those that are decided."""
    while waiting and (verdict := waiting[0].verdict) is not None:
        waiting.popleft()
        yield verdict


def _found_of(verdict: Verdict) -> Verdict:
    if verdict.found is None:
        raise ValueError(f"the part of {verdict.path} was given, not found: a router asks by its own verdicts")
    return verdict.found


def _routed(verdict: Verdict, found: Verdict) -> Verdict:
    """The deciding model's verdict with how the part was found, and what that warns of."""
    return _warned(replace(verdict, found=found), _remarks(found))


def _remarks(found: Verdict) -> tuple[str, ...]:
    return (*(f"by the model that found the part: {each}" for each in found.warnings), *_doubt(found))


def _doubt(found: Verdict) -> tuple[str, ...]:
    if found.probability >= SURE:
        return ()
    return ("the part is uncertain; give the part where it is known",)


def _by_itself(verdict: Verdict) -> Verdict:
    """What the deciding model alone said of an image: the study has a part, and doubts of it, of its own."""
    remarks = _remarks(_found_of(verdict))
    return replace(verdict, warnings=tuple(each for each in verdict.warnings if each not in remarks))


def _again(verdict: Verdict, own: Predictor) -> Verdict | Unread:
    """The verdict of another model on the same file."""
    if verdict.file is None:
        return Unread("an image in memory", f"cannot be asked again as {own.model.task}; give files")
    (found,) = own.images([verdict.file])
    return found


def _warned(verdict: Verdict, warnings: Sequence[str]) -> Verdict:
    return replace(verdict, warnings=tuple(dict.fromkeys((*verdict.warnings, *warnings))))
