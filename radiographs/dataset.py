"""All that a search needs of a folder of radiographs, for one task: images, labels, splits and pixels."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plumbing.errors import DataError
from radiographs.parts import ALL_PARTS, PARTS, class_names, class_number, parts_of
from radiographs.pixels import PixelStore
from radiographs.splits import SPLITS, split_by_patient
from radiographs.table import LeftOut, scan


@dataclass(frozen=True)
class Dataset:
    """One task's images.

    Attributes:
        images: columns path, part, patient, study, split, digest and label (the task's class); sorted by part, then
        path. left_out: what of the task's parts, or of no known part, was listed or found but is not used.
        data_hash: over every image's path, content, label and split.
        classes_absent: names of classes that a split lacks; empty but for all_parts.
    """

    task: str
    root: Path
    images: pd.DataFrame
    left_out: tuple[LeftOut, ...]
    data_hash: str
    classes_absent: tuple[str, ...]

    def split(self, name: str) -> pd.DataFrame:
        """The split's images, in the table's order."""
        return self.images[self.images["split"] == name].reset_index(drop=True)

    @property
    def counts(self) -> dict[str, int]:
        """Images in each split."""
        return {split: int((self.images["split"] == split).sum()) for split in SPLITS}


@dataclass(frozen=True)
class Listed:
    """One task's images as files, before any is read.

    Attributes:
        images: columns path, folder, part, patient, study, split and label (the task's class); sorted by part, then
        path.
    """

    task: str
    data: Path
    root: Path
    images: pd.DataFrame
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class SizedPixels:
    """The pixels of images at one size.

    Attributes:
        pixels: (rows, size, size) uint8, memory-mapped, shared with other data sets.
    """

    size: int
    pixels: NDArray[np.uint8]
    row_of: Mapping[str, int]

    def of(self, digest: str) -> NDArray[np.uint8]:
        """(size, size) uint8 of the image with that content digest."""
        return np.asarray(self.pixels[self.row_of[digest]])


def list_images(data: Path, task: str) -> Listed:
    """Scan and split; reads no image and writes nothing.

    Raises: DataError where the folder, the part or a class in a split is missing.
    """
    found = scan(data)
    split, leaking = split_by_patient(found.images)
    images = images_of(task, split, data)
    left_out = tuple(left for left in (*found.left_out, *leaking) if _of_parts(left.path, parts_of(task)))
    return Listed(task, data, found.root, images, left_out)


def images_of(task: str, split: pd.DataFrame, data: Path) -> pd.DataFrame:
    """A task's images among those that `split_by_patient` gave, labelled by its classes.

    Raises: DataError where it has none, or a split lacks a class.
    """
    images = split[split["part"].isin(parts_of(task))].reset_index(drop=True)
    if images.empty:
        raise DataError(f"--data {data}: no images of {task}; radiographs.check tells what is there")
    images["label"] = [
        class_number(task, part, label) for part, label in zip(images["part"], images["label"], strict=True)
    ]
    check_classes(task, images, data)
    return images


def decode_images(listed: Listed, store: PixelStore, sizes: Collection[int]) -> Dataset:
    """Decode the images at every size that they are not stored at yet; those that cannot be read are left out.

    Raises: DataError where what can be read lacks a class in a split.
    """
    digests = store.digests(listed.root, listed.images["path"].tolist())
    unreadable: dict[str, str] = {}
    for size in sorted(sizes):
        unreadable |= store.decode_missing(listed.root, digests, size)
    images = listed.images.assign(digest=listed.images["path"].map(digests)).drop(columns="folder")
    broken = images["digest"].isin(unreadable)
    left_out = tuple(LeftOut(path, unreadable[digests[path]]) for path in images.loc[broken, "path"])
    images = images[~broken].reset_index(drop=True)
    absent = check_classes(listed.task, images, listed.data)
    return Dataset(listed.task, listed.root, images, (*listed.left_out, *left_out), data_hash_of(images), absent)


def sized_pixels(dataset: Dataset, store: PixelStore, size: int) -> SizedPixels:
    """The pixels of the data set's images at a size that `decode_images` was given."""
    digests = dataset.images["digest"].tolist()
    rows = store.rows(digests, size).tolist()
    return SizedPixels(size, store.pixels(size), dict(zip(digests, rows, strict=True)))


def check_classes(task: str, images: pd.DataFrame, data: Path) -> tuple[str, ...]:
    """Names of the classes that a split lacks, for all_parts.

    Raises: DataError where a part lacks a patient of a class in a split, or all_parts has one class or none in a split.
    """
    names = class_names(task)
    absent: set[str] = set()
    for split in SPLITS:
        labels = images.loc[images["split"] == split, "label"]
        missing = sorted(set(range(len(names))) - set(labels))
        if task != ALL_PARTS and missing:
            raise DataError(
                f"--data {data}: {task} has no {names[missing[0]]} patient in {split}; a search needs one of each "
                f"class in train, valid and test (valid is cut from train): add patients, or take another part"
            )
        if len(names) - len(missing) < 2:
            raise DataError(f"--data {data}: all_parts has fewer than two classes in {split}; add patients")
        absent |= {names[each] for each in missing}
    return tuple(name for name in names if name in absent)


def _of_parts(path: str, parts: tuple[str, ...]) -> bool:
    part = path.split("/")[1] if "/" in path else None  # None: a CSV or a row of one, which concern all parts
    return part in parts or part not in PARTS


def data_hash_of(images: pd.DataFrame) -> str:
    """What names these images as they are: of the same images in the same splits it is the same.

    Args:
        images: columns path, digest, label (the task's class) and split; sorted by part, then path.
    """
    digest = hashlib.blake2b(digest_size=16)
    for row in images[["path", "digest", "label", "split"]].itertuples(index=False):
        digest.update("\x1f".join(map(str, row)).encode() + b"\x1e")
    return digest.hexdigest()
