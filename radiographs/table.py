"""A folder in MURA's layout to one table of images, by its CSVs where they are, else by its folder tree.

The CSVs rule where both are: a file that no CSV lists is left out and named, and so is a listed file that is absent.
A row that cannot be used is left out and named as `FILE line N`, and so is a CSV that cannot be read: the folder tree
says what they do not.
MURA's `valid` folder is our test split; `radiographs.splits` cuts our valid split from its `train`.
"""

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from plumbing.errors import DataError
from radiographs.parts import PARTS

FOLDERS = ("train", "valid")
IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
HIDDEN = "a hidden file"
COLUMNS = ["path", "folder", "part", "patient", "study", "label"]
_IMAGE = re.compile(r"(?P<study>(?P<part>[^/]+)/(?P<patient>patient[^/]+)/(?P<name>study[^/]+))/(?P<file>[^/]+)")
_Entry = TypeVar("_Entry")
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
        raise DataError(f"{data}: no such folder; give MURA-v1.1 or the folder that holds it")
    candidates = [data, data / "MURA-v1.1", *sorted(child for child in data.iterdir() if child.is_dir())]
    for candidate in candidates:
        if all((candidate / folder).is_dir() for folder in FOLDERS):
            return candidate
    missing = " and ".join(folder for folder in FOLDERS if not (data / folder).is_dir())
    raise DataError(f"{data}: no {missing} folder in it; give MURA-v1.1 or the folder that holds it")


def scan(data: Path) -> Scan:
    """The table of images of all parts, and what was left out.

    Raises: DataError where the folder has no `train` or `valid`.
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
    labels, bad_labels = _listed_labels(root, folder)
    listed, bad_paths = _listed_images(root, folder)
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
                LeftOut(
                    path, f"no label: {folder}/{study} has none in a CSV and ends in neither _positive nor _negative"
                )
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
    return rows, [*left_out, *bad_labels, *bad_paths]


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
            left_out.append(LeftOut(_text(relative), reason))
    return present, left_out


def _text(path: str) -> str:
    """The path with a replacement character for what is no UTF-8, which no database or terminal takes."""
    return os.fsencode(path).decode("utf-8", "replace")


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
    if _text(relative) != relative:
        return "a name that is not UTF-8"
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
        _text(path.relative_to(root / folder).as_posix())
        for part in PARTS
        for path in sorted((root / folder / part).glob("*/*"))
        if path.is_dir()
    }
    for study in sorted((found | set(labels)) - known):
        yield LeftOut(f"{folder}/{study}", "a study without images")


class _Unusable(Exception):
    """Why a row of a CSV cannot be used."""


def _read_list(source: Path, entry_of: Callable[[list[str]], _Entry]) -> tuple[list[_Entry] | None, list[LeftOut]]:
    """The entries of a CSV's rows, None where it is absent or cannot be read, and what was left out of it."""
    entries: list[_Entry] = []
    left_out: list[LeftOut] = []
    if not source.exists():
        return None, []
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for row in filter(None, reader):
                try:
                    entries.append(entry_of(row))
                except _Unusable as reason:
                    left_out.append(LeftOut(f"{source.name} line {reader.line_num}", str(reason)))
    except OSError as error:
        return None, [LeftOut(source.name, f"cannot be read: {error.strerror}")]
    except (UnicodeDecodeError, csv.Error) as error:
        return None, [LeftOut(source.name, f"cannot be read: {error}")]
    return entries, left_out


def _below_root(listed: str, folder: str) -> str:
    """A CSV's path as `folder/part/...`; what stands before it, MURA-v1.1 as a rule, does not matter."""
    pieces = listed.replace("\\", "/").strip().strip("/").split("/")
    if folder not in pieces[:-1] or ".." in pieces:
        raise _Unusable(f"{listed!r} is not a path in {folder}/")
    return "/".join(pieces[pieces.index(folder) :])


def _listed_images(root: Path, folder: str) -> tuple[list[str] | None, list[LeftOut]]:
    paths, left_out = _read_list(root / f"{folder}_image_paths.csv", lambda row: _below_root(row[0], folder))
    return None if paths is None else _unique(paths), left_out


def _listed_labels(root: Path, folder: str) -> tuple[dict[str, int], list[LeftOut]]:
    def entry(row: list[str]) -> tuple[str, int]:
        if len(row) != 2 or row[1].strip() not in ("0", "1"):
            raise _Unusable(f"{','.join(row)!r} is not study,0 or study,1")
        return _below_root(row[0], folder).split("/", 1)[1], int(row[1])

    entries, left_out = _read_list(root / f"{folder}_labeled_studies.csv", entry)
    return dict(entries or ()), left_out


def _unique(paths: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(paths))
