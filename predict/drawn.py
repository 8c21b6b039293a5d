"""The heat maps that the command draws beside its verdicts."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from plumbing.errors import ModelError, UsageError
from plumbing.text import printable
from predict.files import ImageFile, Kept
from predict.gradcam import GradCam
from predict.heat import write_overlay
from predict.predictor import Predictor
from predict.routing import Router
from predict.verdicts import Unread, Verdict
from radiographs.decoding import decode


class Drawing:
    """Heat maps of images, drawn as their verdicts are taken; one that fails leaves the verdicts as they are.

    Attributes:
        files: what to ask the model of: each is read once, and kept until its heat map is drawn.
        failed: where each heat map that could not be drawn was to lie, and why it does not.
    """

    def __init__(self, predictor: Predictor | Router, images: Sequence[ImageFile], out: Path, told: bool) -> None:
        """Args: told: whether each heat map is told on stdout.
        Raises: UsageError where `out` is no PNG or a heat map would replace an image; ModelError where the model has
            no map, unless it is a router, whose models are met later.
        """
        self._targets, self._told = _targets(images, out), told
        self._maps = _maps(predictor)
        self.files = [Kept(image) for image in images]
        self.failed: list[tuple[Path, str]] = []

    def drawn(self, found: Iterator[Verdict | Unread]) -> Iterator[Verdict | Unread]:
        """The verdicts on `files`, unchanged; once the next is asked for, the heat map of the last is drawn."""
        for each, file, target in zip(found, self.files, self._targets, strict=True):
            yield each
            if isinstance(each, Verdict):
                try:
                    drawn = self._draw(each, file, target)
                except ModelError as error:
                    self.failed.append((target, str(error)))
                except OSError as error:
                    self.failed.append((target, error.strerror or "it cannot be written"))
                else:
                    if self._told:
                        print(printable(f"{target}: {drawn}"), flush=True)
            file.let_go()

    def _draw(self, verdict: Verdict, file: Kept, target: Path) -> str:
        """Draw it; what is on it, in words."""
        content = file.read_bytes()
        gradcam, label = self._maps(verdict)
        shown = gradcam.shown(label)
        (heat,) = gradcam.heats([{size: decode(content, size) for size in gradcam.sizes}], [label])
        write_overlay(target, decode(content, None), heat, f"What speaks for {shown}")
        return f"what speaks for {shown}" + ("" if heat.any() else ": nothing does")


def _maps(predictor: Predictor | Router) -> Callable[[Verdict], tuple[GradCam, str]]:
    """What gives the heat maps of the model that decided, and the class that a verdict's is of."""
    if isinstance(predictor, Predictor):
        gradcam = GradCam(predictor)
        return lambda verdict: (gradcam, verdict.label)
    made: dict[Predictor, GradCam] = {}

    def of(verdict: Verdict) -> tuple[GradCam, str]:
        own, label = predictor.decided_by(verdict)
        if own not in made:
            made[own] = GradCam(own)
        return made[own], label

    return of


def _targets(images: Sequence[ImageFile], out: Path) -> list[Path]:
    if out.suffix.lower() != ".png":
        raise UsageError(f"--gradcam {out}: heat maps are PNG files; give a name that ends in .png")
    numbers = range(1, len(images) + 1)
    targets = [out] if len(images) == 1 else [out.with_name(f"{out.stem}-{n}{out.suffix}") for n in numbers]
    replaced = {os.path.realpath(str(image)) for image in images}  # Path.resolve raises where links lead in circles
    for target in targets:
        if os.path.realpath(target) in replaced:
            raise UsageError(f"--gradcam {out}: {target} is one of the images; give another name")
        if target.is_dir():
            raise UsageError(f"--gradcam {out}: {target} is a folder; give the name of a file")
    return targets
