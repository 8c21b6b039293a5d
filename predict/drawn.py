"""The heat maps that the command draws beside its verdicts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from plumbing.errors import UsageError
from predict.gradcam import GradCam
from predict.heat import write_overlay
from predict.predictor import Predictor
from predict.verdicts import Unread, Verdict
from radiographs.decoding import decode


def drawing(
    found: Iterator[Verdict | Unread], predictor: Predictor, images: Sequence[Path], out: Path, told: bool
) -> Iterator[Verdict | Unread]:
    """The verdicts on the images, unchanged; once one was taken, its heat map is drawn, and told on stdout if `told`.

    Raises: UsageError where `out` is no PNG or a heat map would replace an image; ModelError where the model has no
        map. Both at once, before a verdict. OSError, later, where a file cannot be written.
    """
    targets = _targets(images, out)
    return _drawing(found, GradCam(predictor), targets, told)


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
    found: Iterator[Verdict | Unread], gradcam: GradCam, targets: Sequence[Path], told: bool
) -> Iterator[Verdict | Unread]:
    for each, target in zip(found, targets, strict=True):
        yield each
        if isinstance(each, Unread):
            continue
        content = Path(each.path).read_bytes()
        shown = gradcam.shown(each.label)
        (heat,) = gradcam.heats([{size: decode(content, size) for size in gradcam.sizes}], [each.label])
        write_overlay(target, decode(content, None), heat, f"What speaks for {shown}")
        if told:
            print(f"{target}: what speaks for {shown}" + ("" if heat.any() else ": nothing does"), flush=True)
