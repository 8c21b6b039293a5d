"""Normal or abnormal, by the best stored model of a part.

python -m predict IMAGE|DIR|PATTERN... [--part XR_HAND]
"""

import csv
import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, at_least, run_command
from plumbing.errors import UsageError
from plumbing.progress import progress_bar
from plumbing.text import printable
from radiographs.parts import TASKS
from results.connection import DEFAULT_URL

if TYPE_CHECKING:  # NumPy and what reads a store are loaded where they are used: --help needs neither
    from predict.asked import Asked
    from predict.chosen import ChosenModel
    from predict.predictor import Predictor
    from predict.routing import Router
    from predict.verdicts import Unread, Verdict

BATCH_SIZE = 32
MOST_AT_ONCE = 1024  # images in a batch: at 224 px 200 MB as numbers, before the network's own maps
MOST_VIEWS = 64
HALF = "0.5"


def main(arguments: Sequence[str]) -> int:
    """The command: 0 where every image got a verdict, else 2."""
    parser = CommandParser("predict", "Say of radiographs whether they are normal or abnormal. Research use only.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, folders of them, or patterns")
    parser.add_argument(
        "--part",
        choices=TASKS,
        help="what the images show; left out, a model of all_parts finds the part of each image or study, and the "
        "part's own best model decides; all_parts: that model alone",
    )
    parser.add_argument("--model", metavar="NAME", help="model name or name_code; default: the best on valid")
    parser.add_argument("--study", action="store_true", help="a verdict a study: the images of one folder together")
    parser.add_argument(
        "--threshold",
        metavar="T",
        default=HALF,
        help="from which P(abnormal) on to call abnormal: a number, or one chosen on valid: youden, sensitivity (0.90)",
    )
    parser.add_argument(
        "--gradcam",
        metavar="OUT.png",
        type=Path,
        help="draw over each image what speaks for abnormal (all_parts: for the class called), also where it is called "
        "normal; of several images into OUT-1.png, OUT-2.png, ... in their order",
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print one JSON document")
    shape.add_argument("--csv", action="store_true", help="print one line of CSV a verdict")
    parser.add_argument(
        "--batch-size", type=at_least(1, MOST_AT_ONCE), default=BATCH_SIZE, metavar="N", help="images at once"
    )
    parser.add_argument(
        "--views",
        type=at_least(1, MOST_VIEWS),
        default=1,
        metavar="N",
        help="the mean over N views of each image, itself and others turned and flipped as by light augmentation; "
        "takes N times as long, and the temperature was fitted on one",
    )
    parser.add_argument(
        "--engine", choices=("keras", "onnx"), default="keras", help="onnx: ONNX Runtime, without loading TensorFlow"
    )
    parser.add_argument("--store", default=DEFAULT_URL, metavar="URL", help="the results store")
    options = parser.parse_args(arguments)
    if options.gradcam is not None and options.engine != "keras":
        raise UsageError("--gradcam needs slopes, which Keras alone gives; leave --engine out")
    for option, is_given in (("--model", options.model is not None), ("--threshold", options.threshold != HALF)):
        if options.part is None and is_given:
            raise UsageError(f"{option} is of one part's model; give its --part too")

    from predict.files import meant

    files, predictor, drawing = meant(options.images), _predictor(options), None
    if options.gradcam is None:
        found = predictor.images(files)
    else:
        from predict.drawn import Drawing

        drawing = Drawing(predictor, files, options.gradcam, told=not (options.json or options.csv))
        found = drawing.drawn(predictor.images(drawing.files))
    found = _with_progress(found, len(files))
    if options.json or options.csv:
        shown: Iterable[Verdict | Unread] = _studies(predictor, found) if options.study else found
        unread = _print_json(shown) if options.json else _print_csv(shown, options.part is None)
    else:
        unread = _print_lines(predictor, found, options.study)
    for each in unread:
        print(printable(f"predict: {each.path}: {each.error}"), file=sys.stderr)
    undrawn = drawing.failed if drawing is not None else []
    if undrawn:
        (target, reason), number = undrawn[0], len(undrawn)
        first = f"{target}: {reason}; free it or give another place"
        print(printable(f"predict: --gradcam: heat maps not drawn: {number}, the first {first}"), file=sys.stderr)
    return 2 if unread or undrawn else 0


def _with_progress(found: "Iterator[Verdict | Unread]", number: int) -> "Iterator[Verdict | Unread]":
    """The verdicts, with a bar on stderr where they go to a file: on a terminal they are progress themselves."""
    if sys.stdout.isatty():
        yield from found
        return
    with progress_bar("images", number) as advance:
        for each in found:
            yield each
            advance(1)


def _predictor(options: Namespace) -> "Predictor | Router":
    from predict.chosen import choose
    from predict.predictor import Predictor
    from predict.routing import Router

    how = {"batch_size": options.batch_size, "engine": options.engine, "views": options.views}
    if options.part is None:
        return Router(options.store, partial(Predictor, **how))
    model = choose(options.store, options.part, options.model)
    return Predictor(model, _threshold(options.threshold, model), **how)


def _threshold(given: str, model: "ChosenModel") -> float:
    known = {name.split()[0].lower(): value for name, value in model.thresholds.items()}
    if given in known:
        return known[given]
    try:
        return float(given)
    except ValueError:
        raise UsageError(f"--threshold {given}: give a number from 0 to 1, youden or sensitivity") from None


def _studies(asked: "Asked", found: "Iterable[Verdict | Unread]") -> "list[Verdict | Unread]":
    """The studies' verdicts, and the files that could not be read."""
    from predict.verdicts import Unread

    every = list(found)
    return [*asked.studies(every), *(each for each in every if isinstance(each, Unread))]


def _print_json(found: "Iterable[Verdict | Unread]") -> "list[Unread]":
    from predict.verdicts import as_json

    every: list[Verdict | Unread] = []
    for each in found:
        print(",\n" if every else "[", json.dumps(as_json(each)), sep="", end="", flush=True)
        every.append(each)
    print("]")
    return _unread(every)


def _print_csv(found: "Iterable[Verdict | Unread]", is_found_out: bool) -> "list[Unread]":
    from predict.verdicts import COLUMNS, FOUND_COLUMNS, as_row

    every: list[Verdict | Unread] = []
    columns = FOUND_COLUMNS if is_found_out else COLUMNS
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for each in found:
        writer.writerow(as_row(each))
        sys.stdout.flush()
        every.append(each)
    return _unread(every)


def _print_lines(asked: "Asked", found: "Iterable[Verdict | Unread]", by_study: bool) -> "list[Unread]":
    """Images as they come, then the studies among them; or the studies alone."""
    from predict.verdicts import Verdict, as_line

    every = []
    for each in found:
        every.append(each)
        if isinstance(each, Verdict) and not by_study:
            print(as_line(each), flush=True)
    for study in asked.studies(every):
        if by_study or Path(study.path).name.startswith("study"):
            print(as_line(study), flush=True)
    return _unread(every)


def _unread(found: "Iterable[Verdict | Unread]") -> "list[Unread]":
    from predict.verdicts import Unread

    return [each for each in found if isinstance(each, Unread)]


if __name__ == "__main__":
    sys.exit(run_command("predict", main, sys.argv[1:]))
