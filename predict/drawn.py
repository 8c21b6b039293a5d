"""The heat maps that the command draws beside its verdicts."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from plumbing.errors import UsageError
from predict.gradcam import GradCam
from predict.heat import write_overlay
from predict.predictor import Predictor
from predict.routing import Router
from predict.verdicts import Unread, Verdict
from radiographs.decoding import decode


def drawing(
    found: Iterator[Verdict | Unread], predictor: Predictor | Router, images: Sequence[Path], out: Path, told: bool
) -> Iterator[Verdict | Unread]:
    """The verdicts on the images, unchanged; once one was taken, its heat map is drawn, and told on stdout if `told`.

    Raises: UsageError where `out` is no PNG or a heat map would replace an image; ModelError where the model has no
        map, a router's at the first image that it decides. All others at once, before a verdict. OSError, later,
        where a file cannot be written.
    """
    targets = _targets(images, out)
    return _drawing(found, _maps(predictor), targets, told)


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


def _targets(images: Sequence[Path], out: Path) -> list[Path]:
    if out.suffix.lower() != ".png":
        raise UsageError(f"--gradcam {out}: heat maps are PNG files; give a name that ends in .png")
    numbers = range(1, len(images) + 1)
    targets = [out] if len(images) == 1 else [out.with_name(f"{out.stem}-{n}{out.suffix}") for n in numbers]
    replaced = {image.resolve() for image in images}
    for target in targets:
        if target.resolve() in replaced:
            raise UsageError(f"--gradcam {out}: {target} is one of the images; give another name")
        if target.is_dir():
            raise UsageError(f"--gradcam {out}: {target} is a folder; give the name of a file")
    return targets


def _drawing(
    found: Iterator[Verdict | Unread],
    maps: Callable[[Verdict], tuple[GradCam, str]],
    targets: Sequence[Path],
    told: bool,
) -> Iterator[Verdict | Unread]:
    for each, target in zip(found, targets, strict=True):
        yield each
        if isinstance(each, Unread):
            continue
        content = Path(each.path).read_bytes()
        gradcam, label = maps(each)
        shown = gradcam.shown(label)
        (heat,) = gradcam.heats([{size: decode(content, size) for size in gradcam.sizes}], [label])
        write_overlay(target, decode(content, None), heat, f"What speaks for {shown}")
        if told:
            print(f"{target}: what speaks for {shown}" + ("" if heat.any() else ": nothing does"), flush=True)
