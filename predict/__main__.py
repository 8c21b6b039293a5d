"""Normal or abnormal, by the best stored model of a part.

python -m predict IMAGE... --part XR_HAND
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbing.command import CommandParser, run_command
from radiographs.parts import TASKS
from results.connection import DEFAULT_URL

if TYPE_CHECKING:
    from predict.verdicts import Unread, Verdict


def main(arguments: Sequence[str]) -> int:
    """The command: 0 where every image got a verdict, else 2."""
    parser = CommandParser("predict", "Say of radiographs whether they are normal or abnormal. Research use only.")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    parser.add_argument("--part", required=True, choices=TASKS, help="what the images show; all_parts finds out")
    parser.add_argument("--model", metavar="NAME", help="model name or name_code; default: the best on valid")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--store", default=DEFAULT_URL, metavar="URL", help="the results store")
    options = parser.parse_args(arguments)

    from predict.chosen import choose
    from predict.verdicts import Predictor, Unread

    predictor = Predictor(choose(options.store, options.part, options.model))
    found = list(predictor.images(options.images))
    unread = [each for each in found if isinstance(each, Unread)]
    if options.json:
        print(json.dumps([as_json(each) for each in found]))
    else:
        verdicts = [each for each in found if not isinstance(each, Unread)]
        for verdict in [*verdicts, *predictor.studies(verdicts)]:
            print(as_line(verdict))
    for each in unread:
        print(f"predict: {each.path}: {each.error}", file=sys.stderr)
    return 2 if unread else 0


def as_json(found: "Verdict | Unread") -> dict[str, Any]:
    """One entry of the JSON document, as the command contract has it."""
    from predict.verdicts import Unread

    if isinstance(found, Unread):
        return {"path": found.path, "error": found.error}
    names = ("path", "part", "label", "probability", "raw_probability", "model")
    return {name: getattr(found, name) for name in names} | {"warnings": []}


def as_line(found: "Verdict") -> str:
    """A verdict for a person."""
    of = "abnormal" if found.label in ("normal", "abnormal") else found.label
    return f"{found.path}: {found.label}  P({of}) = {found.probability:.3f}  ({found.model})"


if __name__ == "__main__":
    sys.exit(run_command("predict", main, sys.argv[1:]))
