"""Counts per part, label and split; files left out; exact duplicates; patients and pictures in two splits.

python -m radiographs.check DIR [--json]
"""

import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from plumbing.command import CommandParser, run_command
from plumbing.progress import progress_bar
from radiographs.decoding import Unreadable, decode
from radiographs.parts import LABELS, PARTS
from radiographs.pixels import digest_of
from radiographs.splits import SPLITS, leaking_patients, split_by_patient
from radiographs.table import LeftOut, scan

SMALL = 8  # pixels a side: a file must be decoded to know that it can be


def check(data: Path) -> dict[str, Any]:
    """What the folder holds, as the JSON document that DESIGN's contract describes, with `labels` beside `used`.

    Raises: DataError where `train` or `valid` is missing.
    """
    found = scan(data)
    digests, unreadable = _read_all(found.root, found.images["path"].tolist())
    readable = found.images[~found.images["path"].isin(unreadable)].reset_index(drop=True)
    images, leaking = split_by_patient(found.images)
    images = images[~images["path"].isin(unreadable)]
    left_out = [*found.left_out, *leaking, *(LeftOut(path, reason) for path, reason in unreadable.items())]
    duplicates = _duplicates(digests)
    return {
        "used": {part: _counts(images[images["part"] == part]) for part in PARTS},
        "labels": {
            part: {
                label: _counts(images[(images["part"] == part) & (images["label"] == number)])
                for number, label in enumerate(LABELS)
            }
            for part in PARTS
        },
        "left_out": [
            {"path": left.path, "reason": left.reason} for left in sorted(left_out, key=lambda left: left.path)
        ],
        "duplicates": duplicates,
        "leaks": _leaks(readable, images, duplicates),
    }


def _read_all(root: Path, paths: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Path -> digest of every file, and path -> reason of those that cannot be read."""
    digests: dict[str, str] = {}
    unreadable: dict[str, str] = {}

    def read(path: str) -> tuple[str, str | None, str | None]:
        try:
            content = (root / path).read_bytes()
        except OSError as error:
            return path, None, f"cannot be read: {error.strerror}"
        try:
            decode(content, SMALL)
        except Unreadable as reason:
            return path, digest_of(content), str(reason)
        return path, digest_of(content), None

    with progress_bar("reading", len(paths)) as advance, ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, digest, reason in pool.map(read, paths):
            if reason is not None:
                unreadable[path] = reason
            elif digest is not None:
                digests[path] = digest
            advance(1)
    return digests, unreadable


def _counts(images: pd.DataFrame) -> dict[str, int]:
    return {split: int((images["split"] == split).sum()) for split in SPLITS}


def _duplicates(digests: dict[str, str]) -> list[list[str]]:
    """Groups of two or more paths with the same content, sorted."""
    paths_of: dict[str, list[str]] = {}
    for path, digest in digests.items():
        paths_of.setdefault(digest, []).append(path)
    return sorted(sorted(paths) for paths in paths_of.values() if len(paths) > 1)


def _leaks(readable: pd.DataFrame, images: pd.DataFrame, duplicates: list[list[str]]) -> list[dict[str, Any]]:
    """Patients in both of MURA's folders, and equal pictures in different splits."""
    leaks: list[dict[str, Any]] = [
        {"kind": "patient", "patient": patient, "paths": readable.loc[readable["patient"] == patient, "path"].tolist()}
        for patient in leaking_patients(readable)
    ]
    split_of = dict(zip(images["path"], images["split"], strict=True))
    for paths in duplicates:
        splits = sorted({split_of[path] for path in paths if path in split_of})
        if len(splits) > 1:
            leaks.append({"kind": "picture", "splits": splits, "paths": paths})
    return leaks


def as_text(found: dict[str, Any]) -> str:
    """The findings for a person."""
    lines = [f"{'part':<12} {'label':<9}" + "".join(f"{split:>8}" for split in SPLITS)]
    for part, labels in found["labels"].items():
        for label, counts in labels.items():
            lines.append(f"{part:<12} {label:<9}" + "".join(f"{counts[split]:>8}" for split in SPLITS))
    lines += _section("left out", [f"{left['path']}: {left['reason']}" for left in found["left_out"]])
    lines += _section("exact duplicates", [" = ".join(paths) for paths in found["duplicates"]])
    lines += _section(
        "leaks",
        [
            f"patient {leak['patient']} is in MURA's train and valid folders; left out of train"
            if leak["kind"] == "patient"
            else f"the same picture in {' and '.join(leak['splits'])}: {' = '.join(leak['paths'])}"
            for leak in found["leaks"]
        ],
    )
    return "\n".join(lines)


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", f"{title}: {len(lines)}", *(f"  {line}" for line in lines)]


def main(arguments: Sequence[str]) -> int:
    """The command."""
    parser = CommandParser("radiographs.check", "Count a MURA folder's images and name what is wrong with them.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="MURA-v1.1, or the folder that holds it")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    found = check(options.folder)
    print(json.dumps(found) if options.json else as_text(found))
    return 0


if __name__ == "__main__":
    sys.exit(run_command("radiographs.check", main, sys.argv[1:]))
