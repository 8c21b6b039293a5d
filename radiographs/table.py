"""A folder in MURA's layout to one table of images, by its CSVs where they are, else by its folder tree.

The CSVs rule where both are: a file that no CSV lists is left out and named, and so is a listed file that is absent.
MURA's `valid` folder is our test split; `radiographs.splits` cuts our valid split from its `train`.
"""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from plumbing.errors import DataError
from radiographs.parts import PARTS

FOLDERS = ("train", "valid")
IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
HIDDEN = "a hidden file"
COLUMNS = ["path", "folder", "part", "patient", "study", "label"]
_IMAGE = re.compile(r"(?P<study>(?P<part>[^/]+)/(?P<patient>patient[^/]+)/(?P<name>study[^/]+))/(?P<file>[^/]+)")
_LABEL = re.compile(r"_(positive|negative)$")


@dataclass(frozen=True)
class LeftOut:
    """Something listed or found that is not used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """What a folder holds.

    Attributes:
        root: the folder that holds `train` and `valid`.
        images: columns path (below root), folder (train or valid), part, patient, study (part/patient/study), label
            (0 normal, 1 abnormal); sorted by part, then path.
    """

    root: Path
    images: pd.DataFrame
    left_out: tuple[LeftOut, ...]


def find_root(data: Path) -> Path:
    """The folder that holds `train` and `valid`: the one given, or the MURA-v1.1 in it.

    Raises: DataError where neither is.
    """
    if not data.is_dir():
        raise DataError(f"--data {data}: no such folder; give MURA-v1.1 or the folder that holds it")
    candidates = [data, data / "MURA-v1.1", *sorted(child for child in data.iterdir() if child.is_dir())]
    for candidate in candidates:
        if all((candidate / folder).is_dir() for folder in FOLDERS):
            return candidate
    missing = " and ".join(folder for folder in FOLDERS if not (data / folder).is_dir())
    raise DataError(f"--data {data}: no {missing} folder in it; give MURA-v1.1 or the folder that holds it")


def scan(data: Path) -> Scan:
    """The table of images of all parts, and what was left out.

    Raises: DataError where the folder has no `train` or `valid`, or a CSV cannot be read.
    """
    root = find_root(data)
    rows: list[dict[str, object]] = []
    left_out: list[LeftOut] = []
    for folder in FOLDERS:
        found, skipped = _scan_folder(root, folder)
        rows += found
        left_out += skipped
    images = pd.DataFrame(rows, columns=COLUMNS).sort_values(["part", "path"], ignore_index=True)
    return Scan(root, images, tuple(left_out))


def _scan_folder(root: Path, folder: str) -> tuple[list[dict[str, object]], list[LeftOut]]:
    labels = _listed_labels(root, folder)
    listed = _listed_images(root, folder)
    present, left_out = _files(root, folder)
    wanted = present
    if listed is not None:
        there, named = set(present), {left.path for left in left_out}
        wanted = [path for path in listed if path in there]
        absent = [path for path in listed if path not in there and path not in named]
        left_out += [LeftOut(path, f"listed in {folder}_image_paths.csv, but no such file") for path in absent]
        unlisted = [path for path in present if path not in set(listed)]
        left_out += [LeftOut(path, f"found, but not listed in {folder}_image_paths.csv") for path in unlisted]
    rows: list[dict[str, object]] = []
    for path in wanted:
        match = _IMAGE.fullmatch(path.split("/", 1)[1])
        assert match is not None  # _files gives no other paths
        study = match["study"]
        label = _label(study, labels)
        if label is None:
            left_out.append(
                LeftOut(path, f"no label: {folder}/{study} is in no CSV and ends in neither _positive nor _negative")
            )
            continue
        rows.append(
            {
                "path": path,
                "folder": folder,
                "part": match["part"],
                "patient": match["patient"],
                "study": study,
                "label": label,
            }
        )
    known = {str(row["study"]) for row in rows} | {_study(left.path) for left in left_out if left.reason != HIDDEN}
    left_out += _empty_studies(root, folder, known, labels)
    return rows, left_out


def _label(study: str, labels: dict[str, int]) -> int | None:
    if study in labels:
        return labels[study]
    ending = _LABEL.search(study)
    return None if ending is None else int(ending[1] == "positive")


def _study(path: str) -> str:
    return path.split("/", 1)[1].rsplit("/", 1)[0]


def _files(root: Path, folder: str) -> tuple[list[str], list[LeftOut]]:
    """The usable image paths below a folder, sorted, and the files that are no images of ours."""
    present, left_out = [], []
    for path in sorted(_walk(root / folder)):
        relative = path.relative_to(root).as_posix()
        reason = _unusable(relative)
        if reason is None:
            present.append(relative)
        else:
            left_out.append(LeftOut(relative, reason))
    return present, left_out


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below the folder, that of linked folders too; a link to a folder above itself is passed over."""
    for here, folders, files in os.walk(folder, followlinks=True):
        own = Path(here)
        folders[:] = [
            name
            for name in folders
            if not ((own / name).is_symlink() and own.resolve().is_relative_to((own / name).resolve()))
        ]
        yield from (own / name for name in files)


def _unusable(relative: str) -> str | None:
    inside = relative.split("/", 1)[1]
    if inside.rsplit("/", 1)[-1].startswith("."):
        return HIDDEN
    if inside.split("/")[0] not in PARTS:
        return "of no known part"
    if _IMAGE.fullmatch(inside) is None:
        return "not at part/patient/study/image"
    if Path(inside).suffix.lower() not in IMAGE_ENDINGS:
        return "not an image by its ending"
    return None


def _empty_studies(root: Path, folder: str, known: set[str], labels: dict[str, int]) -> Iterator[LeftOut]:
    """Studies, listed or found as folders, of which no image was used or named already."""
    found = {
        path.relative_to(root / folder).as_posix()
        for part in PARTS
        for path in sorted((root / folder / part).glob("*/*"))
        if path.is_dir()
    }
    for study in sorted((found | set(labels)) - known):
        yield LeftOut(f"{folder}/{study}", "a study without images")


def _rows(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            yield from (row for row in csv.reader(file) if row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}; mend or remove it") from None


def _below_root(listed: str, folder: str, source: Path) -> str:
    """A CSV's path as `folder/part/...`; what stands before it, MURA-v1.1 as a rule, does not matter."""
    pieces = listed.replace("\\", "/").strip("/").split("/")
    if folder not in pieces or ".." in pieces:
        raise DataError(f"{source}: {listed!r} is not a path in {folder}/; mend or remove the file")
    return "/".join(pieces[pieces.index(folder) :])


def _listed_images(root: Path, folder: str) -> list[str] | None:
    source = root / f"{folder}_image_paths.csv"
    if not source.exists():
        return None
    return _unique(_below_root(row[0], folder, source) for row in _rows(source))


def _listed_labels(root: Path, folder: str) -> dict[str, int]:
    source = root / f"{folder}_labeled_studies.csv"
    labels: dict[str, int] = {}
    if source.exists():
        for row in _rows(source):
            if len(row) != 2 or row[1].strip() not in ("0", "1"):
                raise DataError(f"{source}: line {','.join(row)!r} is not study,0 or study,1; mend or remove the file")
            labels[_below_root(row[0], folder, source).split("/", 1)[1]] = int(row[1])
    return labels


def _unique(paths: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(paths))
